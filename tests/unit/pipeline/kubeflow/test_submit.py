"""submit against a small KFP API over HTTP: what is sent, and the exit code of each verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.kubeflow.submit import Submission, submit
from reefline.errors import ConfigError, ReeflineError, UsageError
from reefline.system.terminal import say
from tests.factories_kubeflow import compile_package
from tests.fake_kfp_api import RUN_ID, FakeKfp, serve_kfp

VOLUME = "/path/of/the/volume"


@pytest.fixture
def kfp() -> Iterator[FakeKfp]:
    """A server of its own for each test."""
    with serve_kfp() as fake:
        yield fake


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package whose reports lie in a volume at `tmp_path`; it is compiled once for all tests."""
    override = f"kubeflow.volumes=[{{claim: data, path: {VOLUME}}}]"
    path = tmp_path / "pipeline.yaml"
    text = compile_package(override, data=f"{VOLUME}/data", serving=f"{VOLUME}/serving").format()
    path.write_text(text.replace(VOLUME, str(tmp_path)))
    return path


def _submit(kfp: FakeKfp, package: Path, **options: object) -> tuple[int, str]:
    said: list[str] = []
    submission = Submission(package, kfp.host, "nightly", poll_s=0.01, **options)  # type: ignore[arg-type]
    return submit(submission, said.append), "\n".join(said)


def _keep_summary(folder: Path, verdict: str, message: str = "") -> None:
    (folder / "reports" / RUN_ID).mkdir(parents=True)
    failure = {"component": "VocExampleGen", "message": message} if message else None
    summary = {"verdict": verdict, "failure": failure}
    (folder / "reports" / RUN_ID / "summary.json").write_text(json.dumps(summary))


def test_a_run_gets_the_complete_package(kfp: FakeKfp, package: Path) -> None:
    code, said = _submit(kfp, package, service_account="trainer")
    assert code == 0 and f"run: {RUN_ID} ({kfp.host}/#/runs/details/{RUN_ID})" in said
    (body,) = kfp.bodies("runs")
    assert body["service_account"] == "trainer"
    assert body["pipeline_spec"]["pipeline_spec"]["schemaVersion"] == "2.1.0"
    tasks = body["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]
    assert tasks["VocExampleGen"]["cachingOptions"] == {"enableCache": True}
    assert "enableCache" not in tasks["Pusher"].get("cachingOptions", {})
    assert "kubernetes" in body["pipeline_spec"]["platform_spec"]["platforms"]


def test_cron_makes_a_recurring_run(kfp: FakeKfp, package: Path) -> None:
    assert _submit(kfp, package, cron="0 0 2 * * *") == (0, "recurring run: r1 (0 0 2 * * *)")
    (body,) = kfp.bodies("recurringruns")
    assert body["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * *"}}
    assert body["no_catchup"] is True and int(body["max_concurrency"]) == 1


def test_a_version_is_kept_and_run(kfp: FakeKfp, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit(Submission(package, kfp.host, "nightly", version="v1.2.0"), say) == 0
    # From standard output: what the SDK prints there is not shown.
    said = capsys.readouterr().out
    assert said.startswith(f"version: v1.2.0 ({kfp.host}/#/pipelines/details/id-of-reefline/version/id-of-v1.2.0)\n")
    # The complete file, with the platform document.
    assert package.read_text() in kfp.versions["reefline"]["v1.2.0"].replace("\r\n", "\n")
    (body,) = kfp.bodies("runs")
    expected = {"pipeline_id": "id-of-reefline", "pipeline_version_id": "id-of-v1.2.0"}
    assert body["pipeline_version_reference"] == expected and "pipeline_spec" not in body
    _submit(kfp, package, version="v1.3.0", cron="0 0 2 * * *")
    (body,) = kfp.bodies("recurringruns")
    assert body["pipeline_version_reference"] == {**expected, "pipeline_version_id": "id-of-v1.3.0"}
    assert list(kfp.versions) == ["reefline"] and list(kfp.versions["reefline"]) == ["v1.2.0", "v1.3.0"]


def test_a_version_does_not_change(kfp: FakeKfp, package: Path) -> None:
    kfp.versions = {"reefline": {"v1": "kept"}}
    with pytest.raises(
        UsageError, match=r"--version v1: the pipeline reefline has a version of this name, .*pass another"
    ):
        _submit(kfp, package, version="v1")
    assert kfp.versions == {"reefline": {"v1": "kept"}} and not kfp.bodies("runs")


def test_a_refused_upload_is_one_line(kfp: FakeKfp, package: Path) -> None:
    kfp.refusal = "Error creating pipeline version: too large"
    with pytest.raises(
        UsageError, match=r"KFP refused the request: Error creating pipeline version: too large \(500\)$"
    ):
        _submit(kfp, package, version="v1")


@pytest.mark.parametrize(
    ("verdict", "state", "code"),
    [
        pytest.param("BLESSED", "SUCCEEDED", 0, id="pushed"),
        pytest.param("NOT_BLESSED", "SUCCEEDED", 3, id="refused"),
        pytest.param("FAILED", "FAILED", 2, id="user-error"),
        pytest.param(None, "FAILED", 1, id="unexpected"),
        pytest.param(None, "CANCELED", 1, id="cancelled"),
        pytest.param("BLESSED", "FAILED", 1, id="contradiction"),
    ],
)
def test_wait_exits_with_the_code_of_the_verdict(
    verdict: str | None, state: str, code: int, kfp: FakeKfp, package: Path
) -> None:
    kfp.states = ["PENDING", "RUNNING", state]
    if verdict is not None:
        _keep_summary(package.parent, verdict, "a.xml: xmax 3 is left of xmin 9" if verdict == "FAILED" else "")
    found, said = _submit(kfp, package, wait=True)
    assert found == code
    assert f"verdict: {verdict or 'unknown'} (KFP: {state})" in said
    assert ("error: a.xml: xmax 3 is left of xmin 9" in said) == (verdict == "FAILED")


def test_a_run_that_takes_too_long_keeps_running(kfp: FakeKfp, package: Path) -> None:
    kfp.states = ["RUNNING"]
    with pytest.raises(ReeflineError, match=f"still RUNNING after 0 s; it keeps running: {kfp.host}/#/") as caught:
        _submit(kfp, package, wait=True, timeout_s=0)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "failures",
    [
        pytest.param([502, 503, 429], id="gateway"),
        pytest.param([0] * 4, id="connection"),
    ],
)
def test_waiting_outlasts_an_api_that_is_away_for_a_moment(failures: list[int], kfp: FakeKfp, package: Path) -> None:
    kfp.failures, kfp.states = failures, ["RUNNING", "SUCCEEDED"]
    _keep_summary(package.parent, "BLESSED")
    assert _submit(kfp, package, wait=True)[0] == 0
    assert not kfp.failures


def test_a_connection_that_stays_lost_names_the_run(kfp: FakeKfp, package: Path) -> None:
    kfp.failures = [502] * 50
    with pytest.raises(ReeflineError, match=rf"lost the connection \(502 .*: {kfp.host}/#/runs/") as caught:
        _submit(kfp, package, wait=True, patience_s=0)
    assert caught.value.exit_code == 1


def test_a_run_that_was_deleted_is_not_waited_for(kfp: FakeKfp, package: Path) -> None:
    kfp.failures = [404]
    with pytest.raises(UsageError, match=r"KFP refused the request: not now \(404\)"):
        _submit(kfp, package, wait=True)


def test_a_refusal_of_the_api_is_one_line(kfp: FakeKfp, package: Path) -> None:
    kfp.refusal = "unknown template format"
    with pytest.raises(UsageError, match=r"KFP refused the request: unknown template format \(400\)"):
        _submit(kfp, package)


def test_an_api_that_does_not_answer_is_one_line(package: Path) -> None:
    with pytest.raises(UsageError, match=r"http://127\.0\.0\.1:9: KFP's API does not answer"):
        submit(Submission(package, "http://127.0.0.1:9", "nightly"), print)


def test_a_package_with_errors_is_not_submitted(kfp: FakeKfp, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(compile_package(serving="/app/serving").format())
    with pytest.raises(ConfigError, match="/app/serving is lost with the pod"):
        _submit(kfp, path)
    assert not kfp.requests


def test_a_recurring_run_has_no_verdict_to_wait_for(kfp: FakeKfp, package: Path) -> None:
    with pytest.raises(UsageError, match="--wait: a recurring run has no end"):
        _submit(kfp, package, cron="0 0 2 * * *", wait=True)
