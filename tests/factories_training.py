"""Small real inputs for the training, export and quantization tests."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from reefline.formats.tf_example import IngestedExample, IngestedObject, write_examples
from reefline.od_api.label_map_file import write_label_map
from reefline.settings import TrainerSettings
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.label_map import LabelMap

LABELS = LabelMap(names=("red", "blue"))
COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220)}


def draw_example(index: int, size_px: int = 128) -> IngestedExample:
    """Return an image with a red square and, where the index is odd, a blue one."""
    generator = np.random.default_rng(index)
    image = Image.fromarray(generator.integers(90, 160, (size_px, size_px, 3), dtype=np.uint8))
    pen = ImageDraw.Draw(image)
    objects = []
    for class_id, name in enumerate(LABELS.names[: 1 + index % 2], start=1):
        side = int(generator.integers(30, 60))
        left, top = (int(value) for value in generator.integers(0, size_px - side, 2))
        pen.rectangle((left, top, left + side - 1, top + side - 1), fill=COLOURS[name])
        objects.append(IngestedObject(BoxXyxyPx(left, top, left + side, top + side), class_id, name, pose=""))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return IngestedExample(
        source_id=f"square_{index}.jpg",
        filename=f"square_{index}.jpg",
        encoded_jpeg=buffer.getvalue(),
        width_px=size_px,
        height_px=size_px,
        objects=tuple(objects),
        sha256=f"{index:064x}",
    )


def write_records(path: Path, count: int, *, first: int = 0) -> Path:
    """Write a gzip TFRecord of `count` drawn examples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_examples(path, (draw_example(index) for index in range(first, first + count)))
    return path


def write_splits(root: Path, *, train: int, evaluation: int) -> Path:
    """Write Split-train, Split-eval and label_map.pbtxt, as ingestion does; the splits share no image."""
    write_records(root / "Split-train" / "data_tfrecord-00000-of-00001.gz", train)
    write_records(root / "Split-eval" / "data_tfrecord-00000-of-00001.gz", evaluation, first=50)
    write_labels(root / "label_map.pbtxt")
    return root


def make_tiny_settings(**values: Any) -> TrainerSettings:
    """Return settings for the smallest training there is: what is asserted is the path, not the quality."""
    smallest = {
        "model": "ssd_mobilenet_v2_tiny",
        "input_size": 96,
        "batch_size": 4,
        "learning_rate": 0.01,
        "warmup_steps": 1,
        "sample_images": 0,
        "augmentations": (),
        "early_stopping_patience": None,
    }
    return TrainerSettings(**{**smallest, **values})


def build_config(data: Path, settings: TrainerSettings) -> Any:
    """Return the pipeline.config of a training on what `write_splits` wrote; it takes the OD API."""
    from reefline.od_api import model_config

    files = model_config.TrainingFiles(
        train_records=(str(data / "Split-train" / "*"),),
        eval_records=(str(data / "Split-eval" / "*"),),
        label_map=data / "label_map.pbtxt",
    )
    return model_config.build_pipeline_config(model_config.load_template(settings.model), settings, files)


def write_labels(path: Path) -> Path:
    """Write the label map of the drawn examples."""
    write_label_map(path, LABELS)
    return path
