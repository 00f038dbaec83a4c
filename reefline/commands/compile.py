"""`reefline compile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reefline.errors import UsageError
from reefline.system.terminal import say

if TYPE_CHECKING:
    from reefline.settings import CompilerSettings


def compile_model(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="an int8 TFLite model")],
    out: Annotated[
        Optional[Path], typer.Option(metavar="DIR", help="the folder of the compiled file [default: the model's]")
    ] = None,
    image: Annotated[
        Optional[str], typer.Option(metavar="IMAGE", help="run the compiler from this image, with docker or podman")
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="S", help="give up after S seconds", min=1.0)
    ] = 600.0,
    min_runtime_version: Annotated[
        Optional[int], typer.Option(metavar="N", help="the oldest Edge TPU runtime to support", min=10, max=14)
    ] = None,
    search_delegate: Annotated[
        bool, typer.Option("--search-delegate", help="on failure, retry with fewer operators")
    ] = False,
    delegate_search_step: Annotated[
        int, typer.Option(metavar="N", help="operators to leave out with each retry", min=1)
    ] = 1,
    segments: Annotated[
        int, typer.Option(metavar="N", help="split the model for N Edge TPUs in a pipeline", min=1, max=16)
    ] = 1,
) -> None:
    """Compile a model for the Edge TPU. Uses edgetpu_compiler or a container image of it."""
    settings = _make_settings(
        image=image,
        min_runtime_version=min_runtime_version,
        search_delegate=search_delegate,
        delegate_search_step=delegate_search_step,
        timeout_s=timeout_s,
    )
    _compile(model, out or model.parent, settings, segments)


def _make_settings(**options: str | float | None) -> CompilerSettings:
    """Return the settings for the options.

    Raises:
        UsageError: an option makes no sense; one problem each.
    """
    import pydantic

    from reefline.settings import CompilerSettings

    try:
        return CompilerSettings.model_validate(options)
    except pydantic.ValidationError as error:
        problems = (f"{'.'.join(map(str, p['loc']))}: found {p['input']!r}; {p['msg']}" for p in error.errors())
        raise UsageError(*problems) from error


def _compile(model: Path, out_dir: Path, settings: CompilerSettings, segments: int) -> None:
    """Compile a model to files in `out_dir`, named as the compiler names them, and print the outcome.

    Raises:
        UsageError: it does not compile, or the file or the folder cannot be used.
        BundleError: the file is not a TFLite model.
    """
    from reefline.bundle.manifest import MANIFEST_FILE
    from reefline.edgetpu.compiler.adapter import compile_segments, name_outputs
    from reefline.edgetpu.compiler.outcome import Compiled
    from reefline.tflite.reader import count_operators

    if not model.is_file():
        raise UsageError(f"{model}: {'a folder' if model.is_dir() else 'no such file'}; name an int8 TFLite model")
    if (out_dir / MANIFEST_FILE).is_file():
        # It would no longer be the bundle that its manifest describes, and `detect` would refuse it.
        raise UsageError(
            f"{out_dir}: a bundle, which holds only what its manifest lists; name another folder with --out DIR"
        )
    targets = [out_dir / name for name in name_outputs(model.stem, segments)]
    ops_total = count_operators(model)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        outcome = compile_segments(model, targets, ops_total=ops_total, settings=settings)
    except OSError as error:
        raise UsageError(f"{targets[0]}: cannot write it ({error}); name another folder with --out DIR") from error
    if not isinstance(outcome, Compiled):
        is_refused_split = segments > 1 and outcome.compiler_version is not None
        hint = "; not every model can be split: try without --segments" if is_refused_split else ""
        raise UsageError(f"{model}: not compiled: {outcome.reason}{hint}")
    for target in targets:
        say(f"{target}: {outcome.reason}" if segments == 1 else str(target))
    if segments > 1:
        say(f"{segments} segments: {outcome.reason}")
