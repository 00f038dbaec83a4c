"""A feature pyramid that the Edge TPU takes is the pyramid that was trained."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from reefline.od_api import compat, model_config
from reefline.settings import ExporterSettings, TrainerSettings
from reefline.tflite.conversion import convert_to_float
from tests.factories_training import draw_example, write_labels, write_records

SIDE_PX = 128
SETTINGS = TrainerSettings(
    model="ssd_mobilenet_v2_fpnlite_320",
    input_size=SIDE_PX,
    batch_size=2,
    num_steps=4,
    warmup_steps=1,
    augmentations=(),
)


def test_native_resizing_changes_operators_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compat.apply()
    import tensorflow as tf

    from reefline.od_api import export
    from reefline.od_api.train_step import TrainStep

    records = str(write_records(tmp_path / "data" / "train.gz", 8))
    files = model_config.TrainingFiles((records,), (records,), write_labels(tmp_path / "data" / "label_map.pbtxt"))
    config = model_config.build_pipeline_config(model_config.load_template(SETTINGS.model), SETTINGS, files)
    step = TrainStep(config)
    for _ in range(SETTINGS.num_steps):
        step.run()
    prefix = step.checkpoint().save(str(tmp_path / "ckpt"))
    folders = {"native": tmp_path / "native", "stacked": tmp_path / "stacked"}
    export.export_tflite_graph(config, prefix, ExporterSettings(), folders["native"], for_int8=False)
    monkeypatch.setattr(export, "native_upsampling", contextlib.nullcontext)
    export.export_tflite_graph(config, prefix, ExporterSettings(), folders["stacked"], for_int8=False)

    image = tf.io.decode_jpeg(draw_example(1, SIDE_PX).encoded_jpeg)[tf.newaxis]
    found = {
        name: tf.saved_model.load(str(folder)).signatures["serving_default"](tf.cast(image, tf.float32))
        for name, folder in folders.items()
    }
    assert len(found["native"]) == 4
    for name, values in found["native"].items():
        np.testing.assert_allclose(values.numpy(), found["stacked"][name].numpy(), atol=1e-5)
    operators = {name: _operator_names(folder) for name, folder in folders.items()}
    assert "RESIZE_NEAREST_NEIGHBOR" in operators["native"]
    assert "PACK" not in operators["native"]
    assert "RESIZE_NEAREST_NEIGHBOR" not in operators["stacked"]


def _operator_names(graph_dir: Path) -> set[str]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=convert_to_float(graph_dir))
    return {operator["op_name"] for operator in interpreter._get_ops_details()}
