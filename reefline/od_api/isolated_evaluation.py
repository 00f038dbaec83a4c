"""An evaluation in a separate process, which frees all its device memory when it ends.

The parent starts `python -m reefline.od_api.isolated_evaluation FOLDER`; files of the folder hold the
task and the result.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.od_api.building import build_model
from reefline.od_api.evaluation import Evaluation, EvaluationOutcome
from reefline.od_api.model_config import read_pipeline_config, write_pipeline_config
from reefline.system.child_process import run_module

if TYPE_CHECKING:
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

_CONFIG_FILE = "pipeline.config"
_PREFIX_FILE = "checkpoint.txt"
_NUMBERS_FILE = "numbers.json"
_PICTURES_FILE = "pictures.npz"


def evaluate_in_child(config: TrainEvalPipelineConfig, checkpoint_prefix: str) -> EvaluationOutcome:
    """Evaluate a checkpoint in a child process.

    Raises:
        ReeflineError: the child failed; the message holds its last lines.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_pipeline_config(config, folder / _CONFIG_FILE)
        (folder / _PREFIX_FILE).write_text(checkpoint_prefix)
        run_module(__name__, folder, "the evaluation process")
        return _read_outcome(folder)


def evaluate_checkpoint(config: TrainEvalPipelineConfig, checkpoint_prefix: str) -> EvaluationOutcome:
    """Build a model, restore it and evaluate it once."""
    import tensorflow as tf

    model = build_model(config.model, is_training=True)
    evaluation = Evaluation(config, model)
    # Tracing the evaluation creates the variables, which then get their values from here.
    tf.train.Checkpoint(model=model).read(checkpoint_prefix).expect_partial()
    return evaluation.run()


def _write_outcome(outcome: EvaluationOutcome, folder: Path) -> None:
    import numpy as np

    numbers = {"scalars": outcome.scalars, "class_ap": outcome.class_ap}
    (folder / _NUMBERS_FILE).write_text(json.dumps(numbers))
    np.savez(folder / _PICTURES_FILE, *outcome.pictures)


def _read_outcome(folder: Path) -> EvaluationOutcome:
    import numpy as np

    numbers = json.loads((folder / _NUMBERS_FILE).read_text())
    with np.load(folder / _PICTURES_FILE) as pictures:
        return EvaluationOutcome(
            scalars=numbers["scalars"],
            class_ap=tuple((name, ap) for name, ap in numbers["class_ap"]),
            pictures=tuple(pictures[name] for name in pictures.files),
        )


def _main(folder: Path) -> None:
    from reefline.od_api import compat
    from reefline.od_api.devices import let_gpu_memory_grow

    compat.apply()
    let_gpu_memory_grow()
    config = read_pipeline_config(folder / _CONFIG_FILE)
    _write_outcome(evaluate_checkpoint(config, (folder / _PREFIX_FILE).read_text()), folder)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
