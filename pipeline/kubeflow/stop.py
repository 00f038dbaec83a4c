"""How a task ends: its exit code, its messages, and the summary of a run that it stops."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Optional

from pipeline.kubeflow.contract import MODEL_VARIABLE
from pipeline.kubeflow.executor_input import ExecutorInput
from reefline.errors import ReeflineError, UserError
from reefline.system.files import is_out_of_space
from reefline.system.terminal import say_error

SUMMARY_FILE = "summary.json"
_USER_ERROR = 2


def run_task(run: Callable[[], None], identify: Callable[[], tuple[str, Optional[ExecutorInput]]]) -> int:
    """Run a task and return its exit code.

    What the user can fix is one line per problem, and a FAILED summary where summaries are kept; anything else keeps
    its traceback. `identify` returns the component's name and its input, as far as they are known.
    """
    try:
        run()
    except UserError as error:
        return _stop(error, error.problems, *identify())
    except Exception as error:
        if not is_out_of_space(error):
            raise
        problem = "no space left on the pod's disk; give the task more ephemeral storage, or a larger volume"
        return _stop(error, (problem,), *identify())
    return 0


def _stop(error: Exception, problems: tuple[str, ...], component: str, task: Optional[ExecutorInput]) -> int:
    for problem in problems:
        say_error(problem)
    if task is not None:
        try:
            _publish_failure(error, problems, component, task)
        except (OSError, ReeflineError) as failure:
            say_error(f"the summary of this run is not kept: {failure}")
    return _USER_ERROR


def _publish_failure(error: Exception, problems: tuple[str, ...], component: str, task: ExecutorInput) -> None:
    # Imported here: a task that succeeds imports none of it.
    from pipeline.kubeflow.publish import publish
    from pipeline.kubeflow.run_outputs import name_outputs, read_seconds
    from reefline.edgetpu.record import PreflightError
    from reefline.errors import DataError, RecordError
    from reefline.report.collect import EarlyEnd, collect
    from reefline.report.summary import Failure, summarize

    end = EarlyEnd(
        Failure(component, "\n".join(problems)),
        error.findings if isinstance(error, DataError) else (),
        error.edgetpu if isinstance(error, PreflightError) else None,
    )
    model, seconds = os.environ.get(MODEL_VARIABLE, ""), read_seconds(task.inputs, task.run_id)
    try:
        records = collect(task.run_id, model, seconds, name_outputs(task.inputs), end)
    except RecordError:
        records = collect(task.run_id, model, seconds, {}, end)
    publish(task.run_id, {SUMMARY_FILE: json.dumps(summarize(records), indent=2, ensure_ascii=False) + "\n"})
