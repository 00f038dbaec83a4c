"""The process that containers are forked from: `python -m tests.kubeflow.emulation.fork_server`.

It reads one JSON object per line and answers with the child's pid, and later with its status.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import tempfile
import traceback
from collections.abc import Mapping
from typing import Any

_PRELOADED = (
    "pipeline.kubeflow.entrypoint",
    "tensorflow",
    "apache_beam",
    "tfx.dsl.components.base.base_beam_executor",
    "tfx.types.standard_artifacts",
    "tfx.dsl.component.experimental.decorators",
    "tensorflow_data_validation",
)


def main() -> None:
    """Import what tasks import, then fork for each line of the standard input."""
    answers = os.fdopen(os.dup(1), "w")
    # What an import prints is no answer.
    os.dup2(2, 1)
    _preload()
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(_run(request))
        print(json.dumps({"pid": pid}), file=answers, flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), file=answers, flush=True)


def _preload() -> None:
    import importlib

    from pipeline.kubeflow.environment import prepare_environment

    prepare_environment()
    for module in _PRELOADED:
        importlib.import_module(module)


def _run(request: Mapping[str, Any]) -> int:
    os.setsid()
    descriptor = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    # Made up from the environment when it was first asked for.
    tempfile.tempdir = None
    sys.argv = [request["module"], *request["arguments"]]
    try:
        # The server imported the module already; a copy runs as the program.
        sys.modules.pop(request["module"], None)
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    main()
