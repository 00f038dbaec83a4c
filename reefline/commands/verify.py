"""`reefline verify`."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reefline.commands.options import ConfigOption, DataOption, JsonOption, MinutesOption, OverridesOption
from reefline.commands.unexpected import describe_unexpected
from reefline.config.run_request import RunRequest, check_minutes
from reefline.system.terminal import say, say_error, say_json, send_noise_to

if TYPE_CHECKING:
    from reefline.verification.records import VerificationReport

RememberingWorkspaceOption = Annotated[
    Optional[Path],
    typer.Option("--workspace", metavar="DIR", help="use what was recommended for this data in this workspace"),
]


def verify(
    config: ConfigOption = None,
    data: DataOption = None,
    overrides: OverridesOption = None,
    minutes: MinutesOption = None,
    workspace: RememberingWorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a run before starting it. Reports all problems, the model's shapes and memory, and the training time.

    With --data but without --config, a config is recommended first, as local_runner.py does.
    """
    from reefline.data.spans import join_folders

    data_dir = join_folders(data) if data else None
    request = RunRequest(config_file=config, data_dir=data_dir, overrides=tuple(overrides or ()), minutes=minutes)
    check_minutes(request)
    raise typer.Exit(_run_verification(request, workspace, as_json=as_json))


def _run_verification(request: RunRequest, workspace: Path | None, *, as_json: bool) -> int:
    """Verify, print the report, and return the exit code: 0 ready, 2 problems, 1 unexpected, 130 stopped by Ctrl-C.

    With `as_json` standard output has the report alone, otherwise also a line for each stage.
    """
    # TensorFlow reads it when it is imported, which verifying does.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with tempfile.TemporaryDirectory(prefix="reefline-verify-") as directory:
            report = _verify_quietly(request, workspace, Path(directory), as_json=as_json)
    except KeyboardInterrupt:
        say_error("stopped by Ctrl-C")
        return 130
    except Exception as error:
        say_error(describe_unexpected(error, "verify"))
        return 1
    _print(report, as_json=as_json)
    return report.exit_code


def _verify_quietly(
    request: RunRequest, workspace: Path | None, work_dir: Path, *, as_json: bool
) -> VerificationReport:
    from reefline.recommendation.verify import verify_recommended
    from reefline.verification.verify import verify

    def report_stage(line: str) -> None:
        say(f"… {line}")

    with send_noise_to(work_dir / "noise.log"), contextlib.ExitStack() as stack:
        if as_json:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        if request.asks_for_recommendation:
            return verify_recommended(request, workspace, work_dir, report_stage)
        return verify(request, work_dir, report_stage)


def _print(report: VerificationReport, *, as_json: bool) -> None:
    from reefline.verification.text import format_report

    if as_json:
        say_json(report.to_json())
        return
    for line in format_report(report):
        say(line)
