"""Names what Kubeflow Pipelines would refuse in a package, and what it would accept but cannot work."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.kubeflow.artifact_types import list_artifacts, read_title
from pipeline.kubeflow.contract import PUSHER_TASK, SUMMARY_TASK, Resolver
from pipeline.kubeflow.lint_finding import LintFinding
from pipeline.kubeflow.lint_paths import find_path_problems
from pipeline.kubeflow.lint_platform import find_platform_problems
from pipeline.kubeflow.lint_training import find_training_problems
from reefline.errors import UsageError

_SCHEMA_VERSION = "2.1.0"
# KFP keeps a package in one row of its database, and in one object of Kubernetes, which may have 1.5 MB.
_MAX_BYTES = 1_000_000
_SUFFIXES = (".yaml", ".yml")
_NEVER_CACHED = (*(resolver.task for resolver in Resolver), PUSHER_TASK, SUMMARY_TASK)
_TYPE_PREFIXES = ("tfx.", "system.")
_RECOMPILE = "compile the package with kubeflow_runner.py"


def lint_file(path: Path) -> tuple[LintFinding, ...]:
    """Return the findings about a package, errors first.

    Raises:
        UsageError: it cannot be read, or is not a package.
    """
    import yaml

    from reefline.config.yaml_reader import BoundedLoader

    if path.suffix not in _SUFFIXES:
        raise UsageError(f"{path}: KFP accepts schema 2.1 as YAML only; expected a name that ends in .yaml")
    try:
        text = path.read_text(encoding="utf-8")
        documents = list(yaml.load_all(text, BoundedLoader))
    except OSError as error:
        raise UsageError(f"{path}: cannot read it ({error.strerror})") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: not a YAML file ({error})") from error
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise UsageError(f"{path}: not a package; expected a pipeline, and at most one platform document")
    return lint_documents(documents, size=len(text.encode()))


def lint_documents(documents: Sequence[Mapping[str, Any]], *, size: int) -> tuple[LintFinding, ...]:
    """Return the findings about a package of `size` bytes, errors first; its second document is the platform's."""
    spec, platform = documents[0], documents[1] if len(documents) > 1 else {}
    # Whoever reads the platform document relies on its types.
    misshapen = tuple(_check_nulls(platform, "platform")) or tuple(find_platform_problems(spec, platform))
    of_platform = itertools.chain(_check_pod_metadata(spec, platform), find_path_problems(spec, platform))
    checks = (
        _check_size(size),
        _check_schema(documents),
        _check_nulls(spec, "pipeline"),
        _check_output_names(spec),
        _check_types(spec),
        _check_executors(spec),
        _check_wiring(spec),
        _check_caching(spec),
        misshapen,
        () if misshapen else of_platform,
        find_training_problems(spec),
    )
    findings = dict.fromkeys(itertools.chain.from_iterable(map(_report_shape, checks)))
    return tuple(sorted(findings, key=lambda finding: not finding.is_error))


def _report_shape(check: Iterable[LintFinding]) -> Iterator[LintFinding]:
    """Yield a check's findings; where the package has not the shape that the check reads, that is the last one."""
    try:
        yield from check
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        yield LintFinding("package", f"not the structure of a pipeline ({error}). {_RECOMPILE}")


def _check_size(size: int) -> Iterator[LintFinding]:
    if size >= _MAX_BYTES:
        yield LintFinding("package", f"{size / 1e6:.2f} MB; KFP stores less than 1 MB. Shorten the config")


def _check_schema(documents: Sequence[Mapping[str, Any]]) -> Iterator[LintFinding]:
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = documents[0]
    if "pipelineSpec" in spec:
        yield LintFinding("pipelineSpec", f"a PipelineJob; KFP expects the PipelineSpec alone. {_RECOMPILE}")
        return
    found = spec.get("schemaVersion")
    if found != _SCHEMA_VERSION:
        yield LintFinding("schemaVersion", f"{found}; KFP reads {_SCHEMA_VERSION}. {_RECOMPILE}")
    try:
        json_format.ParseDict(dict(spec), pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        yield LintFinding("pipeline", f"not a PipelineSpec: {error}. {_RECOMPILE}")
    if len(documents) > 2:
        yield LintFinding("package", f"{len(documents)} documents; KFP reads a pipeline and one platform document")


def _check_nulls(value: Any, where: str) -> Iterator[LintFinding]:
    """Find nulls: KFP's parser refuses them wherever they are."""
    if value is None:
        yield LintFinding(where, "null; KFP refuses it. Leave the property out")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _check_nulls(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _check_nulls(inner, f"{where}[{position}]")


def _check_output_names(spec: Mapping[str, Any]) -> Iterator[LintFinding]:
    for name, component in spec.get("components", {}).items():
        outputs = component.get("outputDefinitions", {})
        names = [*outputs.get("artifacts", {}), *outputs.get("parameters", {})]
        for repeated in sorted({one for one in names if names.count(one) > 1}):
            yield LintFinding(name, f"two outputs are named {repeated}; rename one")
        for first, second in itertools.permutations(sorted(set(names)), 2):
            if second.startswith(first):
                yield LintFinding(
                    name,
                    f"output {first} is a prefix of output {second}; KFP 2.5 mixes their values. Rename one",
                )


def _check_types(spec: Mapping[str, Any]) -> Iterator[LintFinding]:
    schemas = {name: artifact.get("artifactType", {}) for name, artifact in list_artifacts(spec)}
    for name, schema in schemas.items():
        title = read_title(schema)
        if not title.startswith(_TYPE_PREFIXES):
            yield LintFinding(
                name, f"custom artifact type {title or '(none)'}; use one of tfx.types.standard_artifacts, or File"
            )
    without_title = sum("schemaTitle" not in schema for schema in schemas.values())
    if without_title:
        yield LintFinding(
            "components",
            f"{without_title} of {len(schemas)} artifact types are schemas (instanceSchema), which KFP without ML "
            f"Metadata may refuse. {_RECOMPILE}",
            is_error=False,
        )


def _check_executors(spec: Mapping[str, Any]) -> Iterator[LintFinding]:
    for label, executor in spec.get("deploymentSpec", {}).get("executors", {}).items():
        name = label.removesuffix("_executor")
        if "resolver" in executor:
            yield LintFinding(name, "a Resolver node; no open-source KFP runs one. Use a task with an output parameter")
        image = executor.get("container", {}).get("image")
        if image is not None and "@sha256:" not in image:
            yield LintFinding(
                name,
                f"image {image} has no digest: another image under the same name would run, and KFP's cache would not "
                "notice. Pass --image NAME@sha256:…",
                is_error=False,
            )


def _check_wiring(spec: Mapping[str, Any]) -> Iterator[LintFinding]:
    """Find what KFP reports only when the task is due: an unknown source, or one that it does not wait for."""
    tasks, components = spec.get("root", {}).get("dag", {}).get("tasks", {}), spec.get("components", {})
    for name, task in tasks.items():
        for key, source in _list_sources(task):
            producer, output = source["producerTask"], source.get("outputParameterKey") or source["outputArtifactKey"]
            kind = "parameters" if "outputParameterKey" in source else "artifacts"
            made = components.get(producer, {}).get("outputDefinitions", {}).get(kind, {})
            if output not in made:
                yield LintFinding(f"{name}.{key}", f"{producer} has no output {output}. {_RECOMPILE}")
            elif producer not in task.get("dependentTasks", ()):
                yield LintFinding(f"{name}.{key}", f"{producer} is missing in dependentTasks. {_RECOMPILE}")
        expected = {*components.get(name, {}).get("inputDefinitions", {}).get("parameters", {})}
        given = {*task.get("inputs", {}).get("parameters", {})}
        for key in sorted(expected ^ given):
            what = "missing" if key in expected else "not an input of the component"
            yield LintFinding(f"{name}.{key}", f"{what}. {_RECOMPILE}")


def _list_sources(task: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    inputs = task.get("inputs", {})
    for key, one in inputs.get("artifacts", {}).items():
        yield key, one["taskOutputArtifact"]
    for key, one in inputs.get("parameters", {}).items():
        if "taskOutputParameter" in one:
            yield key, one["taskOutputParameter"]


def _check_caching(spec: Mapping[str, Any]) -> Iterator[LintFinding]:
    tasks = spec.get("root", {}).get("dag", {}).get("tasks", {})
    for name in _NEVER_CACHED:
        if tasks.get(name, {}).get("cachingOptions", {}).get("enableCache"):
            yield LintFinding(
                name, "cached, but it looks at what the cache key does not know. Set its cachingOptions to {}"
            )


def _check_pod_metadata(spec: Mapping[str, Any], platform: Mapping[str, Any]) -> Iterator[LintFinding]:
    """Find tasks with annotations of their own: before 2.14, KFP gives each pod those of the first executor."""
    kubernetes = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    labels = sorted(spec.get("deploymentSpec", {}).get("executors", {}))
    found = {label: kubernetes.get(label, {}).get("podMetadata", {}) for label in labels}
    different = [label.removesuffix("_executor") for label in labels if found[label] != found[labels[0]]]
    if different:
        yield LintFinding(
            ", ".join(different),
            f"podMetadata differs from that of {labels[0].removesuffix('_executor')}; KFP before 2.14 gives every pod "
            f"the same. {_RECOMPILE}",
        )
