"""Submits a package to KFP's API, and turns the end of its run into an exit code."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pipeline.kubeflow.contract import REPORTS_VARIABLE, SUMMARY_TASK
from pipeline.kubeflow.publish import read_published
from pipeline.kubeflow.upload import PipelineVersion, upload_version
from reefline.errors import ConfigError, ReeflineError, UsageError, UserError
from reefline.report.run_folder import SUMMARY_FILE

if TYPE_CHECKING:
    from kfp import Client

_POLL_S = 5.0
# How long an API that does not answer is asked again: a rollout of its pods, or a gateway that restarts.
_PATIENCE_S = 300.0
# 0: no HTTP answer at all.
_TRANSIENT = (0, 408, 429)
_SUCCEEDED = "SUCCEEDED"
_ENDED = (_SUCCEEDED, "FAILED", "SKIPPED", "CANCELED", "ERROR")
_EXIT_CODES = {"BLESSED": 0, "NOT_BLESSED": 3, "FAILED": 2}
_UNKNOWN = 1


@dataclass(frozen=True)
class Submission:
    """What a command line asks for; with `cron`, a recurring run, and with `version`, a package that KFP keeps."""

    package: Path
    host: str
    experiment: str
    version: Optional[str] = None
    cron: Optional[str] = None
    wait: bool = False
    timeout_s: int = 86_400
    namespace: Optional[str] = None
    service_account: Optional[str] = None
    poll_s: float = _POLL_S
    patience_s: float = _PATIENCE_S

    def make_address(self, run_id: str) -> str:
        """Return where KFP's UI shows a run."""
        return f"{self.host.rstrip('/')}/#/runs/details/{run_id}"


def submit(submission: Submission, say: Callable[[str], None]) -> int:
    """Submit a package, and return the exit code: with `wait`, that of the run's verdict.

    Raises:
        UsageError: the API cannot be reached or refuses the package, it has the version already, or --wait is combined
            with --cron.
        ConfigError: lint finds errors.
        ReeflineError: the run is not over in time, or the connection is lost while waiting.
    """
    if submission.cron and submission.wait:
        raise UsageError("--wait: a recurring run has no end; drop --cron or --wait")
    pipeline = _read_checked(submission.package)
    name = f"{pipeline['pipelineInfo']['name']} {datetime.datetime.now():%Y-%m-%d %H-%M-%S}"
    with _explaining(submission.host):
        client = _connect(submission)
        experiment = client.create_experiment(submission.experiment, namespace=submission.namespace).experiment_id
        kept = _keep_version(client, pipeline, submission)
    if kept is not None:
        say(f"version: {submission.version} ({kept.make_address(submission.host)})")
    source = _name_source(submission, kept)
    with _explaining(submission.host):
        if submission.cron:
            recurring_id = _create_recurring_run(client, experiment, name, submission, source)
        else:
            run_id = _create_run(client, experiment, name, submission, source)
    if submission.cron:
        say(f"recurring run: {recurring_id} ({submission.cron})")
        return 0
    say(f"run: {run_id} ({submission.make_address(run_id)})")
    if not submission.wait:
        return 0
    with _explaining(submission.host):
        state = _wait(client, run_id, submission)
    return _conclude(state, run_id, pipeline, say)


def _keep_version(client: Client, pipeline: Mapping[str, Any], submission: Submission) -> Optional[PipelineVersion]:
    if submission.version is None:
        return None
    name = pipeline["pipelineInfo"]["name"]
    return upload_version(client, submission.package, name, submission.version, submission.namespace)


def _name_source(submission: Submission, kept: Optional[PipelineVersion]) -> Mapping[str, str]:
    """Return what a run is made from, as arguments of the SDK: the package itself, or the version that KFP keeps."""
    if kept is None:
        return {"pipeline_package_path": str(submission.package)}
    return {"pipeline_id": kept.pipeline_id, "version_id": kept.version_id}


def _create_run(client: Client, experiment: str, name: str, submission: Submission, source: Mapping[str, str]) -> str:
    run = client.run_pipeline(experiment, name, service_account=submission.service_account, **source)
    return str(run.run_id)


def _create_recurring_run(
    client: Client, experiment: str, name: str, submission: Submission, source: Mapping[str, str]
) -> str:
    recurring = client.create_recurring_run(
        experiment,
        name,
        cron_expression=submission.cron,
        max_concurrency=1,
        no_catchup=True,
        service_account=submission.service_account,
        **source,
    )
    return str(recurring.recurring_run_id)


def _read_checked(package: Path) -> Mapping[str, Any]:
    import yaml

    from pipeline.kubeflow.lint import lint_file

    errors = [finding.describe() for finding in lint_file(package) if finding.is_error]
    if errors:
        raise ConfigError(*errors)
    pipeline: Mapping[str, Any] = next(yaml.safe_load_all(package.read_text(encoding="utf-8")))
    return pipeline


def _connect(submission: Submission) -> Client:
    from kfp import Client

    with warnings.catch_warnings():
        # It warns of KFP 1 at every start.
        warnings.simplefilter("ignore", FutureWarning)
        return Client(host=submission.host, namespace=submission.namespace or "kubeflow")


@contextlib.contextmanager
def _explaining(host: str) -> Iterator[None]:
    """Turn the SDK's errors into one line, and keep what it prints out of the terminal."""
    import kfp_server_api
    import urllib3

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except urllib3.exceptions.HTTPError as error:
        raise UsageError(f"{host}: KFP's API does not answer ({type(error).__name__}); check --host") from error
    except kfp_server_api.ApiException as error:
        raise UsageError(f"{host}: KFP refused the request: {_read_reason(error)}") from error


def _read_reason(error: Any) -> str:
    """Return the message in the body of an API error."""
    try:
        body = json.loads(error.body)
    except (TypeError, ValueError):
        return f"{error.status} {error.reason}"
    # error_message: of uploads, whose other key has a stack trace.
    keys = ("message", "error_message", "error")
    message = next((body[key] for key in keys if body.get(key)), None) if isinstance(body, dict) else None
    return f"{message or error.reason} ({error.status})"


def _wait(client: Client, run_id: str, submission: Submission) -> str:
    """Return the state that a run ended in.

    Raises:
        ReeflineError: it is not over in time, or the API does not answer for `patience_s`.
    """
    address = submission.make_address(run_id)
    state, answered = "", time.monotonic()
    deadline = answered + submission.timeout_s
    while True:
        found, problem = _ask_state(client, run_id)
        if found is not None:
            state, answered = found, time.monotonic()
        if state in _ENDED:
            return state
        if time.monotonic() >= deadline:
            raise ReeflineError(
                f"run {run_id}: still {state or 'pending'} after {submission.timeout_s} s; it keeps running: "
                f"{address}. Pass a larger --timeout to wait longer"
            )
        if problem and time.monotonic() >= answered + submission.patience_s:
            raise ReeflineError(
                f"run {run_id}: lost the connection ({problem}, for {submission.patience_s:.0f} s); the run may still "
                f"be running: {address}"
            )
        time.sleep(submission.poll_s)


def _ask_state(client: Client, run_id: str) -> tuple[Optional[str], str]:
    """Return the state of a run, or None and the problem if asking again may help."""
    import kfp_server_api
    import urllib3

    try:
        return str(client.get_run(run_id).state or "").upper(), ""
    except urllib3.exceptions.HTTPError as error:
        return None, type(error).__name__
    except kfp_server_api.ApiException as error:
        if error.status not in _TRANSIENT and error.status < 500:
            raise
        return None, f"{error.status} {error.reason}"


def _conclude(state: str, run_id: str, pipeline: Mapping[str, Any], say: Callable[[str], None]) -> int:
    """Return the exit code of a run that ended: its summary has the verdict, KFP only whether all tasks succeeded."""
    reports = _find_reports(pipeline)
    try:
        text = read_published(reports, run_id, SUMMARY_FILE)
    except UserError as error:
        say(f"note: {reports}/{run_id}/{SUMMARY_FILE} cannot be read: {error}")
        text = None
    summary = json.loads(text) if text is not None else {}
    verdict = summary.get("verdict", "unknown")
    for line in (summary.get("failure") or {}).get("message", "").splitlines():
        say(f"error: {line}")
    say(f"verdict: {verdict} (KFP: {state})")
    if text is not None:
        say(f"report: {reports}/{run_id}/{SUMMARY_FILE}")
    is_plausible = (verdict == "FAILED") != (state == _SUCCEEDED)
    return _EXIT_CODES.get(verdict, _UNKNOWN) if is_plausible else _UNKNOWN


def _find_reports(pipeline: Mapping[str, Any]) -> str:
    executor = pipeline["deploymentSpec"]["executors"].get(f"{SUMMARY_TASK}_executor", {})
    variables = executor.get("container", {}).get("env", ())
    return next((one["value"] for one in variables if one["name"] == REPORTS_VARIABLE), "")
