"""Weights from one model to another: tiny real models, compared variable by variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reefline.errors import CheckpointError
from reefline.od_api import compat, model_config
from reefline.od_api.building import build_model
from reefline.od_api.label_map_file import write_label_map
from reefline.od_api.transfer import LeftOut, TransferReport, restore_what_fits
from reefline.settings import CheckpointType, TrainerSettings
from reefline.structures.label_map import LabelMap

TINY, FPN_LITE, EFFICIENT_DET = "ssd_mobilenet_v2_tiny", "ssd_mobilenet_v2_fpnlite_320", "efficientdet_d0"
SIZES_PX = {TINY: 96, FPN_LITE: 128, EFFICIENT_DET: 256}


def build(tmp_path: Path, template: str = TINY, classes: int = 2) -> Any:
    """Return a detection model of `classes` classes, with its variables built."""
    compat.apply()
    import tensorflow as tf

    labels = tmp_path / f"label_map_{classes}.pbtxt"
    write_label_map(labels, LabelMap(tuple(f"class_{index}" for index in range(classes))))
    settings = TrainerSettings(model=template, input_size=SIZES_PX[template], batch_size=2)
    files = model_config.TrainingFiles(("train",), ("eval",), labels)
    config = model_config.build_pipeline_config(model_config.load_template(template), settings, files)
    model = build_model(config.model, is_training=True)
    images, shapes = model.preprocess(tf.zeros([1, SIZES_PX[template], SIZES_PX[template], 3]))
    tf.function(lambda: model.predict(images, shapes), autograph=False)()
    # New variables that start as zeros or ones equal those of other models: make all of them differ.
    generator = np.random.default_rng(classes)
    for variable in model.variables:
        variable.assign(generator.uniform(0.5, 1.5, variable.shape).astype("float32"))
    return model


def save(model: Any, directory: Path) -> str:
    import tensorflow as tf

    return tf.train.Checkpoint(model=model).save(str(directory / "ckpt"))


def values(model: Any) -> dict[str, np.ndarray]:
    """Return the values by the path that the object graph gives them, which a checkpoint uses too."""
    import tensorflow as tf

    found = {}

    def visit(trackable: Any, path: str, seen: set[int]) -> None:
        if id(trackable) in seen:
            return
        seen.add(id(trackable))
        if isinstance(trackable, tf.Variable):
            found[path] = trackable.numpy()
        for name, child in tf.train.TrackableView(trackable).children(trackable).items():
            visit(child, f"{path}/{name}", seen)

    visit(model, "model", set())
    return found


@pytest.mark.parametrize(
    "template", [pytest.param(TINY, id=TINY), pytest.param(FPN_LITE, id=FPN_LITE, marks=pytest.mark.slow)]
)
def test_equal_class_counts_restore_everything(template: str, tmp_path: Path) -> None:
    teacher = build(tmp_path, template)
    prefix = save(teacher, tmp_path)
    for variable in teacher.variables:
        variable.assign_add(np.float32(1) * np.ones(variable.shape, np.float32))
    before = values(teacher)
    report = restore_what_fits(teacher, prefix, CheckpointType.DETECTION)
    after = values(teacher)
    assert all(np.allclose(after[name], before[name] - 1, atol=1e-6) for name in before)
    assert report.not_restored == ()
    assert report.restored_variables == report.total_variables == len(teacher.variables)
    assert report.restored_values == report.total_values == sum(int(v.shape.num_elements()) for v in teacher.variables)


@pytest.mark.parametrize(
    ("template", "class_variables"),
    [
        pytest.param(TINY, 12, id="a-head-for-each-map"),
        pytest.param(FPN_LITE, 2, id="one-shared-head", marks=pytest.mark.slow),
        pytest.param(EFFICIENT_DET, 2, id="shared-head-without-background", marks=pytest.mark.slow),
    ],
)
def test_other_class_counts_restore_all_but_the_class_head(template: str, class_variables: int, tmp_path: Path) -> None:
    teacher, student = build(tmp_path, template, 2), build(tmp_path, template, 3)
    prefix = save(teacher, tmp_path)
    taught, before = values(teacher), values(student)
    report = restore_what_fits(student, prefix, CheckpointType.DETECTION)
    after = values(student)
    unequal = {name for name in taught if taught[name].shape != before[name].shape}
    assert len(unequal) == class_variables
    for name, value in after.items():
        expected = before[name] if name in unequal else taught[name]
        np.testing.assert_array_equal(value, expected, err_msg=name)
    assert report.not_restored == (LeftOut("class head", class_variables, "3 classes here, 2 in the checkpoint"),)
    assert report.total_variables - report.restored_variables == class_variables


def test_a_classifier_restores_only_the_backbone(tmp_path: Path) -> None:
    import tensorflow as tf

    teacher, student = build(tmp_path, classes=2), build(tmp_path, classes=3)
    prefix = tf.train.Checkpoint(feature_extractor=teacher._feature_extractor.classification_backbone).save(
        str(tmp_path / "classifier")
    )
    taught, before = values(teacher), values(student)
    report = restore_what_fits(student, prefix, CheckpointType.CLASSIFICATION)
    after = values(student)
    backbone = "model/_feature_extractor/classification_backbone/"
    assert sum(name.startswith(backbone) for name in after) == 260
    for name, value in after.items():
        expected = taught[name] if name.startswith(backbone) else before[name]
        np.testing.assert_array_equal(value, expected, err_msg=name)
    assert [(left.part, left.variables, left.reason) for left in report.not_restored] == [
        ("box head", 12, "not in the checkpoint"),
        ("class head", 12, "not in the checkpoint"),
        ("feature layers", 40, "not in the checkpoint"),
    ]


def test_another_architecture_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    teacher, student = build(tmp_path, FPN_LITE), build(tmp_path, TINY)
    prefix = save(teacher, tmp_path)
    before = values(student)
    with pytest.raises(
        CheckpointError, match=r"another architecture: only \d+ of the backbone's 260 variables fit; use"
    ):
        restore_what_fits(student, prefix, CheckpointType.DETECTION)
    after = values(student)
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_another_kind_of_checkpoint_is_refused(tmp_path: Path) -> None:
    student = build(tmp_path)
    prefix = save(student, tmp_path)
    with pytest.raises(CheckpointError, match=r"0 of the backbone's 260 variables fit; use a classification"):
        restore_what_fits(student, prefix, CheckpointType.CLASSIFICATION)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ckpt-0.index").write_text("not an index")
    with pytest.raises(CheckpointError, match=r"ckpt-0: cannot read the checkpoint"):
        restore_what_fits(None, str(tmp_path / "ckpt-0"), CheckpointType.DETECTION)


def test_a_checkpoint_of_tensorflow_1_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("kernel", [2])
        session.run(tf.compat.v1.global_variables_initializer())
        prefix = tf.compat.v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    with pytest.raises(CheckpointError, match="a TensorFlow 1 checkpoint"):
        restore_what_fits(None, prefix, CheckpointType.DETECTION)


def test_the_report_as_a_line() -> None:
    left_out = (LeftOut("class head", 12, "3 classes here, 90 in the checkpoint"),)
    report = TransferReport("/zoo/ckpt-0", 312, 324, 1_950_000, 2_000_000, left_out)
    assert report.describe() == (
        "Starting from /zoo/ckpt-0: 312 of 324 variables restored (97.5 % of 2,000,000 values). "
        "New: class head (12 variables; 3 classes here, 90 in the checkpoint)."
    )
    whole = TransferReport("/zoo/ckpt-0", 324, 324, 2_000_000, 2_000_000)
    assert whole.describe().endswith("324 of 324 variables restored (100.0 % of 2,000,000 values).")
