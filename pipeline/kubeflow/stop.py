"""Runs a task, and ends it: its exit code, its messages, and the summary of a run that it stops."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from pipeline.kubeflow.contract import MODEL_VARIABLE
from pipeline.kubeflow.environment import prepare_home
from pipeline.kubeflow.executor_input import ExecutorInput, parse_executor_input
from reefline.errors import ReeflineError, UserError
from reefline.system.files import is_out_of_space
from reefline.system.terminal import say_error

_USER_ERROR = 2


@dataclass(frozen=True)
class PodTask:
    """What a pod has to do; `component` is its name in summary.json."""

    component: str
    given: ExecutorInput
    run: Callable[[], None]


def run_plain_task(name: str, executor_input: str, run: Callable[[ExecutorInput], None]) -> int:
    """Run a task that is no TFX component on its ExecutorInput as text, and return its exit code."""
    prepare_home()

    def read() -> PodTask:
        given = parse_executor_input(executor_input)
        return PodTask(name, given, lambda: run(given))

    return run_task(read)


def run_task(read: Callable[[], PodTask]) -> int:
    """Read what a pod has to do, do it, and return the exit code.

    What the user can fix is one line per problem, and a FAILED summary where summaries are kept; anything else keeps
    its traceback.
    """
    task: Optional[PodTask] = None
    try:
        task = read()
        task.run()
    except UserError as error:
        return _stop(error, error.problems, task)
    except Exception as error:
        if not is_out_of_space(error):
            raise
        problem = "no space left on the pod's disk; give the task more ephemeral storage, or a larger volume"
        return _stop(error, (problem,), task)
    return 0


def _stop(error: Exception, problems: tuple[str, ...], task: Optional[PodTask]) -> int:
    """Print the problems, and keep the summary of a run that this task ends; None if the task could not be read."""
    for problem in problems:
        say_error(problem)
    if task is not None:
        try:
            _publish_failure(error, problems, task.component, task.given)
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
    from reefline.report.run_folder import SUMMARY_FILE
    from reefline.report.summary import Failure, format_summary

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
    if not publish(task.run_id, {SUMMARY_FILE: format_summary(records)}):
        say_error("the summary of this run is not kept: no place for reports is set")
