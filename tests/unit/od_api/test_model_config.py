"""Templates, filling them with the YAML's values, and what is refused before training."""

import re
from pathlib import Path

import pytest

from reefline.errors import ConfigError
from reefline.od_api import compat, model_config
from reefline.od_api.building import build_model
from reefline.od_api.model_config_rules import find_config_problems
from reefline.settings import Augmentation, EdgeTpuTarget, TrainerSettings
from reefline.structures.label_map import LabelMap
from tests.factories_training import write_labels

EXPECTED_TEMPLATES = {
    "efficientdet_d0": False,
    "efficientdet_d1": False,
    "ssd_mobilenet_v1_300": True,
    "ssd_mobilenet_v1_fpn_640": True,
    "ssd_mobilenet_v2_320": True,
    "ssd_mobilenet_v2_fpnlite_320": True,
    "ssd_mobilenet_v2_fpnlite_640": True,
    "ssd_mobilenet_v2_tiny": True,
    "ssd_resnet101_fpn_640": True,
    "ssd_resnet50_fpn_640": True,
    "ssdlite_mobiledet_320": True,
}


@pytest.fixture(autouse=True, scope="module")
def od_api() -> None:
    compat.apply()


@pytest.fixture
def files(tmp_path: Path) -> model_config.TrainingFiles:
    for split in ("train", "eval"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "data.gz").write_bytes(b"")
    return model_config.TrainingFiles(
        train_records=(str(tmp_path / "train" / "*"),),
        eval_records=(str(tmp_path / "eval" / "*"),),
        label_map=write_labels(tmp_path / "label_map.pbtxt"),
        max_boxes_per_image=7,
    )


def build(files: model_config.TrainingFiles, **values: object):
    settings = TrainerSettings(model="ssd_mobilenet_v2_tiny", **values)
    return model_config.build_pipeline_config(model_config.load_template(settings.model), settings, files)


def test_all_templates_exist_and_are_marked() -> None:
    found = {name: model_config.load_template(name).edge_tpu for name in model_config.list_templates()}
    assert found == EXPECTED_TEMPLATES


@pytest.mark.parametrize("name", EXPECTED_TEMPLATES)
def test_template_builds_a_model(name: str) -> None:

    template = model_config.load_template(name)
    config = model_config.parse_pipeline_config(template.text, name)
    model = build_model(config.model, is_training=True)
    assert model.num_classes == 1


def test_values_of_the_yaml_reach_the_config(files: model_config.TrainingFiles) -> None:
    config = build(
        files,
        input_size=256,
        batch_size=4,
        num_steps=300,
        learning_rate=0.1,
        warmup_steps=30,
        augmentations=[Augmentation.VERTICAL_FLIP, Augmentation.HUE],
    )
    assert config.model.ssd.num_classes == 2
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    assert (resizer.height, resizer.width) == (256, 256)
    train = config.train_config
    assert (train.batch_size, train.num_steps, train.max_number_of_boxes) == (4, 300, 7)
    rate = train.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert (rate.total_steps, rate.warmup_steps) == (300, 30)
    assert rate.learning_rate_base == pytest.approx(0.1)
    assert rate.warmup_learning_rate == pytest.approx(0.01)
    steps = [step.WhichOneof("preprocessing_step") for step in train.data_augmentation_options]
    assert steps == ["random_vertical_flip", "random_adjust_hue"]
    assert config.train_input_reader.shuffle and not config.eval_input_reader[0].shuffle
    assert config.eval_input_reader[0].num_epochs == 1
    model_config.verify_pipeline_config(config, LabelMap(names=("red", "blue")))


@pytest.mark.parametrize("augmentation", list(Augmentation), ids=lambda a: a.value)
def test_every_augmentation_is_one_of_the_od_api(files: model_config.TrainingFiles, augmentation: Augmentation) -> None:
    from object_detection.builders import preprocessor_builder

    config = build(files, augmentations=[augmentation])
    (option,) = config.train_config.data_augmentation_options
    function, _ = preprocessor_builder.build(option)
    assert callable(function)


def test_warmup_never_outlasts_training(files: model_config.TrainingFiles) -> None:
    config = build(files, num_steps=10, warmup_steps=500)
    assert config.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate.warmup_steps == 5


def test_config_survives_writing_and_reading(files: model_config.TrainingFiles, tmp_path: Path) -> None:
    config = build(files)
    model_config.write_pipeline_config(config, tmp_path / "pipeline.config")
    assert model_config.read_pipeline_config(tmp_path / "pipeline.config") == config


def test_unknown_template_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'ssd_mobilenet_v2_tiny'"):
        model_config.load_template("ssd_mobilenet_v2_tinny")


def test_template_without_mark_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.config").write_text("model { ssd { num_classes: 1 } }")
    with pytest.raises(ConfigError, match="edge_tpu: yes"):
        model_config.load_template("mine", tmp_path)


def test_a_new_template_is_one_new_file(tmp_path: Path) -> None:
    (tmp_path / "mine.config").write_text("# edge_tpu: no\nmodel { ssd { num_classes: 1 } }")
    assert model_config.list_templates(tmp_path) == ("mine",)
    assert model_config.load_template("mine", tmp_path).edge_tpu is False


def test_efficientdet_is_refused_for_the_edge_tpu() -> None:
    template = model_config.load_template("efficientdet_d0")
    with pytest.raises(ConfigError, match=r"choose one of .*ssd_mobilenet_v2_320"):
        model_config.check_edge_tpu(template, EdgeTpuTarget.REQUIRED)
    model_config.check_edge_tpu(template, EdgeTpuTarget.NEVER)


@pytest.mark.parametrize("name", [name for name, edge_tpu in EXPECTED_TEMPLATES.items() if not edge_tpu])
def test_what_does_not_map_names_the_nearest_that_does(name: str) -> None:
    template = model_config.load_template(name)
    nearest = re.findall(r"ssd_\w+", template.edge_tpu_note)
    assert nearest
    assert set(nearest) <= set(model_config.list_edge_tpu_templates())
    with pytest.raises(ConfigError, match=re.escape(template.edge_tpu_note)):
        model_config.check_edge_tpu(template, EdgeTpuTarget.REQUIRED)


CENTER_NET = "# edge_tpu: yes\nmodel {{{between}center_net {{ num_classes: 1 }} }}"


@pytest.mark.parametrize("target", list(EdgeTpuTarget), ids=lambda target: target.value)
@pytest.mark.parametrize(
    "between", [pytest.param(" ", id="one-line"), pytest.param("  # ours\n  # and theirs\n  ", id="comments")]
)
def test_a_kind_that_is_not_exported_is_refused_whatever_its_template_says(
    target: EdgeTpuTarget, between: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.config").write_text(CENTER_NET.format(between=between))
    (tmp_path / "other.config").write_text("# edge_tpu: yes\nmodel: < ssd < num_classes: 1 > >")
    template = model_config.load_template("mine", tmp_path)
    with pytest.raises(
        ConfigError, match=r"mine is of the kind center_net; .*have no Edge TPU form.*choose one of other$"
    ):
        model_config.check_edge_tpu(template, target, tmp_path)


def test_a_kind_that_is_not_exported_is_refused_where_its_text_is_read(files: model_config.TrainingFiles) -> None:
    template = model_config.ModelTemplate("mine", "model { faster_rcnn { num_classes: 1 } }", edge_tpu=True)
    with pytest.raises(ConfigError, match=r"the model is of the kind faster_rcnn; Reefline exports"):
        model_config.build_pipeline_config(template, TrainerSettings(model="mine"), files)


def test_unknown_field_names_its_place() -> None:
    with pytest.raises(ConfigError, match=r"mine.config: 2:\d+ .*no field named .nun_classes"):
        model_config.parse_pipeline_config("model { ssd {\n nun_classes: 3 } }", "mine.config")


def break_classes(config) -> None:
    config.model.ssd.num_classes = 5


def break_batch(config) -> None:
    config.train_config.batch_size = 0


def break_size(config) -> None:
    config.model.ssd.image_resizer.fixed_shape_resizer.height = 8


def break_steps(config) -> None:
    config.train_config.num_steps = 0


def break_records(config) -> None:
    config.eval_input_reader[0].tf_record_input_reader.input_path[:] = ["/nowhere/data*"]


def break_label_map(config) -> None:
    config.train_input_reader.label_map_path = "/nowhere/label_map.pbtxt"


def break_resizer(config) -> None:
    config.model.ssd.image_resizer.keep_aspect_ratio_resizer.min_dimension = 200


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        pytest.param(break_classes, "num_classes is 5, the label map has 2", id="wrong-class-count"),
        pytest.param(break_batch, "trainer.batch_size: 0; expected 1 to 1024", id="impossible-batch"),
        pytest.param(break_size, "trainer.input_size: 192x8 px", id="impossible-size"),
        pytest.param(break_steps, "trainer.num_steps: 0", id="no-steps"),
        pytest.param(break_records, "/nowhere/data.*the split is empty", id="missing-records"),
        pytest.param(break_label_map, "label_map.pbtxt: the label map is missing", id="missing-label-map"),
        pytest.param(break_resizer, "must be a fixed_shape_resizer", id="wrong-resizer"),
    ],
)
def test_what_would_fail_late_is_refused_early(files: model_config.TrainingFiles, breakage, message: str) -> None:
    config = build(files)
    breakage(config)
    with pytest.raises(ConfigError, match=message):
        model_config.verify_pipeline_config(config, LabelMap(names=("red", "blue")))


@pytest.mark.parametrize("name", ["efficientdet_d0", "ssd_resnet50_fpn_640"])
def test_large_backbones_want_more_pixels_than_others(files: model_config.TrainingFiles, name: str) -> None:
    settings = TrainerSettings(model=name, input_size=128)
    config = model_config.build_pipeline_config(model_config.load_template(name), settings, files)
    with pytest.raises(ConfigError, match=r"trainer.input_size: 128x128 px; expected 129"):
        model_config.verify_pipeline_config(config, LabelMap(names=("red", "blue")))


def test_all_problems_are_reported_at_once(files: model_config.TrainingFiles) -> None:
    config = build(files)
    break_classes(config)
    break_batch(config)
    with pytest.raises(ConfigError, match="num_classes") as caught:
        model_config.verify_pipeline_config(config, LabelMap(names=("red", "blue")))
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("name", "size", "problems"),
    [
        pytest.param(
            "efficientdet_d0", 160, ["160x160 px; ssd_efficientnet-b0_bifpn_keras needs a multiple of 128"], id="d0"
        ),
        pytest.param("efficientdet_d0", 256, [], id="d0-good"),
        pytest.param(
            "ssd_resnet50_fpn_640", 144, ["144x144 px; ssd_resnet50_v1_fpn_keras needs a multiple of 32"], id="fpn"
        ),
        pytest.param("ssd_mobilenet_v2_fpnlite_320", 160, [], id="fpn-good"),
        pytest.param("ssd_mobilenet_v2_320", 130, [], id="no-pyramid"),
    ],
)
def test_a_pyramid_needs_a_multiple_of_its_stride(
    files: model_config.TrainingFiles, name: str, size: int, problems: list[str]
) -> None:
    settings = TrainerSettings(model=name, input_size=size)
    config = model_config.build_pipeline_config(model_config.load_template(name), settings, files)
    found = find_config_problems(config, LabelMap(names=("red", "blue")))
    expected = [f"trainer.input_size: {problem} px" for problem in problems]
    assert list(found) == expected
