"""Names of the TF2 detection zoo."""

from __future__ import annotations

import re

import pytest

from reefline.errors import ConfigError
from reefline.od_api.model_config import check_start, list_templates, load_template
from reefline.od_api.zoo import ZOO_TEMPLATES, find_zoo_name, locate_in_zoo
from reefline.settings import Start


def test_a_name_becomes_an_https_url() -> None:
    assert locate_in_zoo("ssd_mobilenet_v2_320x320_coco17_tpu-8") == (
        "https://download.tensorflow.org/models/object_detection/tf2/20200711/"
        "ssd_mobilenet_v2_320x320_coco17_tpu-8.tar.gz"
    )


@pytest.mark.parametrize(
    ("source", "name"),
    [
        pytest.param("zoo:ssd", "ssd", id="zoo"),
        pytest.param("published", None, id="keyword"),
        pytest.param("/zoo/model.tar.gz", None, id="path"),
    ],
)
def test_only_zoo_sources_have_a_name(source: str, name: str | None) -> None:
    assert find_zoo_name(source) == name


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        pytest.param("ssd_mobilenet_v2_320", "ssd_mobilenet_v2_320x320_coco17_tpu-8", id="short"),
        pytest.param("ssd_mobilenetv2_fpnlite_320x320_coco17_tpu-8", "ssd_mobilenet_v2_fpnlite_320x320", id="typo"),
        pytest.param("ssd_resnet_50_v1_fpn_640x640", "ssd_resnet50_v1_fpn_640x640_coco17_tpu-8", id="no-end"),
    ],
)
def test_an_unknown_name_gets_the_nearest_ones(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=rf"no SSD model named '{name}'; did you mean [^?]*{re.escape(nearest)}"):
        check_start(Start(source=f"zoo:{name}"), load_template("ssd_mobilenet_v2_320"))


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(ConfigError, match="no SSD model named 'yolo'; available: efficientdet_d0_coco17_tpu-32, "):
        locate_in_zoo("yolo")


def test_every_template_that_the_zoo_names_exists() -> None:
    assert {name for name in ZOO_TEMPLATES.values() if name is not None} <= set(list_templates())
