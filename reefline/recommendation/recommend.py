"""Recommends a template and its training settings for a data set, this machine and a number of minutes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.config.overrides import Override
from reefline.config.run_config import parse_config
from reefline.data.source import provide_data
from reefline.errors import ConfigError, DataError
from reefline.findings import Severity
from reefline.od_api.model_config import load_template
from reefline.recommendation import recipes
from reefline.recommendation.reasons import explain, find_notes
from reefline.recommendation.records import LeftOut, Recommendation, TemplateRow
from reefline.recommendation.setting import Measured, Setting
from reefline.recommendation.text import describe_data, describe_machine, describe_timings
from reefline.recommendation.wishes import SOURCE, Wishes, build_record, read_wishes
from reefline.settings import StartKeyword
from reefline.verification.rules import MAX_MISSED_FRACTION
from reefline.verification.sample import DataSample, take_sample
from reefline.verification.shrinking import choose_max_dimension

if TYPE_CHECKING:
    from reefline.recommendation.candidates import Candidate
    from reefline.recommendation.schedule import Schedule

# Enough for shares to two digits; an image takes a millisecond or two.
_DESCRIBED_IMAGES = 500
# Enough to train the measured steps from, and to time evaluations apart from their fixed part.
_MEASURED_IMAGES = 128
_EVALUATED_IMAGES = 24


def recommend(
    data_dir: Path, minutes: int | None, overrides: Sequence[Override], work_dir: Path, say: Callable[[str], None]
) -> Recommendation:
    """Return the recommendation; measuring its template takes most of a minute on a CPU.

    `minutes` is the budget of the run, None for the recipe's; `work_dir` is an empty folder for records; `say` prints
    one line of progress.

    Raises:
        DataError: the data set cannot be ingested.
        ConfigError: an override is not a valid value, or no template fits.
        CheckpointError: the weights to start from are missing or cannot be downloaded.
        OutOfMemoryError: a batch does not fit in memory.
    """
    wishes = read_wishes(overrides)
    folder = provide_data(data_dir, None, work_dir, say)
    likely = wishes.config.trainer.model if wishes.sets("trainer.model") else recipes.PUBLISHED_ORDER[0]
    _fetch_weights(wishes, likely)
    say("checking the data")
    sample = _take_sample(folder, wishes, work_dir / "described", images=_DESCRIBED_IMAGES)
    say("starting TensorFlow")
    from reefline.od_api import trial

    import_s = trial.load_libraries()
    from reefline.recommendation.candidates import list_candidates
    from reefline.recommendation.facts import describe_sample
    from reefline.recommendation.machine import read_machine

    machine = read_machine()
    budget = minutes or recipes.choose_minutes(has_gpu=machine.has_gpu)
    setting = Setting(wishes, sample, describe_sample(sample), machine, budget)
    candidates, left_out = list_candidates(wishes, sample, machine)
    chosen = _choose(setting, candidates, left_out)
    if chosen.template.name != likely:
        _fetch_weights(wishes, chosen.template.name)
    say(f"measuring {chosen.template.name}")
    max_dimension = _choose_max_dimension(setting, chosen)
    measured = _measure(setting, chosen, folder, work_dir / "measured", max_dimension, import_s)
    rows, too_slow = _make_rows(setting, measured, candidates)
    return _describe(setting, measured, max_dimension, rows, (*left_out, *too_slow))


def _fetch_weights(wishes: Wishes, model: str) -> None:
    """Make sure that the weights which a template would start from are on this machine, before anything is measured."""
    from reefline.training.start_files import StartCache
    from reefline.training.starting_point import choose_default_start, fetch_start

    trainer = wishes.config.trainer
    start = trainer.start if wishes.sets("trainer.start") else choose_default_start(load_template(model))
    # Whether a model serves is known to the run alone.
    if start.keyword is not StartKeyword.SERVING:
        fetch_start(trainer.model_copy(update={"model": model, "start": start}), StartCache())


def _take_sample(
    folder: Path, wishes: Wishes, records: Path, *, images: int, max_dimension: int | None = None
) -> DataSample:
    settings = wishes.config.data
    if max_dimension is not None:
        settings = settings.model_copy(update={"max_dimension": max_dimension})
    sample = take_sample(folder, settings, records, images=images, eval_images=_EVALUATED_IMAGES, stop_as_run=True)
    errors = [problem.message for problem in sample.problems if problem.severity is Severity.ERROR]
    if errors:
        raise DataError(*errors)
    return sample


def _choose(setting: Setting, candidates: Sequence[Candidate], left_out: Sequence[LeftOut]) -> Candidate:
    """Return the template that the command line names, else the rules' choice.

    Raises:
        ConfigError: nothing fits.
    """
    from reefline.recommendation.schedule import guess_steps

    by_name = {candidate.template.name: candidate for candidate in candidates}
    if setting.wishes.sets("trainer.model"):
        return by_name[setting.wishes.config.trainer.model]
    name = recipes.choose_published_template([name for name, one in by_name.items() if one.is_fine_tuning])
    if name is None:
        full = by_name.get(recipes.SCRATCH_TEMPLATE)
        steps = guess_steps(full, setting.machine, setting.budget_s) if full else 0
        small = setting.traits.small_fraction(full.input_px) if full else 0.0
        covering = [name for name, one in by_name.items() if one.anchor_cover >= 1.0 - MAX_MISSED_FRACTION]
        choices = (
            recipes.choose_scratch_template(names, steps=steps, small_fraction=small)
            for names in (covering, tuple(by_name))
        )
        name = next(filter(None, choices), None)
    if name is None:
        raise ConfigError(
            "no template fits; choose one with --set trainer.model=NAME, or lower trainer.batch_size",
            *(f"{one.template}: {one.reason}" for one in left_out),
        )
    return by_name[name]


def _choose_max_dimension(setting: Setting, chosen: Candidate) -> int | None:
    """Return the size to shrink images to, None to keep them or what the command line says."""
    if setting.wishes.sets("data.max_dimension"):
        return None
    return choose_max_dimension(setting.traits.median_long_side_px, chosen.input_px)


def _measure(
    setting: Setting, chosen: Candidate, folder: Path, records: Path, max_dimension: int | None, import_s: float
) -> Measured:
    from reefline.recommendation.measure import measure_timings
    from reefline.recommendation.schedule import plan_schedule

    wishes, sample = setting.wishes, setting.sample
    if max_dimension is not None:
        # Large images take longer to decode than the run's will.
        sample = _take_sample(folder, wishes, records, images=_MEASURED_IMAGES, max_dimension=max_dimension)
    trainer = wishes.config.trainer
    update: dict[str, Any] = {
        "model": chosen.template.name,
        "batch_size": chosen.batch_size,
        "num_steps": recipes.MAX_STEPS,
    }
    if not wishes.sets("trainer.augmentations"):
        update["augmentations"] = recipes.choose_augmentations()
    timings = measure_timings(trainer.model_copy(update=update), sample, import_s)
    schedule = plan_schedule(
        chosen,
        setting.traits.facts,
        timings,
        setting.budget_s,
        given_steps=trainer.num_steps if wishes.sets("trainer.num_steps") else None,
        given_steps_per_eval=trainer.steps_per_eval if wishes.sets("trainer.steps_per_eval") else None,
    )
    return Measured(chosen, timings, schedule)


def _make_rows(
    setting: Setting, measured: Measured, candidates: Sequence[Candidate]
) -> tuple[tuple[TemplateRow, ...], tuple[LeftOut, ...]]:
    """Return the table, the recommended template first, and the templates that are too slow for the budget."""
    from reefline.recommendation.schedule import plan_schedule, scale_timings

    rows, too_slow = [_make_row(measured.candidate, measured.schedule)], []
    for other in candidates:
        if other is measured.candidate:
            continue
        timings = scale_timings(measured.timings, measured.candidate, other)
        if timings is None:
            rows.append(_make_row(other, None))
            continue
        schedule = plan_schedule(other, setting.traits.facts, timings, setting.budget_s)
        if schedule.affordable_steps < recipes.MIN_STEPS:
            reason = f"only {schedule.affordable_steps} steps of about {timings.step_s:.1f} s fit in {setting.time}"
            too_slow.append(LeftOut(other.template.name, reason))
        else:
            rows.append(_make_row(other, schedule))
    return tuple(rows), tuple(too_slow)


def _make_row(candidate: Candidate, schedule: Schedule | None) -> TemplateRow:
    return TemplateRow(
        template=candidate.template.name,
        start=candidate.knows or candidate.start,
        input_px=candidate.input_px,
        batch_size=candidate.batch_size,
        steps=schedule.steps if schedule else None,
        epochs=schedule.epochs if schedule else None,
        edge_tpu_ops=candidate.cost.edge_tpu_ops if candidate.cost else None,
        anchor_cover=candidate.anchor_cover,
        memory_bytes=candidate.memory_bytes,
        seconds=schedule.seconds if schedule else None,
    )


def _describe(
    setting: Setting,
    measured: Measured,
    max_dimension: int | None,
    rows: tuple[TemplateRow, ...],
    left_out: tuple[LeftOut, ...],
) -> Recommendation:
    data = {} if max_dimension is None else {"max_dimension": max_dimension}
    record = build_record(_make_trainer(measured), data, setting.wishes.overrides)
    settings = parse_config(record, source=SOURCE).trainer
    facts, machine = describe_data(setting.traits), describe_machine(setting.machine)
    reason, timings = explain(setting, measured), describe_timings(measured.timings)
    header = (
        f"Recommended for {setting.time}; docs/models.md describes the rules.",
        f"Data: {facts}.",
        f"Machine: {machine}; {timings}.",
        f"Reason: {reason}.",
    )
    return Recommendation(
        minutes=setting.minutes,
        data=facts,
        machine=machine,
        measured=timings,
        rows=rows,
        left_out=left_out,
        settings=(
            f"{settings.model} ({measured.candidate.start}), {measured.candidate.input_px} px, batch "
            f"{settings.batch_size}, {settings.num_steps:,} steps, learning rate {settings.learning_rate:g}"
        ),
        reason=reason,
        seconds=measured.schedule.seconds,
        notes=tuple(find_notes(setting, measured, settings, max_dimension)),
        header=header,
        config=record,
    )


def _make_trainer(measured: Measured) -> dict[str, Any]:
    """Return the section `trainer` of the config."""
    candidate, schedule = measured.candidate, measured.schedule
    return {
        "model": candidate.template.name,
        "start": candidate.start,
        "batch_size": candidate.batch_size,
        "num_steps": schedule.steps,
        "steps_per_eval": schedule.steps_per_eval,
        "learning_rate": recipes.choose_learning_rate(candidate.batch_size, is_fine_tuning=candidate.is_fine_tuning),
        "warmup_steps": recipes.choose_warmup_steps(schedule.steps),
        "augmentations": [augmentation.value for augmentation in recipes.choose_augmentations()],
        "early_stopping_patience": recipes.choose_patience(schedule.steps),
    }
