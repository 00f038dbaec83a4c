"""Work in a Python process of its own: it gives back all it took, and its death is not its parent's."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

from reefline.errors import ReeflineError

_REPOSITORY = Path(__file__).resolve().parents[2]
# The cluster is the parent's: the child is a process by itself.
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
    """Run `python -m module folder` to its end; what goes in and what comes out are files of the folder.

    `who` is how a message names the process. `on_cpu` hides GPUs, whose memory may be the parent's. A child that
    `is_worker` takes the parent's place in the cluster, and its standard output is shown.

    Raises:
        ReeflineError: the process failed, and the message holds its last lines, or it took longer than `timeout_s`.
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
        raise ReeflineError(f"{who} was ended after {timeout_s:g} s") from error
    if run.returncode:
        said = run.stderr.decode("utf-8", "replace").strip()
        _logger.error("%s wrote:\n%s", who, said)
        last_lines = said.splitlines()[-_SHOWN_LINES:]
        raise ReeflineError(f"{who} {_describe_end(run.returncode)}: {' | '.join(last_lines)}")


def _describe_end(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    return f"was ended by signal {-code}{' (out of memory?)' if code == -signal.SIGKILL else ''}"
