"""From a command line to a package on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.kubeflow.data_source import name_demo
from pipeline.kubeflow.lint import lint_documents
from pipeline.kubeflow.package import Package, PackageRequest, make_package
from reefline.config.overrides import parse_override
from reefline.config.run_config import load_config
from reefline.errors import ConfigError, UsageError
from reefline.system.files import write_whole
from reefline.system.terminal import send_noise_to

_YAML_SUFFIXES = (".yaml", ".yml")


def read_request(
    config: Path, overrides: Sequence[str], image: str, data: str, serving: str, *, for_vertex: bool = False
) -> PackageRequest:
    """Return what a command line asks for.

    Raises:
        ConfigError: the config or an override is invalid.
        UsageError: --data demo: without a section `demo`, or an --image without a name.
    """
    if not image.strip():
        # TFX would use its own public image.
        raise UsageError("--image: empty; name an image with its digest, such as name@sha256:…")
    loaded = load_config(config, [parse_override(text) for text in overrides])
    return PackageRequest(loaded, image, name_demo(data, loaded.demo), serving, for_vertex)


def compile_to_file(request: PackageRequest, output: Path) -> tuple[str, ...]:
    """Write a package, and return what to tell the user.

    Raises:
        ConfigError: KFP would refuse the package, or the config asks for what a cluster of pods cannot do.
        UsageError: the output has another suffix than the target accepts or cannot be written, or the serving folder is
            a bucket.
    """
    if request.for_vertex:
        return _compile_for_vertex(request, output)
    if output.suffix not in _YAML_SUFFIXES:
        raise UsageError(f"{output}: KFP accepts schema 2.1 as YAML only; end the name in .yaml")
    package = _make_quietly(request)
    text = package.format()
    findings = lint_documents([package.pipeline, package.platform], size=len(text.encode()))
    errors = [finding.describe() for finding in findings if finding.is_error]
    if errors:
        raise ConfigError(*errors)
    _write(output, text)
    tasks = len(package.pipeline["root"]["dag"]["tasks"])
    warnings = (str(finding) for finding in findings)
    return (*warnings, f"package: {output} ({tasks} tasks, {len(text.encode()) / 1000:.0f} kB)")


def _compile_for_vertex(request: PackageRequest, output: Path) -> tuple[str, ...]:
    if output.suffix != ".json":
        raise UsageError(f"{output}: Vertex AI takes JSON; pass --output with a name that ends in .json")
    _write(output, _make_quietly(request).format_job())
    return (f"package: {output} (for Vertex AI, with TFX's own command; never run there, only checked by its schema)",)


def _make_quietly(request: PackageRequest) -> Package:
    """Make a package, and keep what TensorFlow and TFX write on standard error out of the terminal."""
    with tempfile.TemporaryDirectory() as scratch, send_noise_to(Path(scratch) / "compile.log"):
        return make_package(request)


def _write(output: Path, text: str) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(output, text)
    except OSError as error:
        raise UsageError(f"{output}: cannot write the package ({error.strerror}); pass another --output") from error
