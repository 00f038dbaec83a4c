"""Where a bundle runs. The Edge TPU is played by a compiled library with its interface: there is none at hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reefline.bundle.checking import verify_bundle
from reefline.errors import BundleError, UsageError
from reefline.inference.detect import runtime
from reefline.inference.detect.records import Device
from reefline.inference.detect.runtime import load_model
from tests.factories_detect import build_edge_tpu_library, push_small_bundle
from tests.factories_evaluation import build_tflite, make_image
from tests.factories_tflite import add_unstable_convolution

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler to build the library with")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return push_small_bundle(tmp_path_factory.mktemp("pushed"), compiled=build_tflite(size_px=(6, 12)))


def load(bundle: Path, device: Device):
    return load_model(bundle, verify_bundle(bundle), device)


@needs_compiler
@pytest.mark.parametrize("device", [Device.AUTO, Device.EDGETPU])
def test_compiled_model_runs_where_there_is_an_edge_tpu(bundle, tmp_path, monkeypatch, device):
    monkeypatch.setattr(runtime, "EDGE_TPU_LIBRARY", str(build_edge_tpu_library(tmp_path)))
    model = load(bundle, device)

    assert (model.runtime.device, model.runtime.model_file) == (Device.EDGETPU, "model_int8_edgetpu.tflite")
    assert model.detector.detect(make_image("red", "green")).class_indices.tolist() in ([0, 1], [1, 0])


def test_model_that_xnnpack_refuses_says_so(tmp_path):
    bundle = push_small_bundle(tmp_path, content=add_unstable_convolution(build_tflite()))

    runtime = load(bundle, Device.CPU).runtime

    assert not runtime.uses_xnnpack
    assert runtime.reason == "asked for; slower without XNNPACK, which cannot run this model"


@needs_compiler
@pytest.mark.parametrize(
    ("library", "reason"),
    [
        pytest.param({"has_device": False}, r"finds no usable Edge TPU \(.*no device\)", id="not-plugged-in"),
        pytest.param(
            {"accepts_models": False}, "is installed, but .*the runtime cannot run it", id="refuses-the-model"
        ),
    ],
)
def test_cpu_where_the_edge_tpu_does_not_work(bundle, tmp_path, monkeypatch, library, reason):
    monkeypatch.setattr(runtime, "EDGE_TPU_LIBRARY", str(build_edge_tpu_library(tmp_path, **library)))
    model = load(bundle, Device.AUTO)

    assert (model.runtime.device, model.runtime.model_file) == (Device.CPU, "model_int8.tflite")
    with pytest.raises(UsageError, match=f"--device edgetpu: .*{reason}.*; fix this"):
        load(bundle, Device.EDGETPU)


def test_cpu_where_there_is_no_library(bundle, monkeypatch):
    monkeypatch.setattr(runtime, "EDGE_TPU_LIBRARY", "libnosuchedgetpu.so.1")
    model = load(bundle, Device.AUTO)

    assert model.runtime.device is Device.CPU
    assert model.runtime.reason.startswith("cannot load libnosuchedgetpu.so.1")


@needs_compiler
def test_cpu_where_it_is_asked_for(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "EDGE_TPU_LIBRARY", str(build_edge_tpu_library(tmp_path)))

    assert load(bundle, Device.CPU).runtime.reason == "asked for"


def test_model_that_cannot_be_run(tmp_path, monkeypatch):
    """A compiled file under the name of the int8 file: the runtime does not know its operator."""
    content = build_tflite().replace(b"TFLite_Detection_PostProcess", b"TFLite_Detection_PostProcesS")
    bundle = push_small_bundle(tmp_path, compiled=None)
    monkeypatch.setattr("reefline.tflite.postprocess.POSTPROCESS_CODE", "TFLite_Detection_PostProcesS")
    (bundle / "model_int8.tflite").write_bytes(content)

    from reefline.inference.detector import TfliteDetector

    with pytest.raises(BundleError, match=r"the runtime cannot run it \(.*unresolved custom op"):
        TfliteDetector(bundle / "model_int8.tflite")
