"""Work in a separate Python process: its memory is freed when it ends, and its crash does not crash the parent."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

from reefline.errors import ReeflineError

_REPOSITORY = Path(__file__).resolve().parents[2]
# Only the parent is part of the cluster.
_CLUSTER_VARIABLE = "TF_CONFIG"
_GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"
_NO_GPU = "-1"
_SHOWN_LINES = 5
_logger = logging.getLogger(__name__)


def run_module(
    module: str,
    folder: Path,
    who: str,
    *,
    timeout_s: float | None = None,
    on_cpu: bool = False,
    is_worker: bool = False,
) -> None:
    """Run `python -m module folder` and wait for it; its input and output are files in the folder.

    `who` names the process in messages. `on_cpu` hides the GPUs, whose memory the parent may have claimed. A child that
    `is_worker` takes the parent's place in the cluster, and its standard output is shown.

    Raises:
        ReeflineError: the process failed (the message has its last lines), or took longer than `timeout_s`.
    """
    environment = dict(os.environ)
    if not is_worker:
        environment.pop(_CLUSTER_VARIABLE, None)
    paths = [str(_REPOSITORY), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    if on_cpu:
        environment[_GPU_VARIABLE] = _NO_GPU
    command = [sys.executable, "-m", module, str(folder)]
    try:
        run = subprocess.run(
            command,
            env=environment,
            stdout=None if is_worker else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise ReeflineError(f"{who} timed out after {timeout_s:g} s") from error
    if run.returncode:
        output = run.stderr.decode("utf-8", "replace").strip()
        _logger.error("%s wrote:\n%s", who, output)
        last_lines = output.splitlines()[-_SHOWN_LINES:]
        raise ReeflineError(f"{who} {_describe_end(run.returncode)}: {' | '.join(last_lines)}")


def _describe_end(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    return f"was killed by signal {-code}{' (out of memory?)' if code == -signal.SIGKILL else ''}"
