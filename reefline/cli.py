"""The command `reefline`: what is done beside a run of the pipeline. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional

import typer
from typer.core import TyperGroup

from reefline.errors import UsageError, UserError


class _Commands(TyperGroup):
    """Ends a command that finds something for the user to mend: a line for each problem, and the error's exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            for problem in error.problems:
                typer.echo(f"error: {problem}", err=True)
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    name="reefline",
    cls=_Commands,
    help="Object detectors for the Coral Edge TPU: commands beside local_runner.py.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

WorkspaceOption = Annotated[Path, typer.Option("--workspace", metavar="DIR", help="the workspace of the runs")]


def main() -> None:
    """Run the command line; exit codes are those of local_runner.py."""
    # As after Ctrl-C, what was begun is cleaned up.
    signal.signal(signal.SIGTERM, _terminate)
    app()


def _terminate(*_: object) -> NoReturn:
    raise typer.Exit(128 + signal.SIGTERM)


@app.callback()
def _root() -> None:
    """Object detectors for the Coral Edge TPU: commands beside local_runner.py."""


@app.command()
def doctor(workspace: WorkspaceOption = Path("workspace")) -> None:
    """Say what is missing or of the wrong version, and what to do."""
    from reefline.verification.installation import Health, examine

    checks = examine(workspace)
    for check in checks:
        remedy = f"\n         {check.remedy}" if check.remedy else ""
        typer.echo(f"{check.health.value:>7}  {check.name}: {check.found}{remedy}")
    problems = sum(check.health is Health.PROBLEM for check in checks)
    typer.echo(f"{problems} problem(s) found" if problems else "all that is required is there")
    if problems:
        raise typer.Exit(2)


@app.command()
def verify(
    config: Annotated[
        Optional[Path], typer.Option(metavar="FILE", help="a YAML config; as local_runner.py takes it")
    ] = None,
    data: Annotated[Optional[Path], typer.Option(metavar="DIR", help="a folder of images with VOC annotations")] = None,
    overrides: Annotated[
        Optional[list[str]],
        typer.Option("--set", metavar="KEY=VALUE", help="override a value of the config; may be repeated"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
) -> None:
    """Try a run in small: every problem, the model's shapes and memory, and how long the whole training will take."""
    from reefline.commands.verify import run_verification
    from reefline.verification.verify import VerifyRequest

    request = VerifyRequest(config_file=config, data_dir=data, overrides=tuple(overrides or ()))
    raise typer.Exit(run_verification(request, as_json=as_json))


@app.command()
def detect(
    bundle: Annotated[
        Path, typer.Option(metavar="DIR", help="a pushed bundle, as <workspace>/serving/<model>/<version>")
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="images, or folders of images")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="where pictures and detections.json go")] = Path(
        "detections"
    ),
    min_score: Annotated[float, typer.Option(metavar="FRACTION", help="leave out what scores less, 0 to 1")] = 0.3,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|edgetpu", help="auto takes the Edge TPU where there is one")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="print what detections.json says, and nothing else")] = False,
) -> None:
    """Run a bundle on images: boxes drawn, detections as JSON, and how long the model takes. Needs no TensorFlow."""
    from reefline.commands.detect import run_detect

    exit_code = run_detect(
        bundle=bundle, images=tuple(images), out=out, min_score=min_score, device_name=device, as_json=as_json
    )
    raise typer.Exit(exit_code)


@app.command("parse-log")
def parse_log(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="what edgetpu_compiler printed, or the .log it wrote")],
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
) -> None:
    """Say what edgetpu_compiler's output means: whether it compiled, what maps, and why it failed."""
    from reefline.commands.edgetpu import run_parse_log

    run_parse_log(log, as_json=as_json)


@app.command("compile")
def compile_model(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="an int8 TFLite model")],
    out: Annotated[Optional[Path], typer.Option(metavar="DIR", help="where the compiled file goes [beside it]")] = None,
    image: Annotated[
        Optional[str], typer.Option(metavar="IMAGE", help="run the compiler from this image, by docker or podman")
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="S", help="give up after S seconds", min=1.0)
    ] = 600.0,
    min_runtime_version: Annotated[
        Optional[int], typer.Option(metavar="N", help="the oldest Edge TPU runtime that has to run it", min=10, max=14)
    ] = None,
    search_delegate: Annotated[
        bool, typer.Option("--search-delegate", help="on failure, try again with fewer operators")
    ] = False,
    delegate_search_step: Annotated[int, typer.Option(metavar="N", help="operators less for each new try", min=1)] = 1,
) -> None:
    """Compile one model for the Edge TPU, where edgetpu_compiler or an image of it is at hand."""
    from reefline.commands.edgetpu import make_compiler_settings, run_compile

    settings = make_compiler_settings(
        image=image,
        min_runtime_version=min_runtime_version,
        search_delegate=search_delegate,
        delegate_search_step=delegate_search_step,
        timeout_s=timeout_s,
    )
    run_compile(model, out, settings)


@app.command()
def analyze(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="an int8 model, or what the compiler wrote")],
    as_json: Annotated[bool, typer.Option("--json", help="print the record as JSON")] = False,
) -> None:
    """Say which operators will run on the Edge TPU, which will not, and why; of a compiled file, what it holds."""
    import json

    from reefline.edgetpu.analysis import analyze_model

    analysis = analyze_model(model)
    typer.echo(json.dumps(analysis.to_json(), indent=2, ensure_ascii=False) if as_json else analysis.to_text())


@app.command("train-worker")
def train_worker(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="the folder that the first worker's run prints")],
) -> None:
    """Join a training with several workers (trainer.strategy: multi_worker); TF_CONFIG names which one this is."""
    from reefline.od_api import compat

    compat.apply()
    from reefline.structures.artifacts import ModelRunFolder
    from reefline.training.worker import join_training

    join_training(ModelRunFolder(folder))


@app.command()
def rollback(
    workspace: WorkspaceOption = Path("workspace"),
    model: Annotated[
        str, typer.Option(metavar="NAME", help="the model; needed where the workspace serves more than one")
    ] = "",
) -> None:
    """Let the version serve again that the current one replaced."""
    from reefline.bundle import store

    record = store.rollback(workspace / "serving", model or _find_only_model(workspace / "serving"))
    typer.echo(
        f"{record.model}: version {record.serving_version} serves again, {record.withdrawn_version} is withdrawn"
    )


def _find_only_model(destination: Path) -> str:
    """Return the one model that is served.

    Raises:
        UsageError: there is none, or more than one.
    """
    names = sorted(path.name for path in destination.iterdir() if path.is_dir()) if destination.is_dir() else []
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(f"{destination}: no model is served here; name the workspace with --workspace DIR")
    raise UsageError(f"{destination}: serves {len(names)} models ({', '.join(names)}); name one with --model NAME")
