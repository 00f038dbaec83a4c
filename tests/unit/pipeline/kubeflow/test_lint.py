"""lint: one case per thing that KFP refuses, or that cannot work."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.kubeflow.lint import lint_documents, lint_file
from reefline.errors import UsageError
from tests.factories_kubeflow import compile_package

Change = Callable[[dict[str, Any]], None]


def _task(spec: dict[str, Any], name: str) -> dict[str, Any]:
    task: dict[str, Any] = spec["root"]["dag"]["tasks"][name]
    return task


def _container(spec: dict[str, Any], name: str) -> dict[str, Any]:
    container: dict[str, Any] = spec["deploymentSpec"]["executors"][f"{name}_executor"]["container"]
    return container


def _set_constant(task: str, parameter: str, value: str) -> Change:
    def change(spec: dict[str, Any]) -> None:
        _task(spec, task)["inputs"]["parameters"][parameter] = {"runtimeValue": {"constant": value}}

    return change


def _add_output(name: str) -> Change:
    def change(spec: dict[str, Any]) -> None:
        outputs = spec["components"]["ResolveServing"]["outputDefinitions"]["parameters"]
        outputs[name] = {"parameterType": "STRING"}

    return change


def _rename_type(spec: dict[str, Any]) -> None:
    spec["components"]["VocExampleGen"]["outputDefinitions"]["artifacts"]["label_map"] = {
        "artifactType": {"instanceSchema": "title: my.Config\ntype: object\n"}
    }


def _make_resolver(spec: dict[str, Any]) -> None:
    spec["deploymentSpec"]["executors"]["ResolveData_executor"] = {"resolver": {"outputArtifactQueries": {}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda spec: spec.update(schemaVersion="2.0.0"), "schemaVersion: 2.0.0; KFP reads 2.1.0", id="schema"
        ),
        pytest.param(lambda spec: spec.update(unknown=1), "pipeline: not a PipelineSpec", id="unknown-property"),
        pytest.param(
            lambda spec: _task(spec, "Pusher").update(retryPolicy=None), "Pusher.retryPolicy: null", id="null"
        ),
        pytest.param(_add_output("serving"), "output serving is a prefix of output serving_sha256", id="prefix"),
        pytest.param(_rename_type, "VocExampleGen.label_map: custom artifact type my.Config", id="custom-type"),
        pytest.param(_make_resolver, "ResolveData: a Resolver node", id="resolver-node"),
        pytest.param(
            _set_constant("ImportSchemaGen", "schema_file", "/srv/schema.pbtxt"),
            "ImportSchemaGen: schema_file: /srv/schema.pbtxt is neither in the image",
            id="path-of-this-machine",
        ),
        pytest.param(
            _set_constant("Pusher", "destination", "/app/serving"), "/app/serving is lost with the pod", id="lost"
        ),
        pytest.param(
            _set_constant("Pusher", "destination", "ftp://b/serving"), "unknown scheme ftp", id="unknown-scheme"
        ),
        pytest.param(
            _set_constant("VocExampleGen", "settings", '{"label_map": "/srv/labels.pbtxt"}'),
            "VocExampleGen: settings.label_map: /srv/labels.pbtxt is neither in the image",
            id="path-in-settings",
        ),
        pytest.param(
            _set_constant("Trainer", "settings", '{"strategy": "multi_worker"}'),
            "Trainer.strategy: multi_worker",
            id="gang",
        ),
        pytest.param(
            lambda spec: _task(spec, "Pusher").update(cachingOptions={"enableCache": True}),
            "Pusher: cached",
            id="cached",
        ),
        pytest.param(
            lambda spec: _task(spec, "VocExampleGen").pop("dependentTasks"),
            "ResolveData is missing in dependentTasks",
            id="order",
        ),
        pytest.param(
            lambda spec: spec["components"]["ResolveData"].pop("outputDefinitions"),
            "ResolveData has no output input_fingerprint",
            id="wiring",
        ),
        pytest.param(
            lambda spec: _task(spec, "Pusher")["inputs"]["parameters"].pop("run_id"),
            "Pusher.run_id: missing",
            id="input",
        ),
    ],
)
def test_what_kfp_refuses_is_an_error_with_its_place(change: Change, message: str) -> None:
    spec = copy.deepcopy(dict(compile_package().pipeline))
    change(spec)
    errors = [str(finding) for finding in lint_documents([spec], size=1000) if finding.is_error]
    assert [error for error in errors if message in error], errors


def test_an_image_without_a_digest_is_a_warning() -> None:
    spec = copy.deepcopy(dict(compile_package().pipeline))
    _container(spec, "Trainer")["image"] = "registry.example/reefline:latest"
    (finding,) = lint_documents([spec], size=1000)
    assert not finding.is_error
    assert str(finding).startswith("warning: Trainer: image registry.example/reefline:latest has no digest")


def test_types_as_schemas_are_a_warning() -> None:
    spec = copy.deepcopy(dict(compile_package().pipeline))
    made = spec["components"]["VocExampleGen"]["outputDefinitions"]["artifacts"]
    made["examples"]["artifactType"] = {"instanceSchema": "title: tfx.Examples\ntype: object\n"}
    (finding,) = lint_documents([spec], size=1000)
    assert re.match(r"warning: components: 1 of \d\d artifact types are schemas \(instanceSchema\)", str(finding))


def test_annotations_of_one_task_alone_are_an_error() -> None:
    package = compile_package()
    platform = copy.deepcopy(dict(package.platform))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors["VocExampleGen_executor"]["podMetadata"] = {"annotations": {"reefline/data": "s3://b/other"}}
    (finding,) = lint_documents([package.pipeline, platform], size=1000)
    assert str(finding).startswith("error: VocExampleGen: podMetadata differs from that of AnnotationValidator")


def test_a_package_of_a_megabyte_is_too_large() -> None:
    (finding,) = lint_documents([compile_package().pipeline], size=1_000_000)
    assert str(finding) == "error: package: 1.00 MB; KFP stores less than 1 MB. Shorten the config"


def test_a_path_in_a_volume_of_the_task_is_fine() -> None:
    override = "kubeflow.volumes=[{claim: data, path: /mnt/data}]"
    package = compile_package(override, data="/mnt/data/set", serving="/mnt/data/serving")
    assert lint_documents([package.pipeline, package.platform], size=1000) == ()
    assert {finding.is_error for finding in lint_documents([package.pipeline], size=1000)} == {True}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("p.json", "{}", "as YAML only", id="json"),
        pytest.param("p.yaml", "a: [", "not a YAML file", id="damaged"),
        pytest.param("p.yaml", "- a\n", "not a package", id="list"),
        pytest.param("p.yaml", "", "not a package", id="empty"),
    ],
)
def test_a_file_that_is_no_package_is_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        lint_file(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read it"):
        lint_file(tmp_path / "p.yaml")
