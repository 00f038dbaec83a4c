from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reefline.errors import RecordError
from reefline.evaluation.gate import judge
from reefline.evaluation.report import EvaluationReport, GateResult, GateVerdict
from reefline.evaluation.scores import ClassMetrics, Precision, Scores
from reefline.settings import GateSettings
from reefline.tflite.quantization_report import QuantizationReport, TensorRange
from tests.factories_evaluation import FakePlacement, make_metrics, make_scores

FRACTIONS = st.floats(0.0, 1.0)
UNKNOWN = st.sampled_from([None, math.nan, math.inf, -math.inf])


def judge_one(scores=None, placement=None, **thresholds):
    (result,) = judge(scores or make_scores(), placement or FakePlacement(), GateSettings(**thresholds))
    return result


def serving(value, **overrides):
    return make_scores(baseline=make_metrics(value), baseline_version=3, **overrides)


def test_no_rule_no_result():
    assert judge(make_scores(), FakePlacement(), GateSettings()) == ()


def test_one_result_per_configured_rule_in_order():
    settings = GateSettings(min_map=0.1, max_regression=0.1, edgetpu_compiled=True)

    assert [r.rule for r in judge(make_scores(), FakePlacement(), settings)] == [
        "min_map",
        "max_regression",
        "edgetpu_compiled",
    ]


def test_edgetpu_compiled_false_demands_nothing():
    assert judge(make_scores(), FakePlacement(), GateSettings(edgetpu_compiled=False)) == ()


@pytest.mark.parametrize(
    ("thresholds", "scores", "passed", "value"),
    [
        pytest.param({"min_map": 0.5}, make_scores(), True, 0.5, id="map-at-threshold"),
        pytest.param({"min_map": 0.51}, make_scores(), False, 0.5, id="map-below"),
        pytest.param(
            {"min_map": 0.5}, make_scores(float_model=make_metrics(0.1)), True, 0.5, id="the-shipped-model-is-judged"
        ),
        pytest.param({"min_map_50": 0.6}, make_scores(shipped=make_metrics(map_50=0.7)), True, 0.7, id="map-50"),
        pytest.param({"min_map_50": 0.8}, make_scores(shipped=make_metrics(map_50=0.7)), False, 0.7, id="map-50-below"),
        pytest.param({"max_quantization_drop": 0.0}, make_scores(), True, 0.0, id="no-drop"),
        pytest.param(
            {"max_quantization_drop": 0.02},
            make_scores(float_model=make_metrics(0.62), shipped=make_metrics(0.60)),
            True,
            0.02,
            id="drop-exactly-at-threshold-in-spite-of-rounding",
        ),
        pytest.param(
            {"max_quantization_drop": 0.02},
            make_scores(float_model=make_metrics(0.65), shipped=make_metrics(0.60)),
            False,
            0.05,
            id="drop-too-large",
        ),
        pytest.param(
            {"max_quantization_drop": 0.01},
            make_scores(precision=Precision.FLOAT),
            True,
            0.0,
            id="float-bundle-drop-of-what-ships",
        ),
        pytest.param({"max_regression": 0.1}, serving(0.55), True, 0.05, id="regression-within"),
        pytest.param({"max_regression": 0.0}, serving(0.55), False, 0.05, id="regression-too-large"),
        pytest.param({"max_regression": 0.0}, serving(0.4), True, -0.1, id="better-is-no-regression"),
        pytest.param({"min_improvement": 0.05}, serving(0.4), True, 0.1, id="improvement"),
        pytest.param({"min_improvement": 0.2}, serving(0.4), False, 0.1, id="improvement-too-small"),
        pytest.param({"max_regression": 0.0}, make_scores(), True, None, id="first-run-regression"),
        pytest.param({"min_improvement": 0.5}, make_scores(), True, None, id="first-run-improvement"),
        pytest.param({"max_regression": 1.0}, serving(None), False, None, id="baseline-that-was-not-measured"),
        pytest.param(
            {"max_regression": 1.0}, make_scores(baseline_version=2), False, None, id="baseline-that-has-no-metrics"
        ),
    ],
)
def test_rule(thresholds, scores, passed, value):
    result = judge_one(scores, **thresholds)

    assert result.passed is passed
    assert result.value == (None if value is None else pytest.approx(value))
    assert result.threshold == next(iter(thresholds.values()))


def test_first_run_says_so():
    assert "no baseline serves" in judge_one(max_regression=0.0).reason
    assert "no baseline serves" in judge_one(min_improvement=0.1).reason


def test_worst_class_is_named():
    per_class = {"cat": ClassMetrics(0.9, 0.9, 5), "dog": ClassMetrics(0.2, 0.9, 5)}
    result = judge_one(make_scores(shipped=make_metrics(per_class=per_class)), min_class_ap=0.3)

    assert (result.passed, result.value) == (False, 0.2)
    assert "'dog'" in result.reason


def test_class_without_objects_is_named_and_fails():
    per_class = {"cat": ClassMetrics(0.9, 0.9, 5), "dog": ClassMetrics(None, None, 0)}
    result = judge_one(make_scores(shipped=make_metrics(per_class=per_class)), min_class_ap=0.0)

    assert (result.passed, result.value) == (False, None)
    assert "'dog'" in result.reason
    assert "'cat'" not in result.reason


@pytest.mark.parametrize(
    ("placement", "passed", "value"),
    [
        pytest.param(FakePlacement(ops_total=100, ops_on_tpu=90), True, 0.9, id="at-threshold"),
        pytest.param(FakePlacement(ops_total=100, ops_on_tpu=89), False, 0.89, id="below"),
        pytest.param(FakePlacement(ops_total=0, ops_on_tpu=0), False, None, id="no-operations"),
        pytest.param(FakePlacement(ops_total=None), False, None, id="total-unknown"),
        pytest.param(FakePlacement(ops_on_tpu=None), False, None, id="share-unknown"),
    ],
)
def test_share_on_the_tpu(placement, passed, value):
    result = judge_one(placement=placement, min_edgetpu_ops=0.9)

    assert (result.passed, result.value) == (passed, value)


@pytest.mark.parametrize("compiled", [True, False])
def test_compiled(compiled):
    assert judge_one(placement=FakePlacement(compiled=compiled), edgetpu_compiled=True).passed is compiled


@given(threshold=FRACTIONS, unknown=UNKNOWN, where=st.sampled_from(["shipped", "float_model", "baseline"]))
def test_an_unknown_number_never_passes(threshold, unknown, where):
    scores = make_scores(**{"baseline": make_metrics(), "baseline_version": 1, where: make_metrics(unknown)})
    rules = {
        "shipped": ["min_map", "min_map_50", "min_class_ap", "max_quantization_drop", "max_regression"],
        "float_model": ["max_quantization_drop"],
        "baseline": ["max_regression", "min_improvement"],
    }[where]
    settings = GateSettings(**dict.fromkeys(rules, threshold))

    results = judge(scores, FakePlacement(), settings)

    assert len(results) == len(rules)
    assert not any(result.passed for result in results)
    assert all("unknown" in result.reason for result in results)


@given(threshold=FRACTIONS, where=st.sampled_from(["shipped", "float_model", "baseline"]))
def test_a_missing_model_never_passes(threshold, where):
    scores = make_scores(**{"baseline": make_metrics(), "baseline_version": 1, where: None})
    rule = {"shipped": "min_class_ap", "float_model": "max_quantization_drop", "baseline": "max_regression"}[where]

    assert not judge_one(scores, **{rule: threshold}).passed


ALL_RULES = dict.fromkeys(GateSettings.model_fields, 0.0) | {"max_quantization_drop": 1.0, "max_regression": 1.0}
NUMBERS = st.one_of(FRACTIONS, UNKNOWN)
SUBJECTS = {
    "min_map": ("shipped",),
    "min_map_50": ("shipped",),
    "min_class_ap": ("shipped",),
    "max_quantization_drop": ("float_model", "shipped"),
    "max_regression": ("baseline", "shipped"),
    "min_improvement": ("baseline", "shipped"),
    "min_edgetpu_ops": ("ops_total", "ops_on_tpu"),
    "edgetpu_compiled": (),
}


@given(
    data=st.fixed_dictionaries(dict.fromkeys(["shipped", "float_model", "baseline"], NUMBERS)),
    ops=st.tuples(st.one_of(st.integers(0, 9), UNKNOWN), st.one_of(st.integers(0, 9), UNKNOWN)),
)
def test_no_rule_passes_on_a_number_that_is_not_finite(data, ops):
    scores = make_scores(baseline_version=1, **{name: make_metrics(value) for name, value in data.items()})
    placement = FakePlacement(compiled=True, ops_total=ops[0], ops_on_tpu=ops[1])
    numbers = {**data, "ops_total": ops[0], "ops_on_tpu": ops[1]}

    results = judge(scores, placement, GateSettings(**ALL_RULES | {"edgetpu_compiled": True}))

    assert [result.rule for result in results] == list(SUBJECTS)
    for result in results:
        known = all(numbers[name] is not None and math.isfinite(numbers[name]) for name in SUBJECTS[result.rule])
        assert known or not result.passed
        assert result.value is None or math.isfinite(result.value)


@given(value=FRACTIONS, threshold=FRACTIONS, better=st.floats(0.0, 1.0))
def test_a_better_model_passes_what_a_worse_one_passed(value, threshold, better):
    best = max(value, better)
    settings = GateSettings(min_map=threshold, max_regression=threshold, min_improvement=threshold)
    worse = judge(serving(0.5, shipped=make_metrics(value)), FakePlacement(), settings)
    improved = judge(serving(0.5, shipped=make_metrics(best)), FakePlacement(), settings)

    assert all(after.passed or not before.passed for before, after in zip(worse, improved, strict=True))


@given(value=FRACTIONS, strict=FRACTIONS, lax=FRACTIONS)
def test_a_laxer_threshold_passes_what_a_stricter_one_passed(value, strict, lax):
    low, high = sorted((strict, lax))
    scores = serving(0.5, shipped=make_metrics(value))

    assert judge_one(scores, min_map=low).passed or not judge_one(scores, min_map=high).passed
    assert judge_one(scores, max_regression=high).passed or not judge_one(scores, max_regression=low).passed


@given(value=st.one_of(FRACTIONS, UNKNOWN), threshold=FRACTIONS)
def test_results_are_valid_json(value, threshold):
    results = judge(make_scores(shipped=make_metrics(value)), FakePlacement(), GateSettings(min_map=threshold))

    json.dumps([result.to_json() for result in results], allow_nan=False)


@pytest.mark.parametrize(
    ("passed", "verdict"),
    [
        pytest.param([True, True], GateVerdict.BLESSED, id="all-passed"),
        pytest.param([True, False], GateVerdict.NOT_BLESSED, id="one-failed"),
        pytest.param([], GateVerdict.BLESSED, id="no-rule"),
    ],
)
def test_verdict(passed, verdict):
    results = tuple(GateResult("min_map", 0.5, 0.5, p, "because") for p in passed)

    assert EvaluationReport(make_scores(), results).verdict is verdict


@pytest.mark.parametrize("precision", list(Precision))
def test_report_round_trip(precision):
    scores = serving(0.25, precision=precision, float_model=None)
    report = EvaluationReport(scores, judge(scores, FakePlacement(), GateSettings(min_map=0.3, min_improvement=0.1)))

    record = json.loads(json.dumps(report.to_json()))

    assert EvaluationReport.from_json(record) == report
    assert report.verdict is GateVerdict.BLESSED
    assert (record["scores"]["int8"] is None) is (precision is Precision.FLOAT)
    assert Scores.from_json(record["scores"]) == scores


@pytest.mark.parametrize(
    ("damage", "field"),
    [
        pytest.param({"passed": "true"}, r"gate\.0\.passed", id="pass-in-words"),
        pytest.param({"passed": 1}, r"gate\.0\.passed", id="pass-as-a-number"),
        pytest.param({"value": math.nan}, r"gate\.0\.value", id="not-a-number"),
        pytest.param({"threshold": math.inf}, r"gate\.0\.threshold", id="infinite-threshold"),
    ],
)
def test_a_damaged_result_is_named_and_never_read_as_a_pass(tmp_path, damage, field):
    record = EvaluationReport(make_scores(), (GateResult("min_map", 0.5, 0.5, True, "because"),)).to_json()
    record["gate"][0] |= damage
    (tmp_path / "evaluation.json").write_text(json.dumps(record))

    with pytest.raises(RecordError, match=rf"evaluation\.json: {field}: damaged"):
        EvaluationReport.read(tmp_path / "evaluation.json")


def test_damaged_scores_are_named(tmp_path):
    record = make_scores().to_json()
    record["int8"]["mAP"] = math.inf
    del record["float"]["per_class"]["cat"]["ap"]
    (tmp_path / "scores.json").write_text(json.dumps(record))

    with pytest.raises(RecordError, match=r"float\.per_class\.cat\.ap: damaged") as caught:
        Scores.read(tmp_path / "scores.json")

    assert any("int8.mAP: damaged" in problem for problem in caught.value.problems)


WIDE = QuantizationReport(
    tensors=tuple(
        TensorRange(f"block_{n}/{op}", op, 255.0 / n, 1.0 / n, 0.29) for n in (1, 2, 4, 8) for op in ("CONV_2D", "ADD")
    ),
    tensors_total=97,
    calibration_images=200,
    measured_images=29,
)


def judge_drop(float_map, shipped_map, precision=Precision.INT8):
    scores = make_scores(float_model=make_metrics(float_map), shipped=make_metrics(shipped_map), precision=precision)
    settings = GateSettings(min_map=0.0, max_quantization_drop=0.02)
    return EvaluationReport(scores, judge(scores, FakePlacement(), settings))


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        pytest.param(judge_drop(0.6, 0.5), True, id="drop-too-large"),
        pytest.param(judge_drop(0.6, 0.59), False, id="drop-within"),
        pytest.param(judge_drop(None, 0.5), False, id="drop-unknown"),
        pytest.param(judge_drop(0.6, math.nan), False, id="drop-not-a-number"),
        pytest.param(judge_drop(0.6, 0.5, Precision.FLOAT), False, id="float-model-that-ships"),
        pytest.param(EvaluationReport(make_scores(), ()), False, id="no-such-rule"),
    ],
)
def test_only_a_known_drop_that_is_too_large_is_worth_a_diagnosis(report, expected):
    assert report.is_worth_a_diagnosis is expected


@pytest.mark.parametrize(
    ("diagnosis", "said"),
    [
        pytest.param(
            WIDE,
            "the widest ranges of 97 tensors: block_1/CONV_2D (CONV_2D: 255), "
            "block_2/CONV_2D (CONV_2D: 128), block_4/CONV_2D (CONV_2D: 63.8) (more in evaluation.json); "
            "use more, or more typical, calibration images "
            "(exporter.calibration_images, 200 used)",
            id="found",
        ),
        pytest.param(
            QuantizationReport(failure="the diagnosis was ended after 900 s"),
            "the tensors with the widest ranges could not be determined: the diagnosis was ended after 900 s",
            id="failed",
        ),
    ],
)
def test_a_diagnosis_explains_and_changes_nothing_else(diagnosis, said):
    report = judge_drop(0.6, 0.5)

    explained = report.explain(diagnosis)

    assert explained.verdict is report.verdict is GateVerdict.NOT_BLESSED
    assert explained.gate[0] == report.gate[0]
    assert explained.gate[1].reason.startswith(f"{report.gate[1].reason}; {said}")
    assert (explained.gate[1].value, explained.gate[1].passed) == (report.gate[1].value, False)
    assert EvaluationReport.from_json(json.loads(json.dumps(explained.to_json(), allow_nan=False))) == explained
