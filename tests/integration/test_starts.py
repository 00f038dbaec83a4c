"""Training that starts from a TFLite file, a bundle, an archive or published weights, on a few drawn images."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reefline.bundle.store import push_bundle
from reefline.errors import ArchitectureError, BundleError, CheckpointError
from reefline.inference.detector import resize_like_training
from reefline.od_api import compat, model_config
from reefline.settings import ExporterSettings, TrainerSettings
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.job import TrainingJob
from reefline.training.report import TrainingReport
from reefline.training.start_identity import StartIdentity
from reefline.training.start_loading import load_start
from reefline.training.starting_point import StartingPoint
from tests.factories_evaluation import make_facts, write_candidate
from tests.factories_training import LABELS, build_config, draw_example, make_tiny_settings, write_records, write_splits

COCO_DETECTOR = (
    Path(__file__).resolve().parents[2] / ".." / "shared" / "models" / "coco_ssd_mobilenet_v1_1.0_quant.tflite"
)
needs_models = pytest.mark.skipif(not COCO_DETECTOR.is_file(), reason="../shared/models is missing")
SETTINGS = make_tiny_settings(num_steps=1, steps_per_eval=1)
# A step so small that the weights stay what they were: the start can be seen in the result.
STILL = SETTINGS.model_copy(update={"learning_rate": 1e-12})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compat.apply()
    return write_splits(tmp_path_factory.mktemp("data"), train=8, evaluation=2)


@pytest.fixture(scope="module")
def teacher(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training run of other weights than every later one begins with."""
    folder = tmp_path_factory.mktemp("teacher")
    train(data, SETTINGS.model_copy(update={"seed": 7}), folder)
    return folder


@pytest.fixture(scope="module")
def int8_file(data: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf

    from reefline.od_api import export
    from reefline.od_api.training_images import read_training_images
    from reefline.tflite.conversion import convert_to_int8

    folder, config = tmp_path_factory.mktemp("int8"), build_config(data, SETTINGS)
    prefix = tf.train.latest_checkpoint(str(teacher / "best"))
    export.export_tflite_graph(config, prefix, ExporterSettings(), folder / "graph", for_int8=True)
    pixels = [image.astype(np.uint8) for image in read_training_images(config, 4)]
    content = convert_to_int8(folder / "graph", lambda: export.iterate_calibration_inputs(config, pixels))
    (folder / "model.tflite").write_bytes(content)
    return folder / "model.tflite"


def train(data: Path, settings: TrainerSettings, folder: Path, start: object = "scratch", identity: str = "") -> None:
    from reefline.training.loop import train_detector

    settings = TrainerSettings.model_validate({**settings.model_dump(), "start": start})
    config = build_config(data, settings)
    folder.mkdir(parents=True, exist_ok=True)
    model_config.write_pipeline_config(config, folder / "pipeline.config")
    train_detector(config, TrainingJob(settings, identity, folder / "cache"), ModelRunFolder(folder))


def read_weights(run: Path) -> dict[str, np.ndarray]:
    """Return the kernels of a training run's best checkpoint, scaled to length 1 per output channel."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(run / "best")))
    names = [n for n in reader.get_variable_to_shape_map() if n.startswith("model/") and "kernel/" in n]
    kernels = {n: reader.get_tensor(n) for n in names if "OPTIMIZER_SLOT" not in n and "depthwise" not in n}
    return {n: k / np.sqrt((k**2).sum(axis=(0, 1, 2)) + 1e-12) for n, k in kernels.items()}


def assert_same_direction(run: Path, teacher: Path) -> None:
    mine, theirs = read_weights(run), read_weights(teacher)
    assert mine.keys() == theirs.keys() and len(mine) > 20
    for name, kernel in mine.items():
        # Channels may be scaled, as normalization takes that back; int8 rounds the rest.
        assert float((kernel * theirs[name]).sum(axis=(0, 1, 2)).mean()) > 0.99, name


def test_training_starts_from_a_tflite_file_once(
    data: Path, teacher: Path, int8_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(data, STILL, tmp_path, str(int8_file))
    out = capsys.readouterr().out
    assert f"Starting from {int8_file}: " in out and "variables restored (100.0 %" in out
    assert_same_direction(tmp_path, teacher)
    train(data, STILL.model_copy(update={"num_steps": 2}), tmp_path, str(int8_file))
    out = capsys.readouterr().out
    assert "Resuming from step 1." in out and "Starting from" not in out
    # The page of a resumed run still tells where it started.
    assert TrainingReport.read(tmp_path / "training.json").started_from.startswith(f"Starting from {int8_file}: ")


def test_training_starts_from_a_bundle(data: Path, teacher: Path, int8_file: Path, tmp_path: Path) -> None:
    candidate = write_candidate(tmp_path / "candidate", int8_file.read_bytes(), LABELS.names)
    push_bundle(candidate, make_facts(height_px=96, width_px=96, classes=LABELS.names), tmp_path / "serving")
    train(data, STILL, tmp_path / "run", str(tmp_path / "serving" / "detector" / "1"))
    assert_same_direction(tmp_path / "run", teacher)


def test_training_starts_from_an_archive(data: Path, teacher: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "zoo.tar.gz", "w:gz") as file:
        for path in (teacher / "best").glob("ckpt-*"):
            file.add(path, f"ssd_something/checkpoint/{path.name}")
    train(data, STILL, tmp_path / "run", (tmp_path / "zoo.tar.gz").as_uri())
    assert_same_direction(tmp_path / "run", teacher)


def test_training_starts_from_the_serving_model(
    data: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tensorflow as tf

    prefix = tf.train.latest_checkpoint(str(teacher / "best"))
    train(data, STILL, tmp_path, "serving", str(StartIdentity(serving=prefix)))
    assert "Starting from the serving model." in capsys.readouterr().out
    assert_same_direction(tmp_path, teacher)


@needs_models
def test_training_starts_from_published_weights(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Found in ../shared/models by its sha256, without network."""
    train(data, STILL.model_copy(update={"model": "ssd_mobilenet_v1_300"}), tmp_path, "published")
    out = capsys.readouterr().out
    assert "Published weights: COCO 2017 (90 classes), Apache-2.0." in out
    assert "New: class head (12 variables; 2 classes here, 90 in the file)." in out


@pytest.fixture(scope="module")
def step(data: Path) -> Any:
    from reefline.od_api.train_step import TrainStep

    return TrainStep(build_config(data, SETTINGS))


@needs_models
def test_another_architecture_is_refused_with_its_template(data: Path, step: Any) -> None:
    message = r"another architecture: \d+ of the backbone's \d+ .*; these weights belong to .*: ssd_mobilenet_v1_300$"
    with pytest.raises(CheckpointError, match=message):
        load_start(StartingPoint(tflite=COCO_DETECTOR), step, build_config(data, SETTINGS))


def test_another_architecture_of_the_zoo_is_refused_with_its_template(data: Path, teacher: Path) -> None:
    import tensorflow as tf

    from reefline.od_api.train_step import TrainStep

    prefix = tf.train.latest_checkpoint(str(teacher / "best"))
    other = build_config(data, SETTINGS.model_copy(update={"model": "ssd_mobilenet_v1_300"}))
    with pytest.raises(CheckpointError, match=r"another architecture: .*; these weights belong to .*: some_template$"):
        load_start(StartingPoint(prefix, template="some_template"), TrainStep(other), other)


def test_a_checkpoint_of_another_architecture_is_refused_with_its_template(data: Path, teacher: Path) -> None:
    import tensorflow as tf

    from reefline.od_api.train_step import TrainStep

    prefix = tf.train.latest_checkpoint(str(teacher / "best"))
    other = build_config(data, SETTINGS.model_copy(update={"model": "ssd_mobilenet_v1_300"}))
    with pytest.raises(ArchitectureError, match=r"these weights belong to trainer\.model: ssd_mobilenet_v2_tiny$"):
        load_start(StartingPoint(prefix), TrainStep(other), other)


def test_an_int8_file_of_another_architecture_is_refused_with_its_template(data: Path, int8_file: Path) -> None:
    from reefline.od_api.train_step import TrainStep

    other = build_config(data, SETTINGS.model_copy(update={"model": "ssd_mobilenet_v1_300"}))
    with pytest.raises(ArchitectureError, match=r"these weights belong to trainer\.model: ssd_mobilenet_v2_tiny$"):
        load_start(StartingPoint(tflite=int8_file), TrainStep(other), other)


def test_a_bundle_of_another_input_size_is_refused(data: Path, step: Any, int8_file: Path) -> None:
    start = StartingPoint(tflite=int8_file, size_px=(128, 160))
    with pytest.raises(BundleError, match=r"an input of 160x128 px, the config 96x96 px; set trainer\.input_size to"):
        load_start(start, step, build_config(data, SETTINGS))


def test_a_distributed_model_gets_the_same_weights(data: Path, step: Any, int8_file: Path) -> None:
    """Synchronized batch normalization has other operators, but the same variables."""
    import tensorflow as tf

    from reefline.od_api.train_step import TrainStep

    config = build_config(data, SETTINGS)
    distributed = TrainStep(
        model_config.with_synchronized_batch_norm(config), tf.distribute.MirroredStrategy(["CPU:0"])
    )
    reports = [load_start(StartingPoint(tflite=int8_file), each, config) for each in (step, distributed)]
    assert reports[0] == reports[1] is not None
    for mine, theirs in zip(step.model.variables, distributed.model.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-6, err_msg=mine.name)


def test_training_images_come_evenly_from_all_files_in_trainings_size(tmp_path: Path) -> None:
    from reefline.od_api.training_images import read_training_images

    compat.apply()
    write_splits(tmp_path, train=4, evaluation=1)
    write_records(tmp_path / "Split-train" / "more.gz", 4, first=20)
    images = read_training_images(build_config(tmp_path, SETTINGS), 4)
    for image, index in zip(images, (0, 1, 20, 21), strict=True):
        with Image.open(io.BytesIO(draw_example(index).encoded_jpeg)) as drawn:
            expected = resize_like_training(np.asarray(drawn), 96, 96)
        assert image.dtype == np.float32
        # Two JPEG decoders differ by a shade; another image, or pixels half a step away, by more than 10.
        assert float(np.abs(image - expected).mean()) < 2.0
