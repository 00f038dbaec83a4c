"""How well do four numbers explain the latencies that Coral publishes?

Fits `reefline.edgetpu.latency` to every published latency whose model can be rebuilt, and prints the leave-one-out
errors: without the model itself, and without its family. --shared is a folder with the published models:

    python benchmarks/edge_tpu_latency.py --shared ../shared

Latencies of the USB accelerator are from coral.ai/models (as copied in the README of
github.com/ricardodeazambuja/EdgeTPUModelZoo) and coral.ai/docs/edgetpu/benchmarks, those of the Dev Board (`board_ms`)
from the latter.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reefline.edgetpu.latency import Work, count_dense, count_depthwise, measure_work
from reefline.edgetpu.parameter_cache import predict_cache
from reefline.edgetpu.parameter_layout import pad_outputs, round_up
from reefline.edgetpu.placement import place_as_compiled, place_operators
from reefline.tflite.reader import read_graph

_CACHE_BYTES = 7 * 2**20
_HEADER_BYTES = 12
_COCO_CLASSES = 91


@dataclass(frozen=True)
class Layer:
    """A convolution; `inputs` is None for a depthwise one. A dense layer has one pixel."""

    pixels: float
    kernel: int
    inputs: int | None
    outputs: int

    @property
    def multiplications(self) -> float:
        if self.inputs is None:
            return count_depthwise(self.pixels, self.kernel, self.outputs)
        return count_dense(self.pixels, self.kernel, self.inputs, self.outputs)

    @property
    def stored_bytes(self) -> int:
        if self.inputs is None:
            return round_up(self.outputs, 4) * (_HEADER_BYTES + self.kernel * 4)
        return pad_outputs(self.outputs) * (_HEADER_BYTES + self.kernel * round_up(self.inputs, 4))


@dataclass(frozen=True)
class Point:
    """A published model: its family, its latency on a USB accelerator and on the Dev Board, and its work."""

    name: str
    family: str
    usb_ms: float | None
    board_ms: float | None
    work: Work

    @property
    def features(self) -> tuple[float, ...]:
        work = self.work
        return (1.0, work.multiplications / 1e9, work.streamed_bytes / 1e6, work.cpu_elements / 1e6)


def make_work(layers: list[Layer], cpu_elements: float = 0.0) -> Work:
    left, streamed = _CACHE_BYTES, 0
    for layer in layers:
        if layer.stored_bytes <= left:
            left -= layer.stored_bytes
        else:
            streamed += layer.stored_bytes
    return Work(sum(layer.multiplications for layer in layers), streamed, cpu_elements)


def halve(side: int) -> int:
    return -(-side // 2)


def mobilenet_v1(side: int, alpha: float = 1.0, *, classes: int | None = None) -> list[Layer]:
    side, channels = halve(side), round(32 * alpha)
    layers = [Layer(side**2, 9, 3, channels)]
    for width, stride in (
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        *((512, 1),) * 5,
        (1024, 2),
        (1024, 1),
    ):
        side = halve(side) if stride == 2 else side
        layers += [Layer(side**2, 9, None, channels), Layer(side**2, 1, channels, round(width * alpha))]
        channels = round(width * alpha)
    return layers if classes is None else [*layers, Layer(1, 1, channels, classes)]


def mobilenet_v2(side: int) -> list[Layer]:
    side, channels = halve(side), 32
    layers = [Layer(side**2, 9, 3, channels)]
    blocks = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for factor, width, count, stride in blocks:
        for index in range(count):
            if factor > 1:
                layers.append(Layer(side**2, 1, channels, channels * factor))
            side = halve(side) if stride == 2 and index == 0 else side
            layers += [Layer(side**2, 9, None, channels * factor), Layer(side**2, 1, channels * factor, width)]
            channels = width
    return [*layers, Layer(side**2, 1, channels, 1280)]


def add_ssd(backbone: list[Layer], side: int, inputs: tuple[int, int], classes: int) -> Work:
    """Add SSD's extra layers and heads; the CPU reads each score and each coordinate three times."""
    layers, anchors, side = list(backbone), 0, -(-side // 16)
    for level, channels in enumerate((*inputs, 512, 256, 256, 128)):
        if level >= 2:
            before = (inputs[1], 512, 256, 256)[level - 2]
            layers.append(Layer(side**2, 1, before, channels // 2))
        side = halve(side) if level else side
        if level >= 2:
            layers.append(Layer(side**2, 9, channels // 2, channels))
        boxes = 3 if level == 0 else 6
        layers += [Layer(side**2, 1, channels, 4 * boxes), Layer(side**2, 1, channels, classes * boxes)]
        anchors += boxes * side**2
    return make_work(layers, 3 * anchors * (classes + 4))


def mobilenet_v1_fpn(side: int) -> Work:
    sides = [side // step for step in (8, 16, 32, 64, 128)]
    layers = mobilenet_v1(side)
    layers += [Layer(s**2, 1, channels, 256) for s, channels in zip(sides, (256, 512, 1024), strict=False)]
    layers += [Layer(s**2, 9, 256, 256) for s in (sides[0], sides[1], sides[3], sides[4])]
    for s in sides:
        layers += [*[Layer(s**2, 9, 256, 256)] * 8, Layer(s**2, 9, 256, 24), Layer(s**2, 9, 256, 6 * _COCO_CLASSES)]
    return make_work(layers, 3 * sum(6 * s**2 for s in sides) * (_COCO_CLASSES + 4))


def vgg(counts: tuple[int, ...]) -> Work:
    side, channels, layers = 224, 3, []
    for count, width in zip(counts, (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            layers.append(Layer(side**2, 9, channels, width))
            channels = width
        side //= 2
    return make_work([*layers, Layer(1, 1, 49 * 512, 4096), Layer(1, 1, 4096, 4096), Layer(1, 1, 4096, 1000)])


def read_keras(name: str, side: int) -> Work:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    import tf_keras

    model = getattr(tf_keras.applications, name)(weights=None, input_shape=(side, side, 3))
    layers = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Conv2D":
            height, width, inputs, outputs = layer.kernel.shape
            layers.append(Layer(layer.output_shape[1] * layer.output_shape[2], height * width, inputs, outputs))
        elif kind == "Dense":
            layers.append(Layer(1, 1, *layer.kernel.shape))
    tf_keras.backend.clear_session()
    return make_work(layers)


def read_file(model: Path, scale: float = 1.0) -> Work:
    """Read a model, placed as its compiled form if that is next to it; `scale` is that of its number of pixels."""
    graph = read_graph(model)
    placed = place_operators(graph)
    compiled = model.with_name(f"{model.stem}_edgetpu.tflite")
    if compiled.is_file():
        placed = place_as_compiled(graph, read_graph(compiled), placed) or placed
    work = measure_work(graph, placed, predict_cache(graph, placed))
    return Work(work.multiplications * scale, work.streamed_bytes, work.cpu_elements * scale)


def list_points(shared: Path) -> Iterator[Point]:
    pairs = shared / "edgetpu" / "compiled_pairs"
    pose = pairs / "posenet_mobilenet_v1_075_353_481_16_quant_decoder.tflite"
    yield from (
        Point(f"posenet {height}x{width}", "pose", usb_ms, None, read_file(pose, height * width / (353 * 481)))
        for height, width, usb_ms in ((353, 481, 5.8), (481, 641, 10.3), (721, 1281, 32.4))
    )
    for name, family, usb_ms in (
        ("bodypix_mobilenet_v1_075_512_512_16_quant_decoder", "pose", 10.7),
        ("movenet_single_pose_lightning_ptq", "movenet", 7.1),
        ("deeplab_mobilenet_edgetpu_slim_cityscapes_quant", "deeplab", 65.9),
        ("deeplabv3_mnv2_dm05_pascal_quant", "deeplab", 36.8),
        ("mobilenet_v1_0.25_128_quant", "mobilenet_v1", 0.9),
    ):
        yield Point(name, family, usb_ms, None, read_file(pairs / f"{name}.tflite"))
    v2 = shared / "models" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    yield Point("mobilenet_v2_1.0_224", "mobilenet_v2", 3.0, 2.6, read_file(v2))
    for side, alpha, usb_ms, board_ms in ((160, 0.5, 1.4, None), (192, 0.75, 1.8, None), (224, 1.0, 2.8, 2.4)):
        work = make_work(mobilenet_v1(side, alpha, classes=1001))
        yield Point(f"mobilenet_v1_{alpha}_{side}", "mobilenet_v1", usb_ms, board_ms, work)
    ssd_v1, ssd_v2 = mobilenet_v1(300), mobilenet_v2(300)
    yield Point("ssd_mobilenet_v1_300", "ssd_v1", 6.5, 11, add_ssd(ssd_v1, 300, (512, 1024), _COCO_CLASSES))
    yield Point("tf2_ssd_mobilenet_v2_300", "ssd_v2", 7.6, 14, add_ssd(ssd_v2, 300, (576, 1280), _COCO_CLASSES))
    yield Point("ssd_mobilenet_v2_face_320", "ssd_v2", 5.2, None, add_ssd(mobilenet_v2(320), 320, (576, 1280), 2))
    yield Point("ssd_mobilenet_v1_fpn_640", "ssd_fpn", 229.4, None, mobilenet_v1_fpn(640))
    yield Point("vgg16_224", "vgg", 296, 343, vgg((2, 2, 3, 3, 3)))
    yield Point("vgg19_224", "vgg", 308, 357, vgg((2, 2, 4, 4, 4)))
    for name, side, family, usb_ms, board_ms in (
        ("ResNet50", 224, "resnet", 42.2, None),
        ("ResNet50", 299, "resnet", 49, 56),
        ("ResNet50V2", 299, "resnet", 50, 59),
        ("ResNet152V2", 299, "resnet", 128, 151),
        ("InceptionV3", 299, "inception", 42.8, None),
        ("InceptionResNetV2", 299, "inception_resnet", 57, 69),
        ("DenseNet121", 224, "densenet", 20, 25),
    ):
        yield Point(f"{name} {side}", family, usb_ms, board_ms, read_keras(name, side))


def fit(points: list[Point], measured_ms: list[float]) -> np.ndarray:
    """Return the four numbers with the least squared relative error; none is negative."""
    from scipy.optimize import nnls

    scale = np.array(measured_ms)
    return np.asarray(nnls(np.array([p.features for p in points]) / scale[:, None], np.ones(len(points)))[0])


def evaluate(title: str, points: list[Point], measure: Callable[[Point], float | None]) -> None:
    known = [(point, ms) for point in points if (ms := measure(point)) is not None]
    print(f"\n{title}: {len(known)} models, coefficients {np.round(fit(*map(list, zip(*known, strict=True))), 3)}")
    errors = {"the model": [], "its family": []}
    for point, ms in known:
        without_it = [pair for pair in known if pair[0] is not point]
        without_family = [pair for pair in known if pair[0].family != point.family]
        for left_out, others in (("the model", without_it), ("its family", without_family)):
            weights = fit([p for p, _ in others], [m for _, m in others])
            errors[left_out].append(float(np.dot(point.features, weights)) / ms - 1)
        print(f"  {point.name:52} {ms:6.1f} ms  {errors['the model'][-1]:+5.0%}  {errors['its family'][-1]:+5.0%}")
    for left_out, found in errors.items():
        size = np.abs(found)
        most = f"80 % within {np.quantile(size, 0.8):.0%}, max {size.max():.0%}"
        print(f"  without {left_out}: median {np.median(size):.0%}, {most}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    points = list(list_points(parser.parse_args().shared))
    evaluate("USB accelerator", points, lambda point: point.usb_ms)
    evaluate("Dev Board", points, lambda point: point.board_ms)


if __name__ == "__main__":
    main()
