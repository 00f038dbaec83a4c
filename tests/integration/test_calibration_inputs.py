"""What a model's quantization is calibrated with: the model's own preprocessing, and all of the pixels' range."""

from __future__ import annotations

import numpy as np
import pytest

from reefline.od_api import compat, model_config

INPUT_PX = 96


@pytest.mark.parametrize(
    ("height_px", "width_px"),
    [
        pytest.param(64, 128, id="another-size"),
        pytest.param(INPUT_PX, INPUT_PX, id="the-size-of-the-input"),
        pytest.param(1, 500, id="a-line"),
    ],
)
def test_images_of_every_size_span_the_range_of_the_input(height_px: int, width_px: int) -> None:
    compat.apply()
    from reefline.od_api.export import iterate_calibration_inputs

    config = model_config.build_model_config(model_config.load_template("ssd_mobilenet_v2_tiny"), INPUT_PX, 3)
    image = np.full((height_px, width_px, 3), 51, np.uint8)
    (array,) = iterate_calibration_inputs(config, [image])
    assert (array.shape, array.dtype) == ((1, INPUT_PX, INPUT_PX, 3), np.float32)
    # MobileNet takes pixels from -1 to 1, and 51 of 255 is -0.6 there.
    np.testing.assert_allclose(array[0, 1:], -0.6, atol=1e-6)
    assert (array.min(), array.max()) == (-1.0, 1.0)
    assert image.max() == 51
