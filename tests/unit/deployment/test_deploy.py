"""`reefline deploy`: the files are read here as Frigate, Viseron and Coral's example read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from reefline.cli import app
from reefline.deployment.config_files import FRIGATE_ATTRIBUTES
from reefline.deployment.model_check import check_model
from reefline.deployment.programs import Program, get_contract
from reefline.errors import BundleError
from reefline.tflite.signature import read_signature_outputs
from tests.factories_detect import push_small_bundle
from tests.factories_evaluation import build_tflite, make_image

LABELS = ("7 up", "dog 🐕")
THRESHOLDS = {"7 up": 0.62, "dog 🐕": 0.25}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return push_small_bundle(tmp_path_factory.mktemp("pushed"), LABELS, thresholds=THRESHOLDS)


@pytest.fixture(scope="module")
def square_bundle(tmp_path_factory) -> Path:
    content = build_tflite(size_px=(16, 16))
    return push_small_bundle(tmp_path_factory.mktemp("square"), LABELS, thresholds=THRESHOLDS, content=content)


def deploy(bundle: Path, program: str, out: Path, *more: str):
    arguments = ["deploy", "--bundle", str(bundle), "--for", program, "--out", str(out), *more]
    return CliRunner().invoke(app, arguments)


def load(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    return interpreter


def run_on_halves(interpreter: Any, left: str, right: str) -> None:
    """Run the model on an image of two halves, resized as a program does that knows only the input's shape."""
    details = interpreter.get_input_details()[0]
    _, height, width, _ = details["shape"]
    rows = np.linspace(0, 23, height).astype(int)
    columns = np.linspace(0, 47, width).astype(int)
    image = make_image(left, right)[rows][:, columns][np.newaxis]
    assert image.dtype == details["dtype"] == np.uint8
    interpreter.set_tensor(details["index"], image)
    interpreter.invoke()


def read_by_position(interpreter: Any, lowest: float, most: int) -> list[tuple[int, float, list[float]]]:
    """Read the outputs as Frigate does: in order, until a score is too low or enough are read."""
    boxes, classes, scores, count = (
        interpreter.get_tensor(detail["index"])[0] for detail in interpreter.get_output_details()
    )
    found = []
    for index in range(min(int(count), most)):
        if scores[index] < lowest:
            break
        found.append((int(classes[index]), float(scores[index]), boxes[index].tolist()))
    return found


def test_frigate_finds_the_objects_with_the_config(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "frigate"
    result = deploy(bundle, "frigate", out)

    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {"frigate.yml", "labels.txt", "model_int8.tflite"}
    config = yaml.safe_load((out / "frigate.yml").read_text(encoding="utf-8"))
    assert config == {
        "detectors": {"cpu": {"type": "cpu", "num_threads": 3}},
        "model": {
            "path": "/config/reefline/model_int8.tflite",
            "labelmap_path": "/config/reefline/labels.txt",
            "width": 16,
            "height": 8,
            "input_tensor": "nhwc",
            "input_pixel_format": "rgb",
            "input_dtype": "int",
            "model_type": "ssd",
        },
        "objects": {
            "track": ["7 up", "dog 🐕"],
            "filters": {
                "7 up": {"min_score": 0.62, "threshold": 0.62},
                "dog 🐕": {"min_score": 0.4, "threshold": 0.4},
            },
        },
    }
    assert (out / "labels.txt").read_text(encoding="utf-8") == "0 7 up\n1 dog 🐕\n"
    interpreter = load(out / "model_int8.tflite")
    run_on_halves(interpreter, "green", "red")
    details = interpreter.get_output_details()
    assert [len(detail["shape"]) for detail in details] == [3, 2, 2, 1]
    found = {label: box for label, _, box in read_by_position(interpreter, 0.4, 20)}
    # Boxes are y_min, x_min, y_max, x_max as fractions.
    assert found[0] == pytest.approx([0, 0.5, 1, 1], abs=0.05)
    assert found[1] == pytest.approx([0, 0, 1, 0.5], abs=0.05)


def test_scores_are_rounded_down(tmp_path: Path) -> None:
    """103/256 is a score that an int8 model gives: an object with exactly this one must not be lost."""
    bundle = push_small_bundle(tmp_path, thresholds={"cat": 103 / 256, "dog": 0.9})
    assert deploy(bundle, "frigate", tmp_path / "out").exit_code == 0
    config = yaml.safe_load((tmp_path / "out" / "frigate.yml").read_text(encoding="utf-8"))
    assert config["objects"]["filters"]["cat"] == {"min_score": 0.4023, "threshold": 0.4023}


def test_frigate_hints(bundle: Path, tmp_path: Path) -> None:
    lines = deploy(bundle, "frigate", tmp_path / "out").stdout.splitlines()
    assert lines == [
        f"{tmp_path / 'out'}: model_int8.tflite, labels.txt and frigate.yml for Frigate",
        "  Frigate never reports scores below 0.4; the bundle suggests dog 🐕 0.25. "
        "Expect more missed objects than in the evaluation",
        "  the model runs on the CPU: it is not compiled for the Edge TPU",
    ]


def test_frigate_tracks_what_it_calls_attributes(tmp_path: Path) -> None:
    labels = ("car", "license_plate")
    assert set(labels) & FRIGATE_ATTRIBUTES == {"license_plate"}
    result = deploy(push_small_bundle(tmp_path, labels), "frigate", tmp_path / "out")
    assert "Frigate treats license_plate as attributes of other objects" in result.stdout
    config = yaml.safe_load((tmp_path / "out" / "frigate.yml").read_text(encoding="utf-8"))
    assert config["model"]["attributes_map"] == {}


def test_a_compiled_bundle_is_deployed_for_the_edge_tpu(tmp_path: Path) -> None:
    compiled = build_tflite(size_px=(16, 16))
    bundle = push_small_bundle(tmp_path, compiled=compiled, content=compiled)
    expected = {"auto": "model_int8_edgetpu.tflite", "edgetpu": "model_int8_edgetpu.tflite", "cpu": "model_int8.tflite"}
    for device, name in expected.items():
        assert deploy(bundle, "frigate", tmp_path / device, "--device", device).exit_code == 0
        config = yaml.safe_load((tmp_path / device / "frigate.yml").read_text(encoding="utf-8"))
        [detector] = config["detectors"].values()
        assert detector["type"] == ("cpu" if device == "cpu" else "edgetpu")
        assert config["model"]["path"] == f"/config/reefline/{name}"
        assert (tmp_path / device / name).read_bytes() == compiled
    assert deploy(bundle, "viseron", tmp_path / "viseron").exit_code == 0
    viseron = yaml.safe_load((tmp_path / "viseron" / "viseron.yaml").read_text(encoding="utf-8"))
    assert viseron["edgetpu"]["object_detector"]["device"] == ":0"


def test_viseron_finds_the_objects_with_the_config(square_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "viseron"
    result = deploy(square_bundle, "viseron", out)

    assert result.exit_code == 0, result.output
    config = yaml.safe_load((out / "viseron.yaml").read_text(encoding="utf-8"))
    assert config == {
        "edgetpu": {
            "object_detector": {
                "model_path": "/config/reefline/model_int8.tflite",
                "label_path": "/config/reefline/labels.txt",
                "device": "cpu",
                "cameras": {
                    "camera_1": {
                        "labels": [{"label": "7 up", "confidence": 0.62}, {"label": "dog 🐕", "confidence": 0.25}]
                    }
                },
            }
        }
    }
    assert (out / "labels.txt").read_text(encoding="utf-8") == "0 7 up\n1 dog 🐕\n"
    # pycoral finds outputs by the signature's names where there is a signature.
    interpreter = load(out / "model_int8.tflite")
    run_on_halves(interpreter, "red", "black")
    [names] = read_signature_outputs(out / "model_int8.tflite")
    count, scores, classes, boxes = (interpreter.get_tensor(names[f"output_{number}"])[0] for number in range(4))
    sure = [index for index in range(int(count)) if scores[index] >= 0.5]
    assert [int(classes[index]) for index in sure] == [0]
    assert boxes[sure[0]].tolist() == pytest.approx([0, 0, 1, 0.5], abs=0.05)


def test_coral_example_finds_the_objects(bundle: Path, tmp_path: Path) -> None:
    result = deploy(bundle, "coral-example", tmp_path / "out")

    assert result.exit_code == 0, result.output
    assert "and detect_image.py needs an Edge TPU anyway" in result.stdout
    command = (tmp_path / "out" / "command.txt").read_text(encoding="utf-8")
    assert command == (
        "python3 detect_image.py --model model_int8.tflite --labels labels.txt --threshold 0.25 "
        "--input IMAGE --output detections.jpg\n"
    )
    interpreter = load(tmp_path / "out" / "model_int8.tflite")
    run_on_halves(interpreter, "red", "green")
    squeezed = [np.squeeze(interpreter.get_tensor(detail["index"])) for detail in interpreter.get_output_details()]
    assert [part.ndim for part in squeezed] == [2, 1, 1, 0]
    assert {int(squeezed[1][index]) for index in range(int(squeezed[3])) if squeezed[2][index] >= 0.5} == {0, 1}


@pytest.mark.parametrize(
    ("change", "program", "message"),
    [
        pytest.param({}, "viseron", "input of 16 x 8 px found; Viseron needs a square one", id="not-square"),
        pytest.param({"quantized": False}, "frigate", "[1, 8, 16, 3] of FLOAT32 found; Frigate needs one", id="float"),
        pytest.param({"old_order": True}, "frigate", "outputs are not in the order boxes, classes,", id="old-order"),
        pytest.param({"labels": ("a", "b", "c")}, "frigate", "2 classes found, 3 lines in labels.txt", id="classes"),
        pytest.param({"labels": ("a", ":b")}, "viseron", "Viseron would read ':b' as 'b'", id="labels"),
    ],
)
def test_bundles_that_a_program_cannot_read(change: dict[str, Any], program: str, message: str, tmp_path: Path) -> None:
    if "labels" in change and program == "viseron":
        change = {**change, "content": build_tflite(size_px=(16, 16))}
    result = deploy(push_small_bundle(tmp_path, **change), program, tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_signature_of_other_names_is_a_problem(tmp_path: Path) -> None:
    content = build_tflite(size_px=(16, 16))
    assert content.count(b"output_0") == 1
    (tmp_path / "model.tflite").write_bytes(content.replace(b"output_0", b"output_9"))
    with pytest.raises(BundleError, match="its signature does not name the count output_0"):
        check_model(tmp_path / "model.tflite", get_contract(Program.VISERON), 2)
    assert check_model(tmp_path / "model.tflite", get_contract(Program.FRIGATE), 2).height_px == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ("--for", "scrypted"), "--for scrypted: expected one of frigate, viseron, coral-exa", id="program"
        ),
        pytest.param(("--device", "gpu"), "--device gpu: expected one of auto, cpu, edgetpu", id="device"),
        pytest.param(("--device", "edgetpu"), "no model_int8_edgetpu.tflite, which Frigate needs", id="not-compiled"),
    ],
)
def test_options_that_make_no_sense(bundle: Path, arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = deploy(bundle, "frigate", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_bundle_is_not_written_into(bundle: Path) -> None:
    result = deploy(bundle, "frigate", bundle)
    assert result.exit_code == 2
    assert "a bundle, which holds only what its manifest lists; name another folder" in result.stderr
    assert set(json.loads((bundle / "manifest.json").read_text())["files"]) == {"labels.txt", "model_int8.tflite"}
