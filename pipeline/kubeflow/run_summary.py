"""Ends a run on KFP: `python -m pipeline.kubeflow.run_summary` writes its summary, its page and its metrics.

The page is the output `page` (system.HTML), the metrics are those of `metrics` (system.Metrics), which KFP's UI
compares between runs. Page and summary are also written to where reports are kept.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.kubeflow.contract import EXECUTOR_INPUT_OPTION, MODEL_VARIABLE, SUMMARY_TASK
from pipeline.kubeflow.executor_input import ExecutorInput, write_executor_output
from pipeline.kubeflow.publish import publish
from pipeline.kubeflow.run_outputs import describe_run, name_outputs, read_seconds
from pipeline.kubeflow.stop import run_plain_task
from reefline.report.collect import collect
from reefline.report.environment import read_environment
from reefline.report.reviewed_run import ReviewedRun
from reefline.report.run_folder import PAGE_FILE, SUMMARY_FILE
from reefline.report.run_page import make_run_page
from reefline.report.summary import RunRecords, Summary, Verdict, decide_verdict, format_summary, summarize
from reefline.report.text import describe_results
from reefline.system.terminal import say

_METRICS = ("mAP", "mAP_50", "mAP_75")


def write_run_summary(task: ExecutorInput) -> None:
    """Write the outputs of the task, and publish them.

    Raises:
        RecordError: an artifact is damaged.
        OSError: the place of the reports cannot be written.
    """
    model = os.environ.get(MODEL_VARIABLE, "")
    seconds = read_seconds(task.inputs, task.run_id)
    records = collect(task.run_id, model, seconds, name_outputs(task.inputs), None)
    summary = format_summary(records)
    pages, problems = _make_pages(task, records)
    metrics = list_metrics(records)
    # KFP shows the metadata of the metrics; the release without ML Metadata refuses an output that has no file.
    contents = {"summary": summary, "page": pages[PAGE_FILE], "metrics": json.dumps(metrics, indent=2) + "\n"}
    for name, content in contents.items():
        path = task.outputs[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    folder = publish(task.run_id, {SUMMARY_FILE: summary, **pages})
    for line in (*describe_results(Summary.from_records(records)), *(f"note: {problem}" for problem in problems)):
        say(line)
    say(f"verdict: {decide_verdict(records).value}")
    say(f"bundle: {records.pushed.path if records.pushed else 'none (nothing was pushed)'}")
    if folder:
        say(f"report: {folder}/{PAGE_FILE}")
    write_executor_output(task, {"summary": {}, "page": {}, "metrics": metrics})


def list_metrics(records: RunRecords) -> dict[str, Any]:
    """Return the numbers that KFP compares between runs: 1 for a blessed model, and the metrics that are known."""
    scores = summarize(records)["metrics"]
    found = {
        f"{which}_{name}": scores[which][name]
        for which in ("int8", "float", "baseline")
        if scores[which] is not None
        for name in _METRICS
    }
    training = {"training_seconds": records.training.seconds} if records.training else {}
    numbers = {**found, **training, "version": records.pushed.version if records.pushed else None}
    known = {name: value for name, value in numbers.items() if value is not None and math.isfinite(value)}
    return {"blessed": int(decide_verdict(records) is Verdict.BLESSED), **known}


def _make_pages(task: ExecutorInput, records: RunRecords) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the page and the pages that it links to, by name, and what is missing in them."""
    run = describe_run(task.inputs, task.run_id)
    with tempfile.TemporaryDirectory() as scratch:
        reviewed = ReviewedRun(
            records=records,
            workspace=Path(scratch),
            environment=read_environment(),
            config=str(task.parameters["config"]),
            date=run.started.strftime("%Y-%m-%d %H:%M UTC"),
            run=run,
        )
        page, problems = make_run_page(reviewed, Path(scratch))
        linked = {path.name: path.read_text(encoding="utf-8") for path in Path(scratch).glob("*.html")}
    return {**linked, PAGE_FILE: page}, problems


def main(arguments: Sequence[str]) -> int:
    """Write the summary and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.kubeflow.run_summary")
    parser.add_argument(EXECUTOR_INPUT_OPTION, required=True)
    known = parser.parse_args(arguments)
    return run_plain_task(SUMMARY_TASK, known.executor_input, write_run_summary)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
