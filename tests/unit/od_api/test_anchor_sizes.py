"""Anchor sizes without TensorFlow, against the OD API's own anchors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from reefline.od_api.anchor_sizes import list_anchor_sizes
from reefline.od_api.model_config import build_model_config, list_templates, load_template
from reefline.od_api.probe import generate_anchors

SSD_TEMPLATES = [name for name in list_templates() if load_template(name).kind == "ssd"]


@pytest.mark.parametrize("name", SSD_TEMPLATES)
def test_sizes_are_those_of_the_generated_anchors(name: str) -> None:
    config = build_model_config(load_template(name), None, 2)
    anchors = generate_anchors(config)
    generated = np.unique(
        np.round(np.stack([anchors[:, 3] - anchors[:, 1], anchors[:, 2] - anchors[:, 0]], 1), 4), axis=0
    )
    listed = np.asarray(list_anchor_sizes(config))
    assert len(listed) and len(SSD_TEMPLATES) > 5
    # Each generated size is listed, and each listed size is generated.
    distances = np.abs(generated[:, None] - listed[None]).max(axis=2)
    assert distances.min(axis=1).max() < 2e-4
    assert distances.min(axis=0).max() < 2e-4


def test_sides_that_differ_stretch_the_anchors() -> None:
    config = build_model_config(load_template("ssd_mobilenet_v2_tiny"), None, 2)
    config.model.ssd.image_resizer.fixed_shape_resizer.width *= 2
    anchors = generate_anchors(config)
    widest = float((anchors[:, 3] - anchors[:, 1]).max())
    assert max(width for width, _ in list_anchor_sizes(config)) == pytest.approx(widest, abs=1e-5)


def test_a_generator_without_formula_has_no_sizes() -> None:
    config = build_model_config(load_template("ssd_mobilenet_v2_tiny"), None, 2)
    config.model.ssd.anchor_generator.grid_anchor_generator.height = 5
    assert list_anchor_sizes(config) == ()
    config.model.faster_rcnn.num_classes = 2
    assert list_anchor_sizes(config) == ()


def test_tensorflow_is_not_imported() -> None:
    code = (
        "import sys; from reefline.od_api import anchor_sizes, model_config as m; "
        "c = m.build_model_config(m.load_template('ssd_mobilenet_v2_tiny'), None, 2); "
        "assert anchor_sizes.list_anchor_sizes(c) and 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
