"""The config of a run with data but without --config: recommended once, then the same for the same data."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.local.workspace import Workspace
from reefline.config.overrides import Override
from reefline.config.run_config import RunConfig, load_config
from reefline.config.run_request import RunRequest
from reefline.data.fingerprint import fingerprint_data
from reefline.errors import RecordError, UsageError
from reefline.od_api.devices import count_gpus
from reefline.od_api.model_config import TEMPLATE_DIR, build_model_config, load_template
from reefline.recommendation.long_run import describe_long_run
from reefline.recommendation.machine import count_cores
from reefline.recommendation.recommend import recommend
from reefline.recommendation.records import Recommendation
from reefline.recommendation.text import format_choice, format_config
from reefline.recommendation.wishes import read_wishes
from reefline.settings import IngestionSettings, TrainerSettings
from reefline.system.files import hash_file, write_whole
from reefline.system.terminal import say

CONFIG_NAME = "recommended.yaml"
_ROOM = Path(__file__).resolve().parents[2] / "reefline" / "recommendation"
# What a recommendation depends on. Any other override leaves it alone: a changed threshold must not change the steps.
_RELEVANT_SECTIONS = ("edgetpu", "data", "trainer")


def check_minutes(request: RunRequest) -> None:
    """Refuse --minutes where no config is recommended.

    Raises:
        UsageError: --minutes with --config, or without --data.
    """
    if request.minutes is None or request.asks_for_recommendation:
        return
    if request.config_file is not None:
        raise UsageError(
            f"--minutes {request.minutes}: --config already fixes the steps; drop --config to get a config for this "
            "budget, or set trainer.num_steps"
        )
    raise UsageError(f"--minutes {request.minutes}: needs --data DIR; the demo's config fixes the steps")


def recommend_config(
    data_dir: Path, minutes: int | None, overrides: Sequence[Override], workspace: Workspace, run_folder: Path
) -> RunConfig:
    """Return the recommended config, write it to the run's folder, and print what was chosen.

    Raises:
        DataError: the data set cannot be ingested.
        ConfigError: no template fits, or an override does not fit the recommendation.
        OutOfMemoryError: a batch does not fit in memory.
    """
    relevant = [override for override in overrides if override.path[0] in _RELEVANT_SECTIONS]
    settings = read_wishes(overrides).config.data
    memory = workspace.recommendations / f"{_make_key(data_dir, settings, minutes, relevant, workspace)}.json"
    found = _recall(memory)
    if found is None:
        found = _recommend(data_dir, minutes, relevant)
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


def _recall(memory: Path) -> Recommendation | None:
    """Return what was recommended before; a missing or damaged file only costs the time to measure again."""
    try:
        return Recommendation.read(memory)
    except RecordError:
        return None


def _make_key(
    data_dir: Path,
    settings: IngestionSettings,
    minutes: int | None,
    overrides: Sequence[Override],
    workspace: Workspace,
) -> str:
    """Return a hash of all that a recommendation depends on, except for the measured seconds."""
    sources = [*sorted(_ROOM.glob("*.py")), *sorted(TEMPLATE_DIR.glob("*.config"))]
    parts = {
        "data": fingerprint_data(data_dir, settings, workspace.hash_memory),
        "minutes": minutes,
        "overrides": [[override.name, override.value] for override in overrides],
        "sources": {source.name: hash_file(source) for source in sources},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def warn_of_long_run(settings: TrainerSettings) -> tuple[str, ...]:
    """Return what to print before a training that may take more than an hour; nothing with a GPU of unknown speed.

    After 20 steps, training itself prints what it measured.
    """
    if count_gpus():
        return ()
    config = build_model_config(load_template(settings.model), None, classes=1)
    own_input_px = config.model.ssd.image_resizer.fixed_shape_resizer.height
    return describe_long_run(settings, own_input_px, count_cores())
