"""local_runner.py where a run stops before the pipeline: exit code, message, report."""

from __future__ import annotations

import dataclasses
import errno
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import local_runner
from pipeline.local import recommended, run
from pipeline.local.stop import Terminated
from pipeline.local.workspace import Workspace, hold_lock, open_workspace
from reefline.config.overrides import Override, parse_override
from reefline.config.run_config import CONFIG_DIR, load_config
from reefline.errors import DataError, RecordError
from reefline.findings import Action, Finding
from reefline.od_api import compat
from reefline.recommendation.records import Recommendation
from reefline.report.collect import EarlyEnd
from reefline.report.live import find_run_under_way
from reefline.report.summary import Pushed, RunRecords, Verdict
from tests.factories import add_image, make_data_set
from tests.factories_recommendation import make_recommendation

CONFIG = """\
model_name: cells
trainer: {model: ssd_mobilenet_v2_tiny}
gate: {min_map: 0.3}
"""


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    return path


def _main(tmp_path: Path, *arguments: str | Path) -> int:
    return local_runner.main([*map(str, arguments), "--workspace", str(tmp_path / "ws")])


def _summary(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "ws" / "reports" / "latest" / "summary.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "component", "message"),
    [
        pytest.param(["--config", "none.yaml"], "config", r"none\.yaml: no such config file", id="no-config"),
        pytest.param(["--set", "trainer.x=1"], "config", r"trainer\.x: unknown key", id="unknown-key"),
        pytest.param(["--set", "novalue"], "config", r"--set novalue: expected KEY=VALUE", id="malformed-set"),
        pytest.param(["--data", "nowhere"], "data", r"nowhere: no such folder; --data expects a folder", id="no-data"),
        pytest.param(
            ["--data", "nowhere", "--set", "trainer.x=1"],
            "config",
            r"recommended config: trainer\.x: unknown key",
            id="unknown-key-of-a-recommended-config",
        ),
        pytest.param(
            ["--config", "c.yaml", "--data", "d", "--minutes", "5"],
            "config",
            r"--minutes 5: --config already fixes the steps; drop --config",
            id="minutes-with-config",
        ),
        pytest.param(["--minutes", "5"], "config", r"--minutes 5: needs --data DIR", id="minutes-without-data"),
    ],
)
def test_bad_usage_has_one_message_a_report_and_exit_code_2(
    tmp_path: Path, capsys, arguments: list[str], component: str, message: str
) -> None:
    assert _main(tmp_path, *arguments) == 2
    out = capsys.readouterr().out
    assert len(re.findall(r"^error: ", out, re.M)) == 1
    assert re.search(rf"^error: .*{message}", out, re.M)
    assert "Traceback" not in out
    summary = _summary(tmp_path)
    assert summary["verdict"] == "FAILED"
    assert summary["failure"]["component"] == component
    assert re.search(message, summary["failure"]["message"])
    assert out.splitlines()[-3:-1] == ["verdict: FAILED", "bundle: none (nothing was pushed)"]
    assert out.splitlines()[-1] == f"report: {tmp_path / 'ws' / 'reports' / summary['run_id'] / 'index.html'}"


def test_a_config_without_demo_data_needs_data(tmp_path: Path, capsys, config_file: Path) -> None:
    assert _main(tmp_path, "--config", config_file) == 2
    assert "no data set: pass --data DIR" in capsys.readouterr().out
    assert _summary(tmp_path)["model"] == "cells"


def test_a_runner_of_other_machines_cannot_read_a_folder(tmp_path: Path, capsys, config_file: Path) -> None:
    data = make_data_set(tmp_path / "data")
    beam_args = "data.beam_args=[--runner=FlinkRunner, --temp_location=s3://bucket/tmp]"
    assert _main(tmp_path, "--config", config_file, "--data", data, "--set", beam_args) == 2
    assert f"{data}: the workers of FlinkRunner (data.beam_args) cannot read this folder" in capsys.readouterr().out
    assert _summary(tmp_path)["failure"]["component"] == "data"


def test_a_file_is_no_data_folder(tmp_path: Path, capsys, config_file: Path) -> None:
    assert _main(tmp_path, "--config", config_file, "--data", config_file) == 2
    assert "c.yaml: not a folder; --data expects" in capsys.readouterr().out


def test_a_signing_key_is_checked_before_anything_is_trained(tmp_path: Path, capsys, config_file: Path) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "key.pem").write_text("")
    options = ("--data", make_data_set(tmp_path / "data"), "--set", f"push.signing_key={tmp_path / 'ws' / 'key.pem'}")
    assert _main(tmp_path, "--config", config_file, *options) == 2
    assert "key.pem: inside the workspace, which others may read; move it out of " in capsys.readouterr().out
    assert _summary(tmp_path)["failure"]["component"] == "push.signing_key"


def test_a_workspace_in_use(tmp_path: Path, capsys, config_file: Path) -> None:
    with hold_lock(open_workspace(tmp_path / "ws"), "20260101T120000"):
        assert _main(tmp_path, "--config", config_file, "--data", tmp_path) == 2
    assert re.search(r"in use by another run \(process \d+\)", capsys.readouterr().out)
    assert _summary(tmp_path)["failure"]["component"] == "workspace"
    assert not (tmp_path / "ws" / "source").exists()


def test_the_workspace_is_held_until_the_page_is_written(tmp_path: Path, monkeypatch, config_file: Path) -> None:
    """`reefline report` would take a run without a lock and a summary for one that was killed."""
    under_way: list[str | None] = []

    def write(*_arguments: object) -> tuple[str, ...]:
        under_way.append(find_run_under_way(tmp_path / "ws"))
        return ()

    monkeypatch.setattr(run, "_run_dag", lambda *_arguments: None)
    monkeypatch.setattr(run, "write_summary", write)
    monkeypatch.setattr(run, "write_page", write)
    _main(tmp_path, "--config", config_file, "--data", tmp_path)
    (folder,) = (tmp_path / "ws" / "reports").iterdir()
    assert under_way == [folder.name] * 2
    assert find_run_under_way(tmp_path / "ws") is None


def test_a_workspace_that_is_a_file(tmp_path: Path, capsys) -> None:
    (tmp_path / "ws").write_text("")
    assert _main(tmp_path) == 2
    assert re.match(r"error: .*ws: cannot create a workspace here", capsys.readouterr().out)


def test_unknown_option() -> None:
    assert local_runner.main(["--dta", "x"]) == 2


def test_options_are_not_abbreviated() -> None:
    assert local_runner.main(["--dat", "x"]) == 2


def test_help_tells_the_exit_codes(capsys) -> None:
    assert local_runner.main(["--help"]) == 0
    assert "3 refused by the gate" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        pytest.param(OSError(errno.ENOSPC, "x"), 2, "ws: no space left on the device; free some", id="no-space"),
        pytest.param(KeyboardInterrupt(), 130, "stopped by Ctrl-C", id="ctrl-c"),
        pytest.param(Terminated(), 143, "stopped by SIGTERM", id="sigterm"),
        pytest.param(ValueError("odd\nmore"), 1, "unexpected ValueError: odd (traceback: ", id="unexpected"),
        pytest.param(DataError("one", "two"), 2, "error: one\nerror: two", id="one-line-for-each-problem"),
    ],
)
def test_what_happens_in_the_pipeline_is_reported(
    tmp_path: Path, capsys, monkeypatch, config_file: Path, error: BaseException, exit_code: int, message: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(run, "_run_dag", fail)
    assert _main(tmp_path, "--config", config_file, "--data", tmp_path) == exit_code
    out = capsys.readouterr().out
    assert message in out
    assert "Traceback" not in out
    assert _summary(tmp_path)["failure"]["component"] == "pipeline"
    log_file = tmp_path / "ws" / "reports" / "latest" / "error.log"
    assert log_file.is_file() == (exit_code == 1)
    if exit_code == 1:
        assert "Traceback" in log_file.read_text()


def test_findings_of_an_error_are_in_the_report(tmp_path: Path, monkeypatch, config_file: Path) -> None:
    finding = Finding("a.xml", 0, "box_degenerate", "xmin 5, xmax 5", Action.DROPPED_BOX)

    def fail(*_arguments: object) -> None:
        raise DataError("too many", findings=[finding])

    monkeypatch.setattr(run, "_run_dag", fail)
    assert _main(tmp_path, "--config", config_file, "--data", tmp_path) == 2
    assert _summary(tmp_path)["data"]["findings"] == [dataclasses.asdict(finding)]


def test_messages_name_the_folder_as_the_user_does(tmp_path: Path, capsys, monkeypatch, config_file: Path) -> None:
    def fail(_config: object, workspace: Workspace, *_arguments: object) -> None:
        raise DataError(f"{workspace.source}: holds neither images nor annotations")

    monkeypatch.setattr(run, "_run_dag", fail)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    assert _main(tmp_path, "--config", config_file, "--data", "pictures") == 2
    assert "error: pictures: holds neither images" in capsys.readouterr().out


def test_demo_data_is_generated_once(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(run, "_run_dag", lambda *_arguments: None)
    for _ in range(2):
        assert _main(tmp_path, "--set", "demo.images=4") == 1  # a DAG that does nothing blesses nothing
    assert "data: 4 generated images in" in capsys.readouterr().out
    assert len(list((tmp_path / "ws" / "source" / "JPEGImages").iterdir())) == 4


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        pytest.param(RecordError("training.json: damaged"), 2, "error: training.json: damaged", id="damaged"),
        pytest.param(ValueError("odd"), 1, "error: unexpected ValueError: odd", id="unexpected"),
    ],
)
def test_outputs_that_cannot_be_read_are_reported(
    tmp_path: Path, capsys, monkeypatch, config_file: Path, error: Exception, exit_code: int, message: str
) -> None:
    def read_run(*_arguments: object) -> None:
        raise error

    def run_one_node(_config: object, _workspace: object, _run_id: object, progress: run._Progress) -> None:
        progress.node_runs.append(SimpleNamespace(component="Trainer", seconds=1.5))

    monkeypatch.setattr(run, "_run_dag", run_one_node)
    monkeypatch.setattr(run, "read_run", read_run)
    assert _main(tmp_path, "--config", config_file, "--data", tmp_path) == exit_code
    assert f"stopped at report:\n{message}" in capsys.readouterr().out
    assert _summary(tmp_path)["seconds"] == {"Trainer": 1.5}


@pytest.mark.parametrize(
    ("error", "exit_code", "last"),
    [
        pytest.param(ValueError("odd"), 0, "verdict: BLESSED", id="its-own-error"),
        pytest.param(KeyboardInterrupt(), 130, "verdict: FAILED", id="ctrl-c"),
    ],
)
def test_a_review_that_fails_changes_neither_verdict_nor_exit_code(
    tmp_path: Path, capsys, monkeypatch, config_file: Path, error: BaseException, exit_code: int, last: str
) -> None:
    def fail_after_the_push(_config: object, _workspace: object, _run_id: object, progress: run._Progress) -> None:
        progress.stage = "ReviewReport"
        raise error

    def collect(run_id: str, model: str, seconds: object, outputs: object, end: EarlyEnd | None) -> RunRecords:
        return RunRecords(run_id, model, end.failure if end else None, blessed=True, pushed=Pushed(2, "ws/2"))

    monkeypatch.setattr(run, "_run_dag", fail_after_the_push)
    monkeypatch.setattr(run, "collect", collect)
    assert _main(tmp_path, "--config", config_file, "--data", tmp_path) == exit_code
    lines = capsys.readouterr().out.splitlines()
    assert last in lines
    note = "note: ReviewReport failed: unexpected ValueError: odd"
    assert any(line.startswith(note) for line in lines) == (exit_code == 0)
    assert lines[-1].endswith("index.html")


def test_the_effective_config_is_kept(tmp_path: Path, monkeypatch, config_file: Path) -> None:
    monkeypatch.setattr(run, "_run_dag", lambda *_arguments: None)
    _main(tmp_path, "--config", config_file, "--data", tmp_path, "--set", "trainer.num_steps=7")
    kept = load_config(tmp_path / "ws" / "reports" / "latest" / "config.yaml")
    assert kept == load_config(config_file, [parse_override("trainer.num_steps=7")])
    page = (tmp_path / "ws" / "reports" / "latest" / "index.html").read_text(encoding="utf-8")
    assert "num_steps: 7" in page


def test_no_line_of_a_run_moves_the_cursor(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(run, "_run_dag", lambda *_arguments: None)
    workspace = tmp_path / "\x1b[2J"
    assert local_runner.main(["--workspace", str(workspace), "--set", "demo.images=4"]) == 1
    assert local_runner.main(["--workspace", str(workspace), "--data", "\x1b[2Jnowhere"]) == 2
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "data: 4 generated images in" in out and "error: \\x1b[2Jnowhere: no such folder" in out


BLESSED = RunRecords("1", "cells", pushed=Pushed(2, "ws/serving/cells/2"), blessed=True)


@pytest.mark.parametrize(
    ("current", "note"),
    [
        pytest.param("2\n", [], id="this-runs"),
        pytest.param("1\n", ["note: version 1 is serving, not version 2 of this run"], id="rolled-back"),
        pytest.param(None, ["note: no version is serving (CURRENT is missing)"], id="missing"),
    ],
)
def test_the_last_lines_tell_what_serves(tmp_path: Path, current: str | None, note: list[str]) -> None:
    workspace = open_workspace(tmp_path / "ws")
    if current is not None:
        home = workspace.serving / "cells"
        home.mkdir(parents=True)
        (home / "CURRENT").write_text(current)
    outcome = run.RunOutcome(0, Verdict.BLESSED, BLESSED, tmp_path)
    assert run.describe_outcome(outcome, workspace) == [
        "verdict: BLESSED",
        "bundle: ws/serving/cells/2",
        *note,
        f"report: {tmp_path / 'summary.json'}",
    ]


def test_a_damaged_current_is_a_note(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path / "ws")
    (workspace.serving / "cells").mkdir(parents=True)
    (workspace.serving / "cells" / "CURRENT").write_text("two")
    lines = run.describe_outcome(run.RunOutcome(0, Verdict.BLESSED, BLESSED, tmp_path), workspace)
    assert [line for line in lines if line.startswith("note: ") and "CURRENT: 'two'" in line]


def _recommending(monkeypatch: pytest.MonkeyPatch, answer: Recommendation | Exception) -> list[tuple[object, ...]]:
    """Answer every request for a recommendation, and return the list of them."""
    requests: list[tuple[object, ...]] = []

    def recommend(data: Path, minutes: int | None, overrides: list[Override], _work_dir: Path, _say) -> Recommendation:
        requests.append((data, minutes, [override.name for override in overrides]))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(recommended, "recommend", recommend)
    monkeypatch.setattr(run, "check_start", lambda *_arguments: None)
    monkeypatch.setattr(run, "_run_dag", lambda *_arguments: None)
    return requests


def test_data_without_a_config_is_recommended_for_once(tmp_path: Path, capsys, monkeypatch) -> None:
    requests = _recommending(monkeypatch, make_recommendation())
    data = make_data_set(tmp_path / "pets")
    for _ in range(2):
        assert _main(tmp_path, "--data", data, "--set", "trainer.seed=1", "--set", "gate.min_map=0.3") == 1
    assert requests == [(data, None, ["trainer.seed"])]
    assert "reason: its published weights already know COCO\n" in capsys.readouterr().out


def _grow(data: Path) -> list[str]:
    add_image(data, "more", seed=77)
    return []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _data: ["--minutes", "5"], id="minutes"),
        pytest.param(lambda _data: ["--set", "trainer.batch_size=4"], id="override"),
        pytest.param(_grow, id="data"),
    ],
)
def test_what_matters_is_recommended_for_again(tmp_path: Path, monkeypatch, change: Callable) -> None:
    requests = _recommending(monkeypatch, make_recommendation())
    data = make_data_set(tmp_path / "pets")
    _main(tmp_path, "--data", data)
    _main(tmp_path, "--data", data, *change(data))
    assert len(requests) == 2


def test_a_damaged_memory_is_replaced(tmp_path: Path, monkeypatch) -> None:
    requests = _recommending(monkeypatch, make_recommendation())
    data = make_data_set(tmp_path / "pets")
    _main(tmp_path, "--data", data)
    (memory,) = (tmp_path / "ws" / "recommendations").iterdir()
    memory.write_text("{")
    _main(tmp_path, "--data", data)
    assert len(requests) == 2
    assert Recommendation.read(memory) == make_recommendation()


def test_a_recommendation_that_fails_is_the_runs_failure(tmp_path: Path, capsys, monkeypatch) -> None:
    _recommending(monkeypatch, DataError("a.xml: broken"))
    assert _main(tmp_path, "--data", make_data_set(tmp_path / "pets")) == 2
    assert "stopped at recommendation:\nerror: a.xml: broken" in capsys.readouterr().out
    assert _summary(tmp_path)["failure"] == {"component": "recommendation", "message": "a.xml: broken"}


@pytest.mark.parametrize(
    ("gpus", "warned"), [pytest.param(0, True, id="cpu"), pytest.param(1, False, id="gpu-of-unknown-speed")]
)
def test_a_long_run_is_told_before_it_starts(monkeypatch, gpus: int, warned: bool) -> None:
    compat.apply()
    monkeypatch.setattr(recommended, "count_gpus", lambda: gpus)
    monkeypatch.setattr(recommended, "count_cores", lambda: 2)
    settings = load_config(CONFIG_DIR / "default.yaml").trainer
    assert bool(recommended.warn_of_long_run(settings)) is warned


def test_missing_weights_stop_a_run_before_its_pipeline(tmp_path: Path, capsys, monkeypatch, config_file: Path) -> None:
    started: list[object] = []
    monkeypatch.setattr(run, "_run_dag", lambda *arguments: started.append(arguments))
    arguments = ("--config", config_file, "--data", tmp_path, "--set", "trainer.start=nothing.tflite")
    assert _main(tmp_path, *arguments) == 2
    assert "stopped at trainer.start:\nerror: trainer.start: " in capsys.readouterr().out
    failure = _summary(tmp_path)["failure"]
    assert failure["component"] == "trainer.start" and "nothing.tflite does not exist" in failure["message"]
    assert not started
    # Trainer's driver needs the file even where an earlier training is cached.
    (tmp_path / "ws" / "artifacts" / "Trainer").mkdir(parents=True)
    assert _main(tmp_path, *arguments) == 2
    assert re.search(r"error: trainer\.start: .*nothing\.tflite does not exist", capsys.readouterr().out)
    assert not started


def test_a_run_that_starts_from_the_serving_model_needs_no_other_weights(
    tmp_path: Path, monkeypatch, config_file: Path
) -> None:
    monkeypatch.setattr(run, "_run_dag", lambda *_arguments: None)
    arguments = (
        *("--config", config_file, "--data", tmp_path),
        *("--set", "trainer.start.source=serving", "--set", "trainer.start.otherwise=nothing.tflite"),
    )
    assert _main(tmp_path, *arguments) == 2
    home = tmp_path / "ws" / "serving" / "cells"
    home.mkdir(parents=True)
    (home / "CURRENT").write_text("1\n")
    assert _main(tmp_path, *arguments) == 1


def test_usage_errors_print_no_control_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(tmp_path, "unexpected\u202e\x1b[2J") == 2

    printed = capsys.readouterr().err
    assert "unexpected\\u202e\\x1b[2J" in printed


def test_data_folder_with_a_name_that_is_too_long(tmp_path: Path, config_file: Path) -> None:
    assert _main(tmp_path, "--config", config_file, "--data", "x" * 300) == 2
    assert "file name too long; --data expects a folder" in _summary(tmp_path)["failure"]["message"]
