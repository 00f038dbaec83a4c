"""An estimate of a configured training before its first step, from the measured costs of templates."""

from __future__ import annotations

from reefline.recommendation.template_costs import REFERENCE_CORES, TEMPLATE_COSTS
from reefline.settings import TrainerSettings
from reefline.system.terminal import format_duration
from reefline.training.progress import LONG_RUN_S


def estimate_steps_s(settings: TrainerSettings, own_input_px: int, cores: int) -> float | None:
    """Return about how long all steps take on a CPU, in seconds; None for a template whose cost is unknown.

    It is the measured cost of the template, in proportion to the input's area and to the cores. `own_input_px` is the
    template's input size.
    """
    cost = TEMPLATE_COSTS.get(settings.model)
    if cost is None:
        return None
    scale = ((settings.input_size or own_input_px) / own_input_px) ** 2
    return settings.num_steps * settings.batch_size * cost.image_s(scale) * REFERENCE_CORES / cores


def describe_long_run(settings: TrainerSettings, own_input_px: int, cores: int) -> tuple[str, ...]:
    """Return the lines to print before a training on a CPU that may take more than an hour, none for a shorter one."""
    seconds = estimate_steps_s(settings, own_input_px, cores)
    if seconds is None or seconds <= LONG_RUN_S:
        return ()
    return (
        f"  Training may take about {format_duration(seconds)}: {settings.num_steps:,} steps of {settings.batch_size} "
        f"images on {cores} {'core' if cores == 1 else 'cores'}, without evaluations.",
        "  For a shorter run, pass --data DIR without --config, or lower trainer.num_steps.",
    )
