"""reefline/report/rule_numbers.py: which number of the serving model a rule compares with."""

from __future__ import annotations

import pytest

from reefline.report.rule_numbers import read_compared
from tests.factories_evaluation import make_metrics


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        pytest.param("min_map", 0.4, id="min_map"),
        pytest.param("min_map_50", 0.7, id="min_map_50"),
        pytest.param("min_class_ap", 0.4, id="worst-class"),
        pytest.param("max_regression", 0.4, id="max_regression"),
        pytest.param("max_quantization_drop", None, id="no-baseline-takes-part"),
        pytest.param("min_edgetpu_ops", None, id="placement"),
    ],
)
def test_what_a_rule_compares_with(rule: str, value: float | None) -> None:
    assert read_compared(rule, make_metrics(0.4, map_50=0.7)) == value
    assert read_compared(rule, None) is None
