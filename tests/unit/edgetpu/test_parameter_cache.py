"""The predicted parameter cache against the compiler's own figures: published pairs, and figures of other authors."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.edgetpu.analysis import analyze_graph, analyze_model
from reefline.edgetpu.parameter_cache import (
    CacheFit,
    ParameterCache,
    StoredParameters,
    find_fitting_segments,
    judge_fit,
    predict_cache,
    split,
)
from reefline.edgetpu.parameter_layout import UNKNOWN_LAYOUTS, count_stored_bytes
from reefline.edgetpu.placement import place_as_compiled, place_operators
from reefline.tflite.graph import Graph
from reefline.tflite.reader import read_graph
from tests.compiled_pair_cases import PAIRS, PAIRS_DIR, needs_pairs
from tests.factories_graph import make_chain
from tests.factories_tflite import OpSpec, TensorSpec, parameter, write_model

MIB = 2**20
# Figures of edgetpu_compiler for five 3x3 convolutions on 64x64 pixels with as many filters each, untrained: cached and
# streamed MiB. Source: github.com/Jorgitou98/EdgeTPU-QuantRL-Evaluation, CONV_MACs/results/minF32-maxF750-stepF10.csv
CHAINS = {
    72: (0.326, 0.0),
    202: (1.81, 0.0),
    442: (6.86, 0.0),
    452: (5.99, 1.99),
    522: (5.21, 5.19),
    632: (6.98, 6.95),
    642: (3.93, 11.69),
    742: (4.94, 14.73),
}
# The same with two and three segments: cached and streamed MiB of each, together. Source: the tables
# *-seg2-batch1.csv and *-seg3-batch100.csv next to that one.
SPLITS = {
    (72, 2): (0.085, 0.240),
    (202, 2): (0.461, 1.35),
    (72, 3): (0.085, 0.080, 0.160),
    (452, 3): (2.01, 1.99, 3.98),
    (582, 3): (3.24, 3.21, 6.42),
}


def predict(graph: Graph) -> ParameterCache:
    return predict_cache(graph, place_operators(graph))


@needs_pairs
@pytest.mark.parametrize("pair", PAIRS)
def test_published_pairs_agree_to_the_byte(pair: dict[str, str]) -> None:
    """Both sides count what the compiler mapped; LSTM layers, and a few bytes of SPLIT, are not predicted."""
    graph, compiled_graph = read_graph(PAIRS_DIR / pair["model"]), read_graph(PAIRS_DIR / pair["compiled"])
    compiled = analyze_model(PAIRS_DIR / pair["compiled"]).compiled
    assert compiled is not None
    placed = place_operators(graph)
    cache = predict_cache(graph, place_as_compiled(graph, compiled_graph, placed) or placed)
    if pair["model"] == "split_concat.tflite":
        assert (cache.parameter_bytes, compiled.cached_parameter_bytes) == (0, 192)
    elif cache.not_counted:
        assert pair["model"] == "keras_lstm_mnist_ptq.tflite"
        assert "op 1 (UNIDIRECTIONAL_SEQUENCE_LSTM)" in cache.not_counted
    else:
        assert cache.fit is CacheFit.FITS
        assert cache.cached_bytes == compiled.cached_parameter_bytes
        assert cache.constant_bytes == compiled.streamed_parameter_bytes


@pytest.mark.parametrize("filters", CHAINS)
def test_figures_of_other_authors_agree(filters: int) -> None:
    cached, streamed = CHAINS[filters]
    cache = predict(make_chain(filters))
    assert cache.cached_bytes / MIB == pytest.approx(cached, rel=0.005)
    assert cache.streamed_bytes / MIB == pytest.approx(streamed, rel=0.005)
    assert cache.streamed_bytes == sum(stored.bytes for stored in cache.streamed)
    assert cache.parameter_bytes == cache.cached_bytes + cache.streamed_bytes


@pytest.mark.parametrize(("filters", "count"), SPLITS)
def test_splits_of_other_authors_agree(filters: int, count: int) -> None:
    graph = make_chain(filters)
    stored = [StoredParameters(op.index, op.name, count_stored_bytes(op, graph)) for op in graph.operators]
    segments = split(stored, count, 5)
    assert [segment.parameter_bytes / MIB for segment in segments] == pytest.approx(SPLITS[filters, count], rel=0.01)
    assert [segment.first_op for segment in segments[1:]] == [segment.last_op + 1 for segment in segments[:-1]]
    assert (segments[0].first_op, segments[-1].last_op) == (0, 4)


@pytest.mark.parametrize(
    ("megabytes", "expected"),
    [
        pytest.param(5.5, CacheFit.FITS, id="fits"),
        pytest.param(6.5, CacheFit.UNCERTAIN, id="published logs differ"),
        pytest.param(8.0, CacheFit.STREAMS, id="more than the chip has"),
    ],
)
def test_the_fit_has_a_doubt_between_the_limits(megabytes: float, expected: CacheFit) -> None:
    assert judge_fit(int(megabytes * MIB)) is expected


def test_what_streams_is_explained() -> None:
    analysis = analyze_graph(Path("chain.tflite"), make_chain(642))
    text = analysis.to_text()
    assert "parameters: 15.62 MiB on the chip, which do not fit: about 3.93 MiB cached, 11.69 MiB sent" in text
    assert "streamed: 3 ops, first op 2 (CONV_2D), largest op 2 (CONV_2D) with 3.90 MiB" in text
    assert "to fit: about 0.55 times the channels in every layer" in text
    assert "or 5 Edge TPUs (reefline compile --segments 5): ops 0-0 0.03 MiB, ops 1-1 3.90 MiB" in text
    record = analysis.to_json()["cache"]
    assert record["fit"] == "streams"
    assert [stored["index"] for stored in record["streamed"]] == [2, 3, 4]


@pytest.mark.parametrize(
    ("op", "is_said"), [pytest.param("CONV_2D", True, id="conv"), pytest.param("FULLY_CONNECTED", False, id="dense")]
)
def test_a_smaller_input_may_help_dense_layers(op: str, is_said: bool) -> None:
    streamed = (StoredParameters(0, op, 9 * MIB),)
    cache = ParameterCache(CacheFit.STREAMS, 9 * MIB, 0, 9 * MIB, 0, streamed, (), 0.5, ())
    advice = "\n".join(cache.describe())
    assert "to fit: about 0.5 times the channels in every layer" in advice
    assert ("a smaller input leaves the parameters as they are" in advice) is is_said


def test_a_split_of_a_model_that_does_not_map_completely_comes_with_a_warning() -> None:
    cache = predict(make_chain(642))
    warning = "the compiler may refuse to split this model, as not all of its operators map (edgetpu#411)"
    assert warning in cache.describe(is_partial=True)
    assert warning not in cache.describe()


def test_a_model_that_fits_gets_no_advice() -> None:
    cache = predict(make_chain(72))
    assert list(cache.describe()) == ["parameters: 0.33 MiB on the chip, all cached (prediction)"]
    assert cache.fitting_width is None
    assert not cache.segments
    assert not cache.streamed


def test_no_split_helps_a_layer_that_is_too_large() -> None:
    assert find_fitting_segments([StoredParameters(0, "CONV_2D", 9 * MIB)], 1) == ()


def test_a_rejected_model_has_no_cache(tmp_path: Path) -> None:
    floats = [TensorSpec("a", type="FLOAT32", scales=()), TensorSpec("b", type="FLOAT32", scales=())]
    model = write_model(tmp_path / "m.tflite", floats, [OpSpec("RELU", ("a",), ("b",))], ["a"], ["b"])
    assert analyze_model(model).to_json()["cache"] is None


def test_constant_data_is_sent_each_time(tmp_path: Path) -> None:
    tensors = [TensorSpec("a"), TensorSpec("mask", data=bytes(range(256))), TensorSpec("b")]
    model = write_model(tmp_path / "m.tflite", tensors, [OpSpec("MUL", ("a", "mask"), ("b",), 2)], ["a"], ["b"])
    cache = predict(read_graph(model))
    assert (cache.constant_bytes, cache.parameter_bytes) == (256, 0)


def test_unknown_layouts_are_named(tmp_path: Path) -> None:
    size = parameter("size", 1, 8, 8, 4)
    tensors = [size, TensorSpec("w", (4, 1, 1, 4), data=bytes(16)), TensorSpec("a"), TensorSpec("b")]
    ops = [OpSpec("TRANSPOSE_CONV", ("size", "w", "a"), ("b",), 1)]
    model = write_model(tmp_path / "m.tflite", tensors, ops, ["a"], ["b"])
    cache = predict(read_graph(model))
    assert "TRANSPOSE_CONV" in UNKNOWN_LAYOUTS
    assert list(cache.describe())[-1] == "parameters of unknown layout, not counted: op 0 (TRANSPOSE_CONV)"
