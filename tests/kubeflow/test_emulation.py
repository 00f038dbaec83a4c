"""The emulated backend on packages of shell commands: what tests of real packages rely on."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.factories_kfp_steps import Step, make_spec
from tests.kubeflow.emulation.backend import Backend, Kill
from tests.kubeflow.emulation.package import make_package
from tests.kubeflow.emulation.records import RunRecord, TaskState
from tests.kubeflow.emulation.store import ObjectStore
from tests.kubeflow.emulation.variants import KFP_2_5, KFP_2_17, NO_MLMD, VARIANTS, Variant

EACH = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
WITHOUT_MLMD = [pytest.param(KFP_2_5, False, id="2.5"), pytest.param(KFP_2_17, False, id="2.17")]


def _run(tmp_path: Path, variant: Variant, *steps: Step, **options: Any) -> RunRecord:
    return Backend(tmp_path, variant).run(make_package([make_spec(*steps)]), **options)


def _read_input(tmp_path: Path, variant: Variant, *steps: Step) -> dict[str, Any]:
    """Return the ExecutorInput that the last task printed."""
    run = _run(tmp_path, variant, *steps)
    assert run.succeeded, run.explain()
    parsed: dict[str, Any] = json.loads(run.tasks[steps[-1].name].log)
    return parsed


WRITE = Step(
    "Write",
    'mkdir -p "$1/deep"; echo hello > "$1/deep/file"',
    output_artifacts=("made",),
    arguments=("{{$.outputs.artifacts['made'].path}}",),
)
READ = Step(
    "Read", 'cat "$1/deep/file"', artifacts={"given": "Write.made"}, arguments=("{{$.inputs.artifacts['given'].path}}",)
)
TELL = Step(
    "Tell",
    'printf 42 > "$1"',
    output_parameters={"answer": "NUMBER_INTEGER"},
    arguments=("{{$.outputs.parameters['answer'].output_file}}",),
)
SHOW = ("{{$}}",)


@EACH
def test_an_artifact_reaches_the_next_pod_through_the_store(tmp_path: Path, variant: Variant) -> None:
    run = _run(tmp_path, variant, READ, WRITE)
    assert run.names(TaskState.DONE) == ["Write", "Read"], run.explain()
    assert run.tasks["Read"].log == "hello\n"
    assert run.tasks["Read"].downloaded == {"given": 6}
    uri = run.tasks["Write"].outputs.artifacts["made"].uri
    assert uri.startswith(f"minio://mlpipeline/v2/artifacts/small/{run.run_id}/Write/") and uri.endswith("/made")
    assert not [*(tmp_path / "pods").iterdir()]


def test_a_pod_has_its_own_disk_and_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_SHELL", "1")
    script = 'env; ls "$TMPDIR" "$XDG_CACHE_HOME" .; echo x > "$TMPDIR/x"; echo x > x'
    run = _run(tmp_path, KFP_2_17, Step("A", script), Step("B", script, parameters={}))
    for task in run.tasks.values():
        assert "\nHOME=" not in f"\n{task.log}" and "OF_THE_SHELL" not in task.log
        assert "\nx\n" not in task.log


@EACH
def test_before_2_14_every_pod_has_the_annotations_of_the_first_executor(tmp_path: Path, variant: Variant) -> None:
    field = {"name": "PLACE", "fieldPath": "metadata.annotations['place']"}
    executors = {
        f"{name}_executor": {"podMetadata": {"annotations": {"place": name}}, "fieldPathAsEnv": [field]}
        for name in ("A", "B")
    }
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    spec = make_spec(*(Step(name, 'echo "$PLACE"', is_cached=False) for name in ("A", "B")))
    run = Backend(tmp_path, variant).run(make_package([spec, platform]))
    assert run.succeeded, run.explain()
    assert run.tasks["B"].log == ("A\n" if variant is KFP_2_5 else "B\n")


@EACH
def test_whole_numbers_lose_their_type(tmp_path: Path, variant: Variant) -> None:
    step = Step(
        "Show",
        'echo "$1"',
        constants={"n": 3, "f": 1.0},
        types={"n": "NUMBER_INTEGER", "f": "NUMBER_DOUBLE"},
        arguments=SHOW,
    )
    found = _read_input(tmp_path, variant, step)["inputs"]["parameterValues"]
    assert found == {"n": 3, "f": 1} and isinstance(found["f"], int)


def test_an_output_parameter_has_its_declared_type(tmp_path: Path) -> None:
    show = Step(
        "Show",
        'echo "$1"',
        parameters={"n": "Tell.answer", "t": "Tell.answer"},
        types={"n": "NUMBER_INTEGER"},
        arguments=SHOW,
    )
    assert _read_input(tmp_path, KFP_2_17, TELL, show)["inputs"]["parameterValues"] == {"n": 42, "t": "42"}


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        pytest.param('printf 4.5 > "$1"', "TextToPbValue", id="wrong type"),
        pytest.param("true", "no such file", id="missing"),
    ],
)
def test_an_output_parameter_that_cannot_be_read_fails_the_task(tmp_path: Path, script: str, problem: str) -> None:
    run = _run(
        tmp_path,
        KFP_2_17,
        Step("Tell", script, output_parameters={"answer": "NUMBER_INTEGER"}, arguments=TELL.arguments),
    )
    assert problem in run.tasks["Tell"].problem and not run.succeeded


def test_text_for_a_number_is_refused_by_the_driver(tmp_path: Path) -> None:
    run = _run(tmp_path, KFP_2_17, Step("A", constants={"n": "3"}, types={"n": "NUMBER_INTEGER"}))
    assert "type mismatch" in run.tasks["A"].problem


def test_placeholders_of_the_run(tmp_path: Path) -> None:
    names = ("uuid", "name")
    constants = {name: f"{{{{$.pipeline_job_{name}}}}}" for name in names}
    step = Step(
        "A",
        'echo "$1 $2 $3"',
        constants=constants,
        arguments=("{{$.inputs.parameters['uuid']}}", "{{$.inputs.parameters['name']}}", "{{$.pipeline_job_uuid}}"),
    )
    run = _run(tmp_path, KFP_2_17, step)
    # In arguments the launcher replaces inputs and outputs only.
    assert run.tasks["A"].log == f"{run.run_id} small run {{{{$.pipeline_job_uuid}}}}\n"


@pytest.mark.parametrize(
    ("variant", "kind", "id_field"),
    [
        pytest.param(KFP_2_5, {"instanceSchema": ""}, "name", id="2.5"),
        pytest.param(KFP_2_17, {"instanceSchema": ""}, "name", id="2.17"),
        pytest.param(NO_MLMD, {"schemaTitle": "tfx.File"}, "artifactId", id="no-mlmd"),
    ],
)
def test_what_an_input_artifact_looks_like(
    tmp_path: Path, variant: Variant, kind: dict[str, str], id_field: str
) -> None:
    show = Step("Show", 'echo "$1"', artifacts={"given": "Write.made"}, arguments=SHOW)
    (artifact,) = _read_input(tmp_path, variant, WRITE, show)["inputs"]["artifacts"]["given"]["artifacts"]
    assert artifact["type"] == kind
    assert artifact[id_field] == "1"
    assert ("name" in artifact) == (id_field == "name")


@pytest.mark.parametrize(("variant", "fails"), [*WITHOUT_MLMD, pytest.param(NO_MLMD, True, id="no-mlmd")])
def test_a_type_as_schema(tmp_path: Path, variant: Variant, fails: bool) -> None:
    spec = make_spec(WRITE)
    made = spec["components"]["Write"]["outputDefinitions"]["artifacts"]["made"]
    made["artifactType"] = {"instanceSchema": "title: tfx.File\ntype: object\n"}
    task = Backend(tmp_path, variant).run(make_package([spec])).tasks["Write"]
    assert task.exit_code == 0
    assert ("unknown artifact type" in task.problem) is fails


@EACH
def test_kfp_adds_an_output_for_the_logs(tmp_path: Path, variant: Variant) -> None:
    outputs = _read_input(tmp_path, variant, Step("Show", 'echo "$1"', arguments=SHOW))["outputs"]
    assert outputs["artifacts"]["executor-logs"]["artifacts"][0]["type"] == {"schemaTitle": "system.Artifact"}
    assert ("/tmp/kfp_outputs/" in outputs["outputFile"]) == (variant is KFP_2_5)


def _report(content: str) -> Step:
    script = f"""python - "$1" <<'END'
import json, pathlib, sys
path = pathlib.Path(json.loads(sys.argv[1])["outputs"]["outputFile"])
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text('''{content}''')
END
mkdir "$2" && echo x > "$2/x" """
    return Step(
        "Report", script, output_artifacts=("made",), arguments=("{{$}}", "{{$.outputs.artifacts['made'].path}}")
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param('{"artifacts": {"made": {"artifacts": [{"metadata": {"a": null}}]}}}', id="null"),
        pytest.param('{"artifacts": {"made": {"artifacts": [{"metadata": {"a": NaN}}]}}}', id="NaN"),
        pytest.param('{"artifacts": {"made": {"artifacts": [{"id": "1"}]}}}', id="unknown field"),
        pytest.param('{"artifact": {}}', id="misspelled"),
        pytest.param("{", id="cut"),
    ],
)
@EACH
def test_output_metadata_is_read_strictly(tmp_path: Path, variant: Variant, content: str) -> None:
    run = _run(tmp_path, variant, _report(content))
    assert run.tasks["Report"].exit_code == 0 and run.tasks["Report"].state is TaskState.FAILED
    assert run.tasks["Report"].problem


@EACH
def test_metadata_reaches_the_next_task(tmp_path: Path, variant: Variant) -> None:
    content = '{"artifacts": {"made": {"artifacts": [{"metadata": {"n": 7, "s": "t", "b": true}}]}}}'
    show = Step("Show", 'echo "$1"', artifacts={"given": "Report.made"}, arguments=SHOW)
    (artifact,) = _read_input(tmp_path, variant, _report(content), show)["inputs"]["artifacts"]["given"]["artifacts"]
    metadata = artifact["metadata"]
    assert (metadata["n"], metadata["s"]) == (7, "t")
    # ML Metadata has no booleans, and adds what it needs for itself.
    assert metadata["b"] is True if variant is NO_MLMD else type(metadata["b"]) is int
    assert ("display_name" in metadata) == (variant is not NO_MLMD)


@pytest.mark.parametrize(("variant", "fails"), [*WITHOUT_MLMD, pytest.param(NO_MLMD, True, id="no-mlmd")])
def test_a_missing_output(tmp_path: Path, variant: Variant, fails: bool) -> None:
    run = _run(tmp_path, variant, Step("A", output_artifacts=("made",)))
    assert run.succeeded is not fails
    assert ("nothing was written" in run.tasks["A"].problem) is fails


def test_an_empty_folder_is_nothing_in_the_store(tmp_path: Path) -> None:
    write = Step("Write", 'mkdir "$1"', output_artifacts=("made",), arguments=WRITE.arguments)
    read = Step("Read", 'test ! -e "$1"', artifacts=READ.artifacts, arguments=READ.arguments)
    assert _run(tmp_path, KFP_2_17, write, read).succeeded


@EACH
def test_nothing_changed_is_cached_and_a_change_runs_what_depends_on_it(tmp_path: Path, variant: Variant) -> None:
    backend = Backend(tmp_path, variant)
    package = make_package([make_spec(WRITE, READ)])
    assert backend.run(package).names(TaskState.DONE) == ["Write", "Read"]
    assert backend.run(package).names(TaskState.CACHED) == ["Write", "Read"]
    changed = Step("Write", f"{WRITE.script}; true", output_artifacts=("made",), arguments=WRITE.arguments)
    assert backend.run(make_package([make_spec(changed, READ)])).names(TaskState.DONE) == ["Write", "Read"]
    assert backend.run(make_package([make_spec(changed, READ)])).names(TaskState.DONE) == []


def test_caching_forced_at_submission_finds_nothing_where_the_run_is_an_input(tmp_path: Path) -> None:
    plain = Step("Plain", is_cached=False)
    keyed = Step("Keyed", is_cached=False, constants={"run_id": "{{$.pipeline_job_uuid}}"})
    backend, package = Backend(tmp_path, KFP_2_17), make_package([make_spec(plain, keyed)])
    assert backend.run(package).names(TaskState.CACHED) == []
    assert backend.run(package, enable_caching=True).names(TaskState.CACHED) == []
    assert backend.run(package, enable_caching=True).names(TaskState.CACHED) == ["Plain"]


@pytest.mark.parametrize(
    ("variant", "is_cached"),
    [
        pytest.param(KFP_2_5, True, id="2.5"),
        pytest.param(KFP_2_17, True, id="2.17"),
        pytest.param(NO_MLMD, False, id="no-mlmd"),
    ],
)
def test_the_environment_in_the_cache_key(tmp_path: Path, variant: Variant, is_cached: bool) -> None:
    backend = Backend(tmp_path, variant)
    for value in ("one", "two"):
        run = backend.run(make_package([make_spec(Step("A", "echo $GIVEN", env={"GIVEN": value}))]))
    assert (run.names(TaskState.CACHED) == ["A"]) is is_cached


def test_a_failed_task_ends_the_run_and_is_not_cached(tmp_path: Path) -> None:
    backend = Backend(tmp_path, KFP_2_17)
    bad = Step("Bad", "echo it broke >&2; exit 2", output_artifacts=("made",))
    package = make_package([make_spec(bad, Step("Next", artifacts={"given": "Bad.made"}))])
    for _ in range(2):
        run = backend.run(package)
        assert (run.names(TaskState.FAILED), run.names(TaskState.SKIPPED)) == (["Bad"], ["Next"])
        assert (run.tasks["Bad"].exit_code, run.tasks["Bad"].log) == (2, "it broke\n")


def test_a_pod_can_be_killed_with_all_its_processes(tmp_path: Path) -> None:
    started = tmp_path / "started"
    step = Step("Slow", f"sleep 300 & echo $! > {started}; wait")
    begun_s = time.monotonic()
    run = _run(tmp_path, KFP_2_17, step, kill=Kill("Slow", lambda: started.exists() and started.read_text() != ""))
    assert run.tasks["Slow"].exit_code == -9 and time.monotonic() - begun_s < 60
    pid = int(started.read_text())
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("variant", "found"),
    [pytest.param(KFP_2_5, ["made", "made_of"], id="2.5"), pytest.param(KFP_2_17, ["made"], id="2.17")],
)
def test_a_download_of_2_5_brings_along_what_starts_with_the_name(
    tmp_path: Path, variant: Variant, found: list[str]
) -> None:
    """Which is why the rules of a package refuse an output whose name starts with another's."""
    store = ObjectStore(tmp_path / "store")
    for name in ("made", "made_of"):
        file = tmp_path / "local" / name / "file"
        file.parent.mkdir(parents=True)
        file.write_text(name)
        store.upload(file.parent, f"minio://bucket/key/{name}")
    store.download("minio://bucket/key/made", tmp_path / "pod" / "made", with_siblings=variant.downloads_siblings)
    assert sorted(path.name for path in (tmp_path / "pod").iterdir()) == found
