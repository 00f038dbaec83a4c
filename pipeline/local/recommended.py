"""The config of a run with data but without --config: recommended once, then the same for the same data."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.local.workspace import Workspace
from reefline.config.overrides import Override
from reefline.config.run_config import RunConfig, load_config
from reefline.od_api.devices import count_gpus
from reefline.od_api.model_config import build_model_config, load_template
from reefline.recommendation.long_run import describe_long_run
from reefline.recommendation.memory import locate_recommendation, recall, select_relevant
from reefline.recommendation.recommend import recommend
from reefline.recommendation.records import Recommendation
from reefline.recommendation.text import format_choice, format_config
from reefline.settings import TrainerSettings
from reefline.system.cores import count_cores
from reefline.system.files import write_whole
from reefline.system.terminal import say

CONFIG_NAME = "recommended.yaml"


def recommend_config(
    data_dir: Path, minutes: int | None, overrides: Sequence[Override], workspace: Workspace, run_folder: Path
) -> RunConfig:
    """Return the recommended config, write it to the run's folder, and print what was chosen.

    Raises:
        DataError: the data set cannot be ingested.
        ConfigError: no template fits, or an override does not fit the recommendation.
        OutOfMemoryError: a batch does not fit in memory.
    """
    memory = locate_recommendation(workspace.recommendations, data_dir, minutes, overrides, workspace.hash_memory)
    found = recall(memory)
    if found is None:
        found = _recommend(data_dir, minutes, select_relevant(overrides))
        memory.parent.mkdir(exist_ok=True)
        found.write(memory)
    else:
        say("config: the one recommended before for the same data and options")
    path = run_folder / CONFIG_NAME
    write_whole(path, format_config(found, overrides))
    for line in (*format_choice(found), f"config: {path}"):
        say(line)
    return load_config(path)


def _recommend(data_dir: Path, minutes: int | None, overrides: Sequence[Override]) -> Recommendation:
    with tempfile.TemporaryDirectory(prefix="reefline-recommend-") as directory:
        return recommend(data_dir, minutes, overrides, Path(directory), lambda line: say(f"… {line}"))


def warn_of_long_run(settings: TrainerSettings) -> tuple[str, ...]:
    """Return what to print before a training that may take more than an hour; nothing with a GPU of unknown speed.

    After 20 steps, training itself prints what it measured.
    """
    if count_gpus():
        return ()
    config = build_model_config(load_template(settings.model), None, classes=1)
    own_input_px = config.model.ssd.image_resizer.fixed_shape_resizer.height
    return describe_long_run(settings, own_input_px, count_cores())
