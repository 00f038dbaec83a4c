"""`reefline verify` on the terminal: what it says while it works, its report, its exit code."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

import typer

from reefline.system.terminal import escape_control, send_noise_to
from reefline.verification.records import VerificationReport
from reefline.verification.text import format_report
from reefline.verification.verify import VerifyRequest, verify


def run_verification(request: VerifyRequest, *, as_json: bool) -> int:
    """Verify, print the report, and return the exit code: 0 ready, 2 problems, 1 unexpected, 130 stopped by Ctrl-C.

    With `as_json` standard output holds the report alone, else also a line on each thing that is being done.
    """
    # TensorFlow reads it when it is imported, which `verify` does.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with tempfile.TemporaryDirectory(prefix="reefline-verify-") as directory:
            report = _verify_quietly(request, Path(directory), as_json=as_json)
    except KeyboardInterrupt:
        typer.echo("error: stopped by Ctrl-C", err=True)
        return 130
    except Exception as error:
        typer.echo(f"error: {_describe_unexpected(error)}", err=True)
        return 1
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(format_report(report)))
    return report.exit_code


def _verify_quietly(request: VerifyRequest, work_dir: Path, *, as_json: bool) -> VerificationReport:
    with send_noise_to(work_dir / "noise.log"), contextlib.ExitStack() as stack:
        if as_json:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        return verify(request, work_dir, lambda line: typer.echo(escape_control(f"… {line}")))


def _describe_unexpected(error: Exception) -> str:
    """Keep the traceback in a file and return one line that names it."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="reefline-verify-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        log.write("".join(traceback.format_exception(error)))
    first_line = next(iter(str(error).splitlines()), "")
    return escape_control(f"unexpected {type(error).__name__}: {first_line} (the traceback is in {log.name})")
