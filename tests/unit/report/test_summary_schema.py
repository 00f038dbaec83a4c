"""docs/summary.schema.json: real summaries fit it, wrong ones do not, and its words are the code's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reefline.data.image_record import SPLITS
from reefline.edgetpu.record import PlacementSource
from reefline.findings import Action
from reefline.report.summary import Summary, Verdict
from reefline.settings import GateSettings
from reefline.training.report import StopReason
from tests.factories_summary import (
    SCHEMA_FILE,
    find_schema_errors,
    make_blessed,
    make_failed,
    make_float_only,
    make_refused,
    make_unstarted,
)

ENDS = [
    pytest.param(make_blessed, id="blessed"),
    pytest.param(make_refused, id="refused"),
    pytest.param(make_failed, id="failed"),
    pytest.param(make_float_only, id="float-only"),
    pytest.param(make_unstarted, id="stopped-at-its-config"),
]


@pytest.mark.parametrize("make", ENDS)
def test_a_summary_fits(make: Callable[[], Summary]) -> None:
    assert find_schema_errors(make().to_json()) == []


@pytest.mark.parametrize("make", ENDS)
def test_a_summary_is_read_back(make: Callable[[], Summary]) -> None:
    summary = make()
    assert Summary.from_json(json.loads(json.dumps(summary.to_json()))) == summary


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        pytest.param(("extra",), 1, r"\$: Additional properties", id="unknown-key"),
        pytest.param(("schema_version",), 2, r"\$\.schema_version: 1 was expected", id="other-version"),
        pytest.param(("verdict",), "MAYBE", r"\$\.verdict: 'MAYBE'", id="unknown-verdict"),
        pytest.param(("metrics", "int8", "mAP"), 76.4, r"\$\.metrics\.int8", id="percent"),
        pytest.param(("metrics", "int8", "mAP"), -1, r"\$\.metrics\.int8", id="pycocotools-minus-one"),
        pytest.param(("metrics", "int8", "f1"), 0.5, r"\$\.metrics\.int8", id="unknown-metric"),
        pytest.param(("data", "splits", "val"), {"images": 1, "boxes": 0, "per_class": {}}, "val", id="unknown-split"),
        pytest.param(("data", "findings", 0, "action"), "ignored", r"findings\[0\]\.action", id="unknown-action"),
        pytest.param(("gate", 0, "passed"), "yes", r"\$\.gate\[0\]\.passed", id="text-for-boolean"),
        pytest.param(("gate", 0, "passed"), False, r"\$\.gate\[0\]\.passed", id="blessed-in-spite-of-a-rule"),
        pytest.param(("pushed",), None, r"\$\.pushed", id="blessed-without-bundle"),
        pytest.param(("failure",), {"component": "x", "message": "y"}, r"\$\.failure", id="blessed-with-failure"),
    ],
)
def test_a_wrong_summary_is_refused(path: tuple[Any, ...], value: object, message: str) -> None:
    record = json.loads(json.dumps(make_blessed().to_json()))
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(AssertionError, match=message):
        assert find_schema_errors(record) == []


@pytest.mark.parametrize("key", list(make_blessed().to_json()))
def test_no_key_may_be_missing(key: str) -> None:
    record = {name: value for name, value in make_blessed().to_json().items() if name != key}
    assert f"$: '{key}' is a required property" in find_schema_errors(record)


def test_the_schemas_words_are_the_codes() -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    properties, definitions = schema["properties"], schema["$defs"]

    def values(of: Any) -> list[str]:
        return [member.value for member in of]

    assert properties["verdict"]["enum"] == values(Verdict)
    assert sorted(definitions["rule"]["properties"]["rule"]["enum"]) == sorted(GateSettings.model_fields)
    assert definitions["finding"]["properties"]["action"]["enum"] == values(Action)
    assert properties["data"]["properties"]["splits"]["propertyNames"]["enum"] == list(SPLITS)
    assert properties["training"]["oneOf"][0]["properties"]["stop_reason"]["enum"] == values(StopReason)
    assert properties["edgetpu"]["oneOf"][0]["properties"]["source"]["enum"] == values(PlacementSource)
