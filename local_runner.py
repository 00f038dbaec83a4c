"""Runs the whole pipeline on this machine: `python local_runner.py --data DIR`."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path

_DESCRIPTION = """\
From images with Pascal VOC annotations to a validated, trained, gated and pushed object detector.
Without arguments: configs/demo.yaml on a generated data set. With --data: configs/default.yaml on your images.
"""
_EXIT_CODES = """\
exit codes: 0 blessed and pushed; 3 refused by the gate, nothing pushed; 2 bad usage, config or data; 1 unexpected.
"""


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; a malformed one ends the process with exit code 2, as argparse does it."""
    parser = argparse.ArgumentParser(
        prog="local_runner.py",
        description=_DESCRIPTION,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="a YAML config; see configs/")
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder of images with VOC annotations")
    parser.add_argument(
        "--workspace", type=Path, metavar="DIR", default=Path("workspace"), help="where runs are kept (%(default)s)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a value of the config by its dotted name, such as trainer.num_steps=50; may be repeated",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline as the command line says and return the exit code."""
    parsed = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    from pipeline.local.run import RunRequest, describe_outcome, run_pipeline
    from pipeline.local.workspace import make_run_folder, open_workspace
    from reefline.errors import UserError

    try:
        workspace = open_workspace(parsed.workspace)
        run_folder = make_run_folder(workspace, datetime.datetime.now())
    except UserError as error:
        for problem in error.problems:
            _say(f"error: {problem}")
        return error.exit_code
    request = RunRequest(config_file=parsed.config, data_dir=parsed.data, overrides=tuple(parsed.set))
    outcome = run_pipeline(request, workspace, run_folder, _say)
    for line in describe_outcome(outcome, workspace):
        _say(line)
    return outcome.exit_code


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    exit_code = main()
    if exit_code > 128:
        # Stopped by a signal. All is written by now, and TensorFlow's input threads hold an orderly exit up for 12 s.
        os._exit(exit_code)
    sys.exit(exit_code)
