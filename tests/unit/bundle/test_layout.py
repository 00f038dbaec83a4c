from __future__ import annotations

import pytest

from reefline.bundle.layout import find_shipped_model, precision_of, read_labels
from reefline.errors import BundleError
from reefline.evaluation.scores import Precision
from tests.factories_evaluation import write_candidate


def test_int8_ships_where_both_exist(tmp_path):
    write_candidate(tmp_path, name="model_float.tflite")
    assert find_shipped_model(tmp_path).name == "model_float.tflite"
    assert precision_of(find_shipped_model(tmp_path)) is Precision.FLOAT

    write_candidate(tmp_path)
    assert precision_of(find_shipped_model(tmp_path)) is Precision.INT8


def test_folder_without_a_model(tmp_path):
    with pytest.raises(BundleError, match=r"neither model_int8\.tflite nor model_float\.tflite"):
        find_shipped_model(tmp_path)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(("cat",), id="one"),
        pytest.param(("white blood cell", "Ühü", "<script>", 'a"b'), id="odd-names"),
        pytest.param(("a\u2028b", "c"), id="unicode-line-separator-inside-a-name"),
    ],
)
def test_labels_by_line(tmp_path, labels):
    write_candidate(tmp_path, labels=labels)

    assert read_labels(tmp_path) == labels


def test_no_labels(tmp_path):
    with pytest.raises(BundleError, match=r"labels\.txt: cannot read it"):
        read_labels(tmp_path)
