"""Where the sizes of operators decide; the limits themselves are checked against what was observed."""

from __future__ import annotations

import pytest

from reefline.edgetpu.op_limits import DATA_OPERANDS
from reefline.edgetpu.op_sizes import (
    BILINEAR_DOUBLE,
    BILINEAR_OTHER,
    CONCATENATED_CHANNELS,
    CONCATENATED_LISTS,
    CONVOLUTION,
    MEAN,
    NEAREST_ALMOST_DOUBLE,
    NEAREST_DOUBLE,
    NEAREST_OTHER,
    PACK,
    PASS_THROUGH,
    RARE,
    RESHAPE_HEAD,
    RESHAPE_KEEP,
    RESHAPE_MERGE,
    RESHAPE_REGROUP,
    TRANSPOSE,
    SizeLimit,
    doubt_size,
    find_size_limit,
    limit_size,
)
from reefline.edgetpu.placement_report import Placement
from tests.compiler_log_cases import CASES, TPU, UNSUPPORTED, V16, Case
from tests.edgetpu_observations import (
    PAIRS_DIR,
    Fit,
    Observation,
    build_observation,
    compare_pair,
    leave_one_out,
    list_sized,
    needs_observations,
    predict,
    read_pairs,
    read_rows,
)


def observe(name: str, before: list[int], after: list[int], version: int = 1) -> Observation:
    return build_observation(name, version, [before], [after])


KINDS = [
    pytest.param("RESHAPE", [1, 1, 1, 8], [1, 8], RESHAPE_KEEP, id="keep"),
    pytest.param("RESHAPE", [1, 40, 40, 8], [1, 1600, 8], RESHAPE_MERGE, id="merge"),
    pytest.param("RESHAPE", [1, 6, 6, 64], [1, 2304], RESHAPE_MERGE, id="flatten"),
    pytest.param("RESHAPE", [1, 40, 40, 255], [1, 1600, 3, 85], RESHAPE_REGROUP, id="regroup"),
    pytest.param("RESHAPE", [1, 80, 80, 24], [1, 38400, 4], RESHAPE_HEAD, id="head"),
    pytest.param("RESIZE_NEAREST_NEIGHBOR", [1, 3, 3, 8], [1, 6, 6, 8], NEAREST_DOUBLE, id="doubled"),
    pytest.param("RESIZE_NEAREST_NEIGHBOR", [1, 3, 3, 8], [1, 5, 5, 8], NEAREST_ALMOST_DOUBLE, id="almost_doubled"),
    pytest.param("RESIZE_NEAREST_NEIGHBOR", [1, 3, 3, 8], [1, 6, 3, 8], NEAREST_OTHER, id="doubled_one_way"),
    pytest.param("RESIZE_NEAREST_NEIGHBOR", [1, 3, 3, 8], [1, 9, 9, 8], NEAREST_OTHER, id="trebled"),
    pytest.param("RESIZE_BILINEAR", [1, 3, 3, 8], [1, 3, 3, 8], BILINEAR_DOUBLE, id="bilinear_kept"),
    pytest.param("RESIZE_BILINEAR", [1, 3, 3, 8], [1, 5, 5, 8], BILINEAR_OTHER, id="bilinear_to_5"),
    pytest.param("CONCATENATION", [1, 3, 8], [1, 6, 8], CONCATENATED_LISTS, id="lists"),
    pytest.param("CONCATENATION", [1, 3, 3, 8], [1, 3, 3, 16], CONCATENATED_CHANNELS, id="channels"),
    pytest.param("CONCATENATION", [1, 8, 3], [1, 8, 6], CONCATENATED_LISTS, id="lists_by_channel"),
    pytest.param("CONCATENATION", [3, 8], [6, 8], CONCATENATED_LISTS, id="lists_of_rank_2"),
    pytest.param("CONCATENATION", [1, 1, 3, 8], [1, 1, 6, 8], CONCATENATED_LISTS, id="lists_of_rank_4"),
    pytest.param("CONCATENATION", [1, 3, 3, 8], [1, 6, 3, 8], CONCATENATED_LISTS, id="pixels"),
    pytest.param("SQUEEZE", [1, 1, 3, 8], [1, 3, 8], RESHAPE_KEEP, id="squeeze"),
    pytest.param("EXPAND_DIMS", [1, 3, 8], [1, 1, 3, 8], RESHAPE_KEEP, id="expand_dims"),
    pytest.param("DEPTHWISE_CONV_2D", [1, 3, 3, 8], [1, 3, 3, 8], CONVOLUTION, id="convolution"),
    pytest.param("LOGISTIC", [1, 3, 3, 8], [1, 3, 3, 8], PASS_THROUGH, id="elementwise"),
    pytest.param("MAX_POOL_2D", [1, 4, 4, 8], [1, 2, 2, 8], PASS_THROUGH, id="pooling"),
    pytest.param("PACK", [1, 8], [1, 2, 8], PACK, id="pack"),
    pytest.param("SPACE_TO_DEPTH", [1, 4, 4, 8], [1, 2, 2, 32], RARE, id="never_seen"),
]


@pytest.mark.parametrize(("name", "before", "after", "expected"), KINDS)
def test_the_shapes_decide_which_limit_counts(
    name: str, before: list[int], after: list[int], expected: SizeLimit
) -> None:
    observation = observe(name, before, after)
    assert find_size_limit(observation.op, observation.graph) is expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param(TRANSPOSE.maps, Placement.EDGETPU, id="as_the_largest_mapped"),
        pytest.param(TRANSPOSE.maps + 1, Placement.UNCERTAIN, id="larger"),
        pytest.param(103_999, Placement.UNCERTAIN, id="smaller_than_the_smallest_left"),
        pytest.param(104_000, Placement.CPU, id="as_the_smallest_left"),
    ],
)
def test_between_the_largest_mapped_and_the_smallest_left_lies_a_doubt(size: int, expected: Placement) -> None:
    assert predict(observe("TRANSPOSE", [1, size], [1, size])) is expected


UNKNOWN = [
    pytest.param("SQUEEZE", 1, [1, 1, 1600, 2040], [1, 1600, 2040], (), id="squeeze"),
    pytest.param("EXPAND_DIMS", 1, [1, 1600, 1000], [1, 1, 1600, 1000], [[1]], id="expand_dims"),
    pytest.param("CONCATENATION", 2, [1, 144, 3200], [1, 144, 6400], (), id="lists_by_channel"),
    pytest.param("CONCATENATION", 2, [1, 1, 3200, 144], [1, 1, 6400, 144], (), id="lists_of_rank_4"),
    pytest.param("RESIZE_NEAREST_NEIGHBOR", 3, [1, 64, 64, 128], [1, 127, 127, 128], [[127, 127]], id="almost_doubled"),
    pytest.param("RESIZE_NEAREST_NEIGHBOR", 3, [1, 4, 4, 8], [1, 8, 4, 8], [[8, 4]], id="doubled_one_way"),
    pytest.param("SUM", 2, [1, 400, 400, 50], [1, 50], [[1, 2]], id="sum"),
    pytest.param("MEAN", 2, [1, 400, 400, 52], [1, 400, 400, 1], [[3]], id="mean_over_z"),
    pytest.param("MEAN", 2, [1, 10, 10, 1280], [1, 1280], [[1, 2]], id="mean_over_pixels"),
    pytest.param("REDUCE_MAX", 2, [1, 400, 400, 50], [1, 50], [[1, 2]], id="reduce_max"),
    pytest.param("L2_NORMALIZATION", 2, [1, 400, 400, 50], [1, 400, 400, 50], (), id="l2_normalization"),
    pytest.param("STRIDED_SLICE", 2, [1, 200, 200, 32], [1, 200, 200, 16], [[0] * 4, [0] * 4, [1] * 4], id="slice"),
    pytest.param("SPACE_TO_DEPTH", 2, [1, 640, 640, 3], [1, 320, 320, 12], (), id="space_to_depth"),
    pytest.param("MAXIMUM", 3, [1, 8], [1, 8], (), id="version_never_seen"),
    pytest.param("SLICE", 3, [1, 8], [1, 4], [[0, 0], [1, 4]], id="slice_version_never_seen"),
    pytest.param("PACK", 2, [1, 8], [1, 2, 8], (), id="pack"),
]


@pytest.mark.parametrize(("name", "version", "before", "after", "constants"), UNKNOWN)
def test_what_was_never_seen_mapped_is_uncertain(
    name: str, version: int, before: list[int], after: list[int], constants: list[list[int]]
) -> None:
    inputs = [before, before] if name in ("CONCATENATION", "MAXIMUM", "PACK") else [before]
    assert predict(build_observation(name, version, inputs, [after], (), constants)) is Placement.UNCERTAIN


def test_a_mean_over_channels_is_not_judged_by_one_over_pixels() -> None:
    over_z, over_pixels = (
        build_observation("MEAN", 2, [[1, 7, 7, 8]], [after], (), [axes])
        for after, axes in (([1, 7, 7, 1], [3]), ([1, 8], [1, 2]))
    )
    assert find_size_limit(over_z.op, over_z.graph) is RARE
    assert find_size_limit(over_pixels.op, over_pixels.graph) is MEAN


@pytest.mark.parametrize(
    "observation",
    [
        pytest.param(observe("SPACE_TO_DEPTH", [1, 32, 32, 16], [1, 16, 16, 64], 2), id="rare_but_small"),
        pytest.param(observe("LOGISTIC", [1, 640, 640, 32], [1, 640, 640, 32], 2), id="next_to_large_convolutions"),
    ],
)
def test_assumed_sizes_map(observation: Observation) -> None:
    assert predict(observation) is Placement.EDGETPU


def test_an_assumed_size_is_named_as_such() -> None:
    large = observe("TANH", [1, 40_000], [1, 40_000], 2)
    assert doubt_size(large.op, large.graph) == (
        "its largest tensor has 40,000 bytes; an operator rarely or never seen is assumed to map up to 32,768 bytes; "
        "only edgetpu_compiler can tell"
    )


@pytest.mark.parametrize("row", [RESHAPE_HEAD, NEAREST_OTHER], ids=["head", "nearest"])
def test_a_kind_that_was_never_seen_left_is_not_said_to_stay(row: SizeLimit) -> None:
    assert row.stays is None


def test_a_doubt_names_its_size_and_what_would_settle_it() -> None:
    large = observe("RESHAPE", [1, 80, 80, 24], [1, 38400, 4])
    assert limit_size(large.op, large.graph) is None
    assert doubt_size(large.op, large.graph) == (
        "its largest tensor has 153,600 bytes; a RESHAPE of a detector's head is known to map up to 109,200 bytes; "
        "only edgetpu_compiler can tell"
    )


def test_a_limit_names_its_size() -> None:
    large = observe("RESHAPE", [1, 80, 80, 255], [1, 6400, 3, 85])
    assert limit_size(large.op, large.graph) == (
        "its largest tensor has 1,632,000 bytes; a RESHAPE that merges and splits dimensions is known to stay on the "
        "CPU from 1,632,000 bytes on"
    )


@needs_observations
def test_every_observed_operator_is_predicted_exactly() -> None:
    assert [row.label for row in read_rows() if (predict(row) is Placement.EDGETPU) is not row.is_mapped] == []
    assert [row.label for row in read_rows() if predict(row) is Placement.UNCERTAIN] == []


@needs_observations
def test_every_pair_is_predicted_exactly() -> None:
    fits = {name: compare_pair(graph, left) for name, graph, left in read_pairs()}
    assert len(fits) == len(list(PAIRS_DIR.glob("*_edgetpu.tflite")))
    assert {name: fit for name, fit in fits.items() if fit != Fit(exact=fit.exact)} == {}


@needs_observations
def test_a_size_limit_never_errs_on_what_it_was_not_fitted_to() -> None:
    fits = leave_one_out(list_sized(read_rows()))
    assert {kind: fit for kind, fit in fits.items() if fit.false_edgetpu or fit.false_cpu} == {}
    assert sum(fit.uncertain for fit in fits.values()) <= 0.02 * sum(fit.exact for fit in fits.values())


@pytest.mark.parametrize("case", [pytest.param(case, id=case.file) for case in CASES if case.version == V16])
def test_the_rules_agree_with_the_logs_on_what_is_supported(case: Case) -> None:
    mapped = {name for name, _, status in case.rows if status == TPU}
    unsupported = {name for name, _, status in case.rows if status == UNSUPPORTED}
    assert mapped <= DATA_OPERANDS.keys()
    assert not unsupported & DATA_OPERANDS.keys()
