"""A recommendation as lines for the terminal and for the header of its config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reefline.config.overrides import Override
from reefline.config.run_config import override_record
from reefline.config.yaml_writer import format_yaml
from reefline.recommendation.records import Recommendation, TemplateRow
from reefline.system.terminal import escape_control, format_bytes, format_duration

if TYPE_CHECKING:
    from reefline.recommendation.facts import DataTraits
    from reefline.recommendation.machine import Machine
    from reefline.verification.records import Timings

_LISTED_CLASSES = 8
_UNKNOWN = "?"
_TEXT_COLUMNS = 2
_COLUMNS = (
    "template",
    "starts from",
    "input",
    "batch",
    "steps",
    "epochs",
    "Edge TPU",
    "anchor fit",
    "memory",
    "minutes",
)


def format_recommendation(found: Recommendation) -> list[str]:
    """Return everything: data, machine, the table with the recommended template first, and the reason."""
    lines = [
        f"data: {found.data}",
        f"machine: {found.machine}",
        "",
        *format_table(found.rows),
        *(f"does not fit: {one.template} ({one.reason})" for one in found.left_out),
        "",
        *format_choice(found),
    ]
    return [escape_control(line) for line in lines]


def format_choice(found: Recommendation) -> list[str]:
    """Return what was chosen, why, and how long it takes."""
    lines = [
        f"recommended: {found.settings}",
        f"reason: {found.reason}",
        f"time: about {format_duration(found.seconds)} ({found.measured})",
        *(f"note: {note}" for note in found.notes),
    ]
    return [escape_control(line) for line in lines]


def format_table(rows: Sequence[TemplateRow]) -> list[str]:
    """Return the templates as aligned columns; the first row is the recommended one."""
    cells = [_COLUMNS, *map(_format_row, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS))]
    return [f"{'*' if number == 1 else ' '} {_join(row, widths)}" for number, row in enumerate(cells)]


def _join(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row: texts to the left, numbers to the right."""
    padded = [
        cell.ljust(width) if column < _TEXT_COLUMNS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _format_row(row: TemplateRow) -> tuple[str, ...]:
    return (
        row.template,
        row.start,
        f"{row.input_px} px",
        str(row.batch_size),
        _UNKNOWN if row.steps is None else f"{row.steps:,}",
        _UNKNOWN if row.epochs is None else f"{row.epochs:.0f}",
        _UNKNOWN if row.edge_tpu_ops is None else f"{row.edge_tpu_ops[0]} of {row.edge_tpu_ops[1]}",
        f"{row.anchor_cover:.0%}",
        _UNKNOWN if row.memory_bytes is None else format_bytes(row.memory_bytes),
        _UNKNOWN if row.seconds is None else f"{row.seconds / 60:.0f}",
    )


def describe_data(traits: DataTraits) -> str:
    """Return the data set in one line."""
    facts = traits.facts
    names = ", ".join(facts.classes[:_LISTED_CLASSES]) + (", …" if len(facts.classes) > _LISTED_CLASSES else "")
    about = "" if facts.counts_are_exact else "about "
    return (
        f"{facts.images:,} images ({about}{facts.train_images:,} train, {facts.eval_images:,} eval); "
        f"{len(facts.classes)} {'class' if len(facts.classes) == 1 else 'classes'} ({names}); median box "
        f"{traits.median_box_side:.0%} of the image's side, width by height {traits.median_aspect:.2f}"
    )


def describe_machine(machine: Machine) -> str:
    """Return the machine in one line, without what changes from minute to minute."""
    gpus = "no GPU" if not machine.gpus else f"{machine.gpus} {'GPU' if machine.gpus == 1 else 'GPUs'}"
    return f"{machine.cores} {'core' if machine.cores == 1 else 'cores'}, {gpus}"


def describe_timings(timings: Timings) -> str:
    """Return what was measured, in a few words."""
    return f"measured: {timings.step_s:.2f} s per step, {timings.evaluation_image_s:.2f} s per evaluated image"


def format_config(found: Recommendation, overrides: Sequence[Override] = ()) -> str:
    """Return the recommended config as the text of a YAML file, with further overrides on top."""
    record = override_record(found.config, overrides)
    return "".join(f"# {escape_control(line)}\n" for line in found.header) + format_yaml(_shorten_start(record))


def _shorten_start(record: Mapping[str, Any]) -> dict[str, Any]:
    """Write `start: {source: published}` as `start: published`."""
    trainer = dict(record["trainer"])
    start = trainer.get("start")
    if isinstance(start, Mapping) and tuple(start) == ("source",):
        trainer["start"] = start["source"]
    return {**record, "trainer": trainer}
