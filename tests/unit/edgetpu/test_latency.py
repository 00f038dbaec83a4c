"""The latency estimate against what Coral publishes for the models in ../shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.edgetpu.analysis import ModelAnalysis, analyze_graph, analyze_model
from reefline.edgetpu.latency import OVERHEAD_MS, Work, estimate, measure_work
from reefline.edgetpu.parameter_cache import predict_cache
from reefline.edgetpu.placement import place_as_compiled, place_operators
from reefline.tflite.reader import read_graph
from tests.compiled_pair_cases import PAIRS_DIR, needs_pairs
from tests.factories_graph import make_chain
from tests.factories_tflite import OpSpec, TensorSpec, weights, write_model

# Milliseconds with a USB accelerator. Source: coral.ai/models
PUBLISHED = {
    "bodypix_mobilenet_v1_075_512_512_16_quant_decoder": 10.7,
    "deeplab_mobilenet_edgetpu_slim_cityscapes_quant": 65.9,
    "deeplabv3_mnv2_dm05_pascal_quant": 36.8,
    "mobilenet_v1_0.25_128_quant": 0.9,
    "movenet_single_pose_lightning_ptq": 7.1,
    "posenet_mobilenet_v1_075_353_481_16_quant_decoder": 5.8,
}


@needs_pairs
@pytest.mark.parametrize("model", PUBLISHED)
def test_published_latencies_are_within_the_band(model: str) -> None:
    graph = read_graph(PAIRS_DIR / f"{model}.tflite")
    placed = place_operators(graph)
    placed = place_as_compiled(graph, read_graph(PAIRS_DIR / f"{model}_edgetpu.tflite"), placed) or placed
    found = estimate(measure_work(graph, placed, predict_cache(graph, placed)))
    assert found.low_ms < PUBLISHED[model] < found.high_ms
    assert found.usb_ms == pytest.approx(OVERHEAD_MS + found.compute_ms + found.streaming_ms + found.cpu_ms)


def test_the_parts_add_up() -> None:
    found = estimate(Work(multiplications=1e9, streamed_bytes=2_000_000, cpu_elements=3e6))
    assert found.compute_ms > found.streaming_ms > 0
    assert found.cpu_ms > found.streaming_ms
    assert found.low_ms < found.usb_ms < found.high_ms


def test_work_is_counted_as_the_chip_pads_it(tmp_path: Path) -> None:
    """8 x 8 pixels: four outputs of four inputs, a depthwise layer using one lane of four, 512 values on the CPU."""
    tensors = [TensorSpec("a"), TensorSpec("b"), TensorSpec("c"), TensorSpec("d")]
    tensors += [weights("w"), weights("dw", (1, 3, 3, 4))]
    ops = [
        OpSpec("CONV_2D", ("a", "w"), ("b",), 3),
        OpSpec("DEPTHWISE_CONV_2D", ("b", "dw"), ("c",), 3),
        OpSpec("SIN", ("c",), ("d",)),
    ]
    graph = read_graph(write_model(tmp_path / "m.tflite", tensors, ops, ["a"], ["d"]))
    placed = place_operators(graph)
    work = measure_work(graph, placed, predict_cache(graph, placed))
    assert work == Work(multiplications=64 * 16 + 64 * 9 * 16, streamed_bytes=0, cpu_elements=2 * 256)


def convolve_after(tmp_path: Path, size: int, before: str, *parameters: TensorSpec) -> ModelAnalysis:
    """Analyze a convolution of `size` x `size` pixels, `before`, and the same convolution again."""
    tensors = [TensorSpec(name, (1, size, size, 4)) for name in "abcd"]
    tensors += [weights("w"), *parameters]
    ops = [
        OpSpec("CONV_2D", ("a", "w"), ("b",), 3),
        OpSpec(before, ("b", *(tensor.name for tensor in parameters)), ("c",)),
        OpSpec("CONV_2D", ("c", "w"), ("d",), 3),
    ]
    return analyze_model(write_model(tmp_path / "m.tflite", tensors, ops, ["a"], ["d"]))


def test_a_convolution_on_the_cpu_has_no_estimate(tmp_path: Path) -> None:
    analysis = convolve_after(tmp_path, 8, "SIN")
    assert analysis.latency is None
    expected = "op 2 (CONV_2D) runs on the CPU, where its time is unknown"
    assert analysis.to_json()["no_latency"] == expected
    assert f"no latency estimate: {expected}" in analysis.to_text()


def test_a_convolution_that_may_run_on_the_cpu_has_no_estimate(tmp_path: Path) -> None:
    analysis = convolve_after(tmp_path, 128, "TANH")
    assert analysis.latency is None
    assert analysis.no_latency == "op 2 (CONV_2D) may run on the CPU, where its time is unknown"


def test_an_operator_of_unknown_layout_has_no_estimate(tmp_path: Path) -> None:
    analysis = convolve_after(tmp_path, 8, "PRELU", TensorSpec("alpha", (1, 1, 4), data=bytes(4)))
    assert analysis.latency is None
    assert analysis.no_latency == "the Edge TPU's time for op 1 (PRELU) is unknown"


def test_the_estimate_is_shown_with_its_band() -> None:
    analysis = analyze_graph(Path("chain.tflite"), make_chain(642))
    assert analysis.latency is not None
    assert analysis.no_latency is None
    assert analysis.latency.streaming_ms == pytest.approx(11.2, abs=0.1)
    line = analysis.latency.describe()
    assert line in analysis.to_text()
    low, high = f"{analysis.latency.low_ms:.1f}", f"{analysis.latency.high_ms:.1f}"
    assert f"ms with a USB accelerator, {low} to {high} ms (estimate: compute" in line
    assert "over 25 published models" in line
    assert analysis.to_json()["latency"]["median_error"] > 0
