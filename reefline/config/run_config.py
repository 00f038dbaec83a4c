"""A YAML file and --set values → one frozen, validated RunConfig; each mistake is one message with its dotted name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Optional

import pydantic

from reefline.bundle.signature import VARIABLE_PREFIX
from reefline.bundle.store import MODEL_NAME_PATTERN
from reefline.config.keys import any_within
from reefline.config.kubeflow_settings import KubeflowSettings
from reefline.config.messages import describe_problems, name_of
from reefline.config.overrides import Override, apply_override
from reefline.config.yaml_reader import read_yaml
from reefline.data.rules.severity import resolve_severities
from reefline.errors import ConfigError
from reefline.od_api.model_config import check_edge_tpu, check_start, load_template
from reefline.od_api.zoo import find_zoo_name
from reefline.settings import (
    DemoSettings,
    EdgeTpuTarget,
    ExporterSettings,
    GateSettings,
    IngestionSettings,
    ModelCardSettings,
    PushSettings,
    Section,
    TrainerSettings,
    ValidationSettings,
    find_keyword,
)

CONFIG_DIR = Path(__file__).resolve().parents[2] / "configs"

ModelName = Annotated[str, pydantic.Field(pattern=MODEL_NAME_PATTERN, max_length=100)]

_EDGE_TPU_RULES = ("max_quantization_drop", "min_edgetpu_ops", "edgetpu_compiled")
_START = ("trainer", "start")
_PATH_KEYS = (("data", "label_map"), (*_START, "source"), (*_START, "otherwise"), ("push", "signing_key"))


class RunConfig(Section):
    """Everything a config may contain; `model_name`, `trainer` and `gate` have no default, so none is forgotten."""

    model_name: ModelName
    edgetpu: EdgeTpuTarget = EdgeTpuTarget.REQUIRED
    demo: Optional[DemoSettings] = None
    data: IngestionSettings = IngestionSettings()
    validation: ValidationSettings = ValidationSettings()
    trainer: TrainerSettings
    exporter: ExporterSettings = ExporterSettings()
    gate: GateSettings
    push: PushSettings = PushSettings()
    model_card: ModelCardSettings = ModelCardSettings()
    kubeflow: KubeflowSettings = KubeflowSettings()


@dataclass(frozen=True)
class ExaminedConfig:
    """A config and its problems; `config` is None if too little of it is valid.

    `replaced` are the dotted names of the invalid values, for which `config` holds defaults.
    """

    config: Optional[RunConfig]
    problems: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def choose_config_file(config_file: Optional[Path], data_dir: Optional[Path]) -> Path:
    """Return the config file of a command line: the given one, else default.yaml with data and demo.yaml without."""
    if config_file is not None:
        return config_file
    return CONFIG_DIR / ("demo.yaml" if data_dir is None else "default.yaml")


def load_config(path: Path, overrides: Sequence[Override] = ()) -> RunConfig:
    """Read a config and apply the overrides in order.

    A relative path in the file is relative to the file's folder, one in an override to the working folder; ~ is the
    user's home folder.
    `data.image_dir` and `data.annotation_dir` are names inside the data set and stay as they are.

    Raises:
        ConfigError: one message for each unknown key, wrong type, missing section and contradiction.
    """
    return parse_config(_read_record(path, overrides), source=str(path))


def parse_config(record: Mapping[str, Any], *, source: str) -> RunConfig:
    """Validate the content of a YAML file; each message starts with `source`.

    Raises:
        ConfigError: one message for each unknown key, wrong type, missing section and contradiction.
    """
    try:
        config = _parse(record)
    except pydantic.ValidationError as error:
        raise ConfigError(*describe_problems(error, RunConfig, source)) from None
    problems = _find_contradictions(config, source)
    if problems:
        raise ConfigError(*(problem.message for problem in problems))
    return config


def examine_config(path: Path, overrides: Sequence[Override] = ()) -> ExaminedConfig:
    """Read a config as `load_config` does, but continue after a problem, to report all of them."""
    try:
        record = _read_record(path, overrides)
    except ConfigError as error:
        return ExaminedConfig(None, error.problems)
    problems: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    try:
        config = _parse(record)
    except pydantic.ValidationError as error:
        problems = describe_problems(error, RunConfig, str(path))
        replaced = tuple(map(name_of, error.errors()))
        try:
            config = _parse(_leave_out(record, [problem["loc"] for problem in error.errors()]))
        except pydantic.ValidationError:
            return ExaminedConfig(None, problems, replaced)
    contradictions = _find_contradictions(config, str(path))
    problems += tuple(found.message for found in contradictions if not any_within(found.keys, replaced))
    return ExaminedConfig(config, problems, replaced)


def _parse(record: Mapping[str, Any]) -> RunConfig:
    # Strict JSON mode accepts names for enums and lists for tuples, but not "50" for 50 or true for 1.
    return RunConfig.model_validate_json(json.dumps(record, default=str), strict=True)


def _leave_out(record: Mapping[str, Any], places: Sequence[tuple[int | str, ...]]) -> dict[str, Any]:
    """Return a copy of `record` without the values at `places`; for an item of a list, without the list."""
    heads = {str(place[0]) for place in places if len(place) == 1 or not isinstance(record.get(str(place[0])), Mapping)}
    kept = {key: value for key, value in record.items() if key not in heads}
    for key, value in kept.items():
        below = [place[1:] for place in places if place[0] == key]
        if below:
            kept[key] = _leave_out(value, below)
    return kept


def _read_record(path: Path, overrides: Sequence[Override]) -> dict[str, Any]:
    return override_record(_resolve_paths(_expand_start(read_yaml(path)), path.resolve().parent), overrides)


def override_record(record: Mapping[str, Any], overrides: Sequence[Override]) -> dict[str, Any]:
    """Return a copy of a config's content with the overrides applied in order; paths are made absolute.

    Raises:
        ConfigError: a name goes through something that is not a section.
    """
    record = _expand_start(record)
    for override in overrides:
        record = _expand_start(apply_override(record, override))
    return _resolve_paths(record, Path.cwd())


def _expand_start(record: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `start: published` into `start: {source: published}`, so that its other keys can be set."""
    trainer = record.get(_START[0])
    start = trainer.get(_START[1]) if isinstance(trainer, Mapping) else None
    return apply_override(record, Override(_START, {"source": start})) if isinstance(start, str) else dict(record)


def _resolve_paths(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    resolved = dict(record)
    for path in _PATH_KEYS:
        value: Any = resolved
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value and not _is_no_path(value):
            # pathlib's own raises where a user is unknown.
            expanded = os.path.expanduser(value)  # noqa: PTH111
            resolved = apply_override(resolved, Override(path, str(folder / expanded)))
    return resolved


def _is_no_path(value: str) -> bool:
    return (
        "://" in value
        or value.startswith(VARIABLE_PREFIX)
        or find_zoo_name(value) is not None
        or find_keyword(value) is not None
    )


@dataclass(frozen=True)
class _Contradiction:
    """A combination of values that cannot work; `keys` are the values that it follows from."""

    message: str
    keys: tuple[str, ...]


def _find_contradictions(config: RunConfig, source: str) -> tuple[_Contradiction, ...]:
    """Return what each section allows but the config as a whole does not."""
    return (
        *_check_edge_tpu_rules(config, source),
        *_check_fractions(config, source),
        *_collect(("validation.severities",), lambda: resolve_severities(config.validation.severities)),
        *_check_model(config),
    )


def _check_edge_tpu_rules(config: RunConfig, source: str) -> Iterator[_Contradiction]:
    if config.edgetpu is not EdgeTpuTarget.NEVER:
        return
    for rule in _EDGE_TPU_RULES:
        if getattr(config.gate, rule) is not None:
            message = (
                f"{source}: gate.{rule}: set, but edgetpu is never, so there is no int8 model to judge; "
                f"set gate.{rule} to null"
            )
            yield _Contradiction(message, (f"gate.{rule}", "edgetpu"))


def _check_fractions(config: RunConfig, source: str) -> Iterator[_Contradiction]:
    held_out = config.data.eval_fraction + config.data.test_fraction
    if held_out >= 1.0:
        message = (
            f"{source}: data.eval_fraction + data.test_fraction: {held_out:g}; expected less than 1: "
            "some images must remain for training"
        )
        yield _Contradiction(message, ("data.eval_fraction", "data.test_fraction"))


def _check_model(config: RunConfig) -> tuple[_Contradiction, ...]:
    unknown = _collect(("trainer.model",), lambda: load_template(config.trainer.model))
    if unknown:
        return unknown
    template = load_template(config.trainer.model)
    # A kind of model that is never exported is refused whatever `edgetpu` is.
    refused = _collect(("trainer.model",), lambda: check_edge_tpu(template, EdgeTpuTarget.NEVER))
    refused = refused or _collect(("trainer.model", "edgetpu"), lambda: check_edge_tpu(template, config.edgetpu))
    return refused + _collect(("trainer.model", "trainer.start"), lambda: check_start(config.trainer.start, template))


def _collect(keys: tuple[str, ...], check: Callable[[], object]) -> tuple[_Contradiction, ...]:
    """Return the problems of the ConfigError that `check` raises, none where it passes."""
    try:
        check()
    except ConfigError as error:
        return tuple(_Contradiction(message, keys) for message in error.problems)
    return ()
