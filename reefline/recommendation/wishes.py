"""What the command line fixes before anything is recommended: --set values, as a valid config with placeholders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reefline.config.overrides import Override
from reefline.config.run_config import RunConfig, override_record, parse_config
from reefline.recommendation.recipes import CALIBRATION_IMAGES, GATE
from reefline.recommendation.template_costs import REFERENCE
from reefline.settings import EdgeTpuTarget

SOURCE = "recommended config"
_EDGE_TPU_RULES = ("max_quantization_drop", "min_edgetpu_ops")


@dataclass(frozen=True)
class Wishes:
    """The overrides of a command line; `config` holds them, and placeholders for what is to be recommended."""

    overrides: tuple[Override, ...]
    config: RunConfig

    def sets(self, name: str) -> bool:
        """Return whether an override sets a value, a part of it, or the section around it."""
        path = tuple(name.split("."))
        return any(all(one == other for one, other in zip(path, o.path, strict=False)) for o in self.overrides)


def read_wishes(overrides: Sequence[Override]) -> Wishes:
    """Return the wishes of a command line.

    Raises:
        ConfigError: one message for each value that no config may have.
    """
    record = build_record({"model": REFERENCE}, {}, overrides)
    return Wishes(tuple(overrides), parse_config(record, source=SOURCE))


def build_record(trainer: Mapping[str, Any], data: Mapping[str, Any], overrides: Sequence[Override]) -> dict[str, Any]:
    """Return the content of a config: the recommended sections, the recipe's constants, and the overrides on top."""
    record: dict[str, Any] = {
        "model_name": "detector",
        "edgetpu": EdgeTpuTarget.REQUIRED.value,
        "data": {"eval_fraction": 0.2, "max_rejected_fraction": 0.02, **data},
        "trainer": dict(trainer),
        "exporter": {"calibration_images": CALIBRATION_IMAGES},
        "gate": dict(GATE),
    }
    if any(o.path == ("edgetpu",) and o.value == EdgeTpuTarget.NEVER.value for o in overrides):
        # Without an int8 model, these rules have nothing to judge.
        record["gate"] = {name: value for name, value in GATE.items() if name not in _EDGE_TPU_RULES}
    return override_record(record, overrides)
