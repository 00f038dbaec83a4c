"""A YAML file and --set values → one frozen, validated PipelineConfig; each mistake is one message with its name."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Optional, get_args

import pydantic
import yaml

from reefline.bundle.store import MODEL_NAME_PATTERN
from reefline.data.rules.severity import resolve_severities
from reefline.errors import ConfigError
from reefline.od_api.model_config import check_edge_tpu, load_template
from reefline.settings import (
    DemoSettings,
    EdgeTpuTarget,
    ExporterSettings,
    GateSettings,
    IngestionSettings,
    Section,
    TrainerSettings,
    ValidationSettings,
)

CONFIG_DIR = Path(__file__).resolve().parents[2] / "configs"

ModelName = Annotated[str, pydantic.Field(pattern=MODEL_NAME_PATTERN, max_length=100)]

_EDGE_TPU_RULES = ("max_quantization_drop", "min_edgetpu_ops", "edgetpu_compiled")
_PATH_KEYS = (("data", "label_map"), ("trainer", "fine_tune_checkpoint", "source"))


class PipelineConfig(Section):
    """Everything a config may say; `gate` has to be there, like `model_name` and `trainer`: none is forgotten."""

    model_name: ModelName
    edgetpu: EdgeTpuTarget = EdgeTpuTarget.REQUIRED
    demo: Optional[DemoSettings] = None
    data: IngestionSettings = IngestionSettings()
    validation: ValidationSettings = ValidationSettings()
    trainer: TrainerSettings
    exporter: ExporterSettings = ExporterSettings()
    gate: GateSettings


@dataclass(frozen=True)
class Override:
    """One --set: a dotted name and its value as YAML understands it."""

    path: tuple[str, ...]
    value: Any

    @property
    def name(self) -> str:
        """The dotted name as it was given."""
        return ".".join(self.path)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain scalars (`off` is a word, 1e-3 a number), and a repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} is there twice; keep one", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class ExaminedConfig:
    """What came of reading a config; `config` is None where too little of it can be understood.

    `replaced` are the dotted names of the values that cannot be, in whose place the config has its defaults.
    """

    config: Optional[PipelineConfig]
    problems: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def choose_config_file(config_file: Optional[Path], data_dir: Optional[Path]) -> Path:
    """Return the config that a command line means: the one it names, else demo.yaml, or default.yaml with data."""
    if config_file is not None:
        return config_file
    return CONFIG_DIR / ("demo.yaml" if data_dir is None else "default.yaml")


def load_config(path: Path, overrides: Sequence[Override] = ()) -> PipelineConfig:
    """Read a config and apply the overrides in their order.

    A relative path in the file is relative to the file's folder, one in an override to the working folder;
    `data.image_dir` and `data.annotation_dir` are names inside the data set and stay as they are.

    Raises:
        ConfigError: one message for each unknown key, wrong type, missing section and contradiction.
    """
    return parse_config(_read_record(path, overrides), source=str(path))


def examine_config(path: Path, overrides: Sequence[Override] = ()) -> ExaminedConfig:
    """Read a config as `load_config` does, but go on after a problem: whoever asks wants to know of all of them."""
    try:
        record = _read_record(path, overrides)
    except ConfigError as error:
        return ExaminedConfig(None, error.problems)
    problems: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    try:
        config = _parse(record)
    except pydantic.ValidationError as error:
        problems = tuple(_describe(problem, str(path)) for problem in error.errors())
        places = [problem["loc"] for problem in error.errors()]
        replaced = tuple(".".join(map(str, place)) for place in places)
        try:
            config = _parse(_leave_out(record, places))
        except pydantic.ValidationError:
            return ExaminedConfig(None, problems, replaced)
    contradictions = _find_contradictions(config, str(path))
    problems += tuple(text for text in contradictions if not any(name in text for name in replaced))
    return ExaminedConfig(config, problems, replaced)


def _leave_out(record: Mapping[str, Any], places: Sequence[tuple[int | str, ...]]) -> dict[str, Any]:
    """Return a copy of `record` without the values at `places`; an item of a list takes its list along."""
    heads = {str(place[0]) for place in places if len(place) == 1 or not isinstance(record.get(str(place[0])), Mapping)}
    kept = {key: value for key, value in record.items() if key not in heads}
    for key, value in kept.items():
        below = [place[1:] for place in places if place[0] == key]
        if below:
            kept[key] = _leave_out(value, below)
    return kept


def _read_record(path: Path, overrides: Sequence[Override]) -> dict[str, Any]:
    record = _resolve_paths(_read_yaml(path), path.resolve().parent)
    for override in overrides:
        record = _merge(record, override.path, override.value, override.name)
    return _resolve_paths(record, Path.cwd())


def parse_config(record: Mapping[str, Any], *, source: str) -> PipelineConfig:
    """Validate what YAML holds; `source` is named in each message.

    Raises:
        ConfigError: one message for each unknown key, wrong type, missing section and contradiction.
    """
    config = _validate(record, source)
    problems = _find_contradictions(config, source)
    if problems:
        raise ConfigError(*problems)
    return config


def _validate(record: Mapping[str, Any], source: str) -> PipelineConfig:
    try:
        return _parse(record)
    except pydantic.ValidationError as error:
        raise ConfigError(*(_describe(problem, source) for problem in error.errors())) from None


def _parse(record: Mapping[str, Any]) -> PipelineConfig:
    # Strict JSON mode takes names for enums and lists for tuples, yet no "50" for 50 and no true for 1.
    return PipelineConfig.model_validate_json(json.dumps(record, default=str), strict=True)


def parse_override(text: str) -> Override:
    """Read one KEY=VALUE of --set; the value is YAML (50, 0.1, true, null, [a, b], text).

    Raises:
        ConfigError: there is no key, no equals sign, or the value is not YAML.
    """
    name, equals, value = text.partition("=")
    path = tuple(name.strip().split("."))
    if not equals or not all(path):
        raise ConfigError(f"--set {text}: expected KEY=VALUE with a dotted name, such as trainer.num_steps=50")
    try:
        return Override(path, yaml.load(value, Loader=_Loader))
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {name}: {value!r} is not a YAML value ({_one_line(error)}); quote it") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        record = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file; name one with --config FILE") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); expected a YAML file in UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {_one_line(error)}") from None
    if not isinstance(record, dict):
        found = "nothing" if record is None else f"a {type(record).__name__}"
        raise ConfigError(f"{path}: holds {found}; expected sections such as model_name, data, trainer and gate")
    return record


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + str(getattr(error, "problem", None) or error).replace("\n", " ")


def _merge(record: Mapping[str, Any], path: Sequence[str], value: Any, name: str) -> dict[str, Any]:
    """Return a copy of `record` in which the value at `path` is replaced; sections on the way are made."""
    head, *rest = path
    if not rest:
        return {**record, head: value}
    below = record.get(head)
    if below is None:
        below = {}
    if not isinstance(below, Mapping):
        raise ConfigError(f"--set {name}: {head} is a single value ({below!r}), it has no {'.'.join(rest)}")
    return {**record, head: _merge(below, rest, value, name)}


def _resolve_paths(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    resolved = dict(record)
    for path in _PATH_KEYS:
        value: Any = resolved
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value and "://" not in value:
            resolved = _merge(resolved, path, str(folder / value), ".".join(path))
    return resolved


def _describe(problem: Any, source: str) -> str:
    """Return one pydantic problem as a sentence: where, what was found, what was expected."""
    location = tuple(str(part) for part in problem["loc"])
    name = ".".join(location)
    found = problem["input"]
    if problem["type"] == "missing":
        kind = "section or value" if len(location) == 1 else "value"
        return f"{source}: {name}: this {kind} is missing; add it"
    if problem["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean {'.'.join((*location[:-1], close[0]))}? " if close else ""
        return f"{source}: {name}: unknown key; {hint}expected one of {', '.join(known)}"
    shown = found if isinstance(found, (str, int, float, bool)) or found is None else type(found).__name__
    return f"{source}: {name}: found {shown!r}; {_expectation(problem)}"


def _expectation(problem: Any) -> str:
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "expected a section with keys of its own"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    message: str = problem["msg"]
    return re.sub(r"^Input should be", "expected", message)


def _keys_at(path: Sequence[str]) -> list[str]:
    """Return the keys that the section at `path` may hold."""
    model: Any = PipelineConfig
    for key in path:
        annotation = model.model_fields[key].annotation
        candidates = (annotation, *get_args(annotation))
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, pydantic.BaseModel))
    return list(model.model_fields)


def _find_contradictions(config: PipelineConfig, source: str) -> tuple[str, ...]:
    """Return what each section allows by itself and the whole does not."""
    problems = []
    if config.edgetpu is EdgeTpuTarget.NEVER:
        problems += [
            f"{source}: gate.{rule}: set, but edgetpu is never, so there is no int8 model to judge; "
            f"set gate.{rule} to null"
            for rule in _EDGE_TPU_RULES
            if getattr(config.gate, rule) is not None
        ]
    held_out = config.data.eval_fraction + config.data.test_fraction
    if held_out >= 1.0:
        problems.append(
            f"{source}: data.eval_fraction + data.test_fraction: {held_out:g}; expected less than 1: "
            "some images have to be left to train on"
        )
    try:
        resolve_severities(config.validation.severities)
    except ConfigError as error:
        problems += error.problems
    try:
        check_edge_tpu(load_template(config.trainer.model), config.edgetpu)
    except ConfigError as error:
        problems += error.problems
    return tuple(problems)
