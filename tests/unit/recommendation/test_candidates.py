"""Which templates fit: their start, their batch, their anchors, and the memory they need."""

from __future__ import annotations

import pytest

from reefline.config.overrides import parse_override
from reefline.errors import ConfigError
from reefline.od_api import compat
from reefline.recommendation.candidates import Candidate, list_candidates
from reefline.recommendation.records import LeftOut
from reefline.recommendation.wishes import read_wishes
from reefline.settings import IngestionSettings
from reefline.verification.sample import DataSample, take_sample
from tests.factories import make_data_set
from tests.factories_recommendation import make_machine
from tests.factories_verification import MB


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> DataSample:
    compat.apply()
    folder = tmp_path_factory.mktemp("candidates")
    return take_sample(make_data_set(folder / "data"), IngestionSettings(), folder / "out")


def _list(
    sample: DataSample, *overrides: str, memory_bytes: int = 10**12
) -> tuple[dict[str, Candidate], dict[str, LeftOut]]:
    wishes = read_wishes([parse_override(text) for text in overrides])
    found, left_out = list_candidates(wishes, sample, make_machine(memory_bytes=memory_bytes))
    return {one.template.name: one for one in found}, {one.template: one for one in left_out}


def test_templates_for_the_edge_tpu_with_what_they_start_from(sample: DataSample) -> None:
    found, left_out = _list(sample)
    assert not left_out
    assert "efficientdet_d0" not in found
    one = found["ssd_mobilenet_v1_300"]
    assert (one.start, one.knows, one.input_px, one.batch_size) == ("published", "COCO 2017 (90 classes)", 300, 8)
    assert one.is_fine_tuning
    # 16 x 16 px in an image of 64 x 48: a third of its side.
    assert one.anchor_cover == 1.0
    assert (found["ssd_mobilenet_v2_tiny"].start, found["ssd_mobilenet_v2_tiny"].is_fine_tuning) == ("scratch", False)


def test_templates_of_all_kinds_without_an_edge_tpu(sample: DataSample) -> None:
    found, _ = _list(sample, "edgetpu=never")
    assert "efficientdet_d0" in found


def test_what_does_not_fit_in_memory_is_left_out(sample: DataSample) -> None:
    found, left_out = _list(sample, memory_bytes=1500 * MB)
    assert "ssd_mobilenet_v1_300" in found and "ssd_resnet50_fpn_640" not in found
    reason = left_out["ssd_resnet50_fpn_640"].reason
    assert reason.startswith("needs about 12.") and reason.endswith("for batches of 8; 1.5 GB is free")


def test_the_template_that_the_user_names_stays(sample: DataSample) -> None:
    found, _ = _list(sample, "trainer.model=ssd_resnet50_fpn_640", memory_bytes=1500 * MB)
    assert "ssd_resnet50_fpn_640" in found


def test_overrides_decide_start_batch_and_input(sample: DataSample) -> None:
    found, left_out = _list(sample, "trainer.start=scratch", "trainer.batch_size=4", "trainer.input_size=400")
    one = found["ssd_mobilenet_v1_300"]
    assert (one.start, one.knows, one.batch_size, one.input_px) == ("scratch", "", 4, 400)
    assert one.area_scale == pytest.approx((400 / 300) ** 2)
    # A feature pyramid needs a multiple of 32.
    assert "trainer.input_size" in left_out["ssd_mobilenet_v2_fpnlite_320"].reason


def test_a_published_start_leaves_out_templates_without_one(sample: DataSample) -> None:
    found, left_out = _list(sample, "trainer.start.source=published")
    assert "ssd_mobilenet_v2_320" in found
    assert left_out["ssd_mobilenet_v2_tiny"].reason == "no published weights"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param("trainer.batchsize=4", r"trainer\.batchsize: unknown key; did you mean", id="unknown-key"),
        pytest.param("trainer.model=ssd", r"trainer\.model: no template named 'ssd'", id="unknown-template"),
        pytest.param("gate.min_map=2", r"gate\.min_map: found 2", id="out-of-range"),
    ],
)
def test_wishes_that_no_config_can_hold(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_wishes([parse_override(override)])


def test_a_config_without_an_edge_tpu_has_no_rules_for_one() -> None:
    gate = read_wishes([parse_override("edgetpu=never")]).config.gate
    assert (gate.min_map, gate.min_edgetpu_ops, gate.max_quantization_drop) == (0.1, None, None)


@pytest.mark.parametrize(
    ("override", "name", "expected"),
    [
        pytest.param("trainer.start=scratch", "trainer.start", True, id="the-value"),
        pytest.param("trainer.start.source=scratch", "trainer.start", True, id="a-part"),
        pytest.param("trainer.seed=1", "trainer.start", False, id="another"),
    ],
)
def test_what_the_command_line_sets(override: str, name: str, expected: bool) -> None:
    assert read_wishes([parse_override(override)]).sets(name) is expected
