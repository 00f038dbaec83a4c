from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Optional

import pydantic
import pytest

from reefline.errors import RecordError
from reefline.system.record import Record


class Colour(str, enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner(Record):
    value: Annotated[Optional[float], pydantic.Field(alias="mAP")]


@dataclass(frozen=True)
class Outer(Record):
    name: str
    colour: Colour
    inners: tuple[Inner, ...]
    by_name: Mapping[str, int]
    note: str = ""


RECORD = Outer("a", Colour.RED, (Inner(0.5), Inner(None)), {"é": 1})


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    RECORD.write(tmp_path / "r.json")
    assert Outer.read(tmp_path / "r.json") == RECORD
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8")) == {
        "name": "a",
        "colour": "red",
        "inners": [{"mAP": 0.5}, {"mAP": None}],
        "by_name": {"é": 1},
        "note": "",
    }


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param("{", [r"r\.json: damaged \(JSONDecodeError"], id="cut"),
        pytest.param("[]", [r"r\.json: top level: damaged"], id="list"),
        pytest.param(
            '{"name": "a", "colour": "blue", "inners": [{"mAP": "x"}], "by_name": {}}',
            [r"r\.json: colour: damaged", r"r\.json: inners\.0\.mAP: damaged"],
            id="fields",
        ),
        pytest.param('{"name": "a"}', ["colour", "inners", "by_name"], id="missing"),
    ],
)
def test_damage_names_the_file_and_the_field(tmp_path: Path, text: str, problems: list[str]) -> None:
    (tmp_path / "r.json").write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=problems[0]) as caught:
        Outer.read(tmp_path / "r.json")
    assert len(caught.value.problems) == len(problems)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"none\.json: cannot read it"):
        Outer.read(tmp_path / "none.json")


def test_what_json_cannot_hold_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Inner(math.nan).write(tmp_path / "r.json")
    assert not list(tmp_path.iterdir())
