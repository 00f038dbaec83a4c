"""Recommendations that a workspace remembers, so that a second run with the same data gets the same config."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from reefline.config.overrides import Override
from reefline.data.fingerprint import fingerprint_data
from reefline.errors import RecordError
from reefline.od_api.model_config import TEMPLATE_DIR
from reefline.recommendation.records import Recommendation
from reefline.recommendation.wishes import read_wishes
from reefline.system.files import hash_file

FOLDER = "recommendations"
_ROOM = Path(__file__).resolve().parent
# What a recommendation depends on. Any other override leaves it alone: a changed threshold must not change the steps.
_RELEVANT_SECTIONS = ("edgetpu", "data", "trainer")


def select_relevant(overrides: Sequence[Override]) -> list[Override]:
    """Return the overrides that a recommendation depends on."""
    return [override for override in overrides if override.path[0] in _RELEVANT_SECTIONS]


def locate_recommendation(
    folder: Path, data_dir: Path, minutes: int | None, overrides: Sequence[Override], hash_memory: Path
) -> Path:
    """Return the file in `folder` for a data set and a command line; it need not exist.

    Its name is a hash of all that a recommendation depends on, except for the measured seconds. `hash_memory` remembers
    the hashes of the data's files.

    Raises:
        DataError: the data folder holds no images or annotations.
        ConfigError: an override is not a valid value.
    """
    sources = [*sorted(_ROOM.glob("*.py")), *sorted(TEMPLATE_DIR.glob("*.config"))]
    parts = {
        "data": fingerprint_data(data_dir, read_wishes(overrides).config.data, hash_memory),
        "minutes": minutes,
        "overrides": [[override.name, override.value] for override in select_relevant(overrides)],
        "sources": {source.name: hash_file(source) for source in sources},
    }
    key = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
    return folder / f"{key}.json"


def recall(path: Path) -> Recommendation | None:
    """Return what was recommended before; a missing or damaged file only costs the time to measure again."""
    try:
        return Recommendation.read(path)
    except RecordError:
        return None
