"""tests/odapi/plugin.py: how the list of expected failures is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.odapi import plugin


def test_a_comment_is_the_reason_for_the_ids_below_it() -> None:
    text = """
# no sample data
object_detection/a_test.py::A::test_1

# other class
object_detection/b_test.py::B::test_2
"""
    assert plugin.read_expected_failures(text) == {
        "object_detection/a_test.py::A::test_1": "no sample data",
        "object_detection/b_test.py::B::test_2": "other class",
    }


def test_ids_do_not_depend_on_where_the_package_is() -> None:
    node = "../somewhere/site-packages/object_detection/core/box_list_test.py::BoxListTest::test_area"
    assert plugin.short_id(node) == "object_detection/core/box_list_test.py::BoxListTest::test_area"


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        pytest.param("core/box_list_test.py", None, id="tf2"),
        pytest.param("exporter_tf1_test.py", True, id="tf1-name"),
        pytest.param("nets/vgg_test.py", True, id="slim"),
        pytest.param("dataset_tools/create_pascal_tf_record_test.py", True, id="colliding-flags"),
    ],
)
def test_what_is_left_out(name: str, ignored: bool | None) -> None:
    assert plugin.pytest_ignore_collect(Path("site-packages/object_detection") / name) is ignored
