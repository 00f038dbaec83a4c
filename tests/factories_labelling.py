"""A detector whose results are given, and images for it to detect in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from reefline.labelling.box_source import BoxSource
from reefline.structures.detections import Detections
from tests.factories import make_jpeg
from tests.factories_evaluation import make_detections

Row = tuple[float, float, float, float, int, float]


def make_source(
    found: Mapping[int, Sequence[Row]] = {}, labels: Sequence[str | None] = ("cat", "dog"), **facts: object
) -> BoxSource:
    """Return a source that detects `found[width]` in an image of that width: corners, class index and score."""

    def detect(images: Sequence[np.ndarray]) -> list[Detections]:
        return [make_detections(*found.get(image.shape[1], ())) for image in images]

    return BoxSource(
        **{"name": "fake", "identity": "f" * 64, "labels": tuple(labels), "batch_size": 2, "detect": detect, **facts}
    )


def add_plain(folder: Path, *names: str, width_px: int = 64, orientation: int = 1) -> None:
    """Add images without annotations; they are 48 px high."""
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(make_jpeg(seed, width_px=width_px, orientation=orientation))
