"""The command line of kubeflow_runner.py."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from reefline.commands.options import OverridesOption
from reefline.commands.usage_errors import CommandGroup, needs
from reefline.errors import ReeflineError
from reefline.system.extras import Extra
from reefline.system.terminal import say

_EXIT_CODES = (
    "Exit codes: 0 done (submit --wait: blessed and pushed); 3 refused by the gate, nothing pushed; 2 bad usage, "
    "config, data or package; 1 unexpected error, or submit --wait gave up waiting."
)


class Target(str, enum.Enum):
    """What runs the package."""

    KFP = "kfp"
    VERTEX = "vertex"


class _Commands(CommandGroup):
    """Explains giving up on a run, too, which no user can fix."""

    explained = ReeflineError


app = typer.Typer(
    cls=_Commands,
    help="Compile, check and submit the pipeline for Kubeflow Pipelines v2.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

PackageArgument = Annotated[Path, typer.Argument(metavar="PIPELINE.yaml", help="a compiled package")]


@app.command("compile", cls=needs(Extra.PIPELINE))
def compile_package(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="a YAML config; see configs/")],
    image: Annotated[
        str, typer.Option("--image", metavar="NAME@sha256:…", help="the image of every task, with its digest")
    ],
    data: Annotated[
        str, typer.Option("--data", metavar="URI", help="the data set: s3://…, gs://…, a path in a volume, or demo:")
    ],
    serving: Annotated[str, typer.Option("--serving", metavar="URI", help="the folder that bundles are pushed to")],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="the package to write")] = Path(
        "pipeline.yaml"
    ),
    target: Annotated[
        Target, typer.Option("--target", help="kfp, or vertex for TFX's own package as JSON")
    ] = Target.KFP,
    overrides: OverridesOption = None,
) -> None:
    """Compile a package. Run it inside the image: the package and the image must have the same code."""
    from pipeline.kubeflow.compile import compile_to_file, read_request

    is_vertex = target is Target.VERTEX
    request = read_request(config, tuple(overrides or ()), image, data, serving, for_vertex=is_vertex)
    for line in compile_to_file(request, output):
        say(line)


@app.command("lint", cls=needs(Extra.PIPELINE))
def lint_package(package: PackageArgument) -> None:
    """Name what Kubeflow Pipelines would refuse in a package, and what cannot work, with the fix."""
    from pipeline.kubeflow.lint import lint_file

    findings = lint_file(package)
    for finding in findings:
        say(str(finding))
    errors = sum(finding.is_error for finding in findings)
    say(f"{package}: {errors} errors, {len(findings) - errors} warnings")
    raise typer.Exit(2 if errors else 0)


@app.command("submit", cls=needs(Extra.PIPELINE))
def submit_package(
    package: PackageArgument,
    host: Annotated[str, typer.Option("--host", metavar="URL", help="the address of KFP's API")],
    experiment: Annotated[str, typer.Option("--experiment", metavar="NAME", help="created if missing")],
    version: Annotated[
        Optional[str],
        typer.Option(
            "--version", metavar="NAME", help="keep the package as this version of its pipeline, and run that"
        ),
    ] = None,
    cron: Annotated[
        Optional[str], typer.Option("--cron", metavar="EXPRESSION", help='run it regularly, such as "0 0 2 * * *"')
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="wait for the run, and exit with the code of its verdict")
    ] = False,
    timeout_s: Annotated[
        int, typer.Option("--timeout", metavar="SECONDS", min=1, help="how long to wait for the run")
    ] = 86_400,
    namespace: Annotated[Optional[str], typer.Option("--namespace", help="in a multi-user deployment")] = None,
    service_account: Annotated[Optional[str], typer.Option("--service-account", help="that the pods run as")] = None,
) -> None:
    """Submit a package as a run, or as a recurring run with --cron."""
    from pipeline.kubeflow.submit import Submission, submit

    submission = Submission(
        package,
        host,
        experiment,
        version=version,
        cron=cron,
        wait=wait,
        timeout_s=timeout_s,
        namespace=namespace,
        service_account=service_account,
    )
    raise typer.Exit(submit(submission, say))
