"""What `reefline detect` was asked for and what it found: detections.json."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from reefline.structures.boxes import BoxXyxyPx

SCHEMA_VERSION = 1


class Device(str, enum.Enum):
    """Where a model should run; `auto` is the Edge TPU where one exists and the bundle is compiled for it."""

    AUTO = "auto"
    CPU = "cpu"
    EDGETPU = "edgetpu"


@dataclass(frozen=True)
class DetectRequest:
    """Which bundle runs on which images; a folder means the images directly in it.

    `min_score` is 0..1; None means the thresholds that the bundle suggests. Pictures and detections.json go to `out`,
    which is created if missing. With a `public_key`, its owner must have signed the bundle. `interpreters` images are
    detected in at a time.
    """

    bundle: Path
    images: tuple[Path, ...]
    out: Path
    min_score: Optional[float] = None
    device: Device = Device.AUTO
    public_key: Optional[Path] = None
    interpreters: int = 1


@dataclass(frozen=True)
class Runtime:
    """Which file of the bundle runs where (CPU or EDGETPU), and why.

    On the CPU, also whether with XNNPACK, and the threads of each interpreter.
    """

    device: Device
    model_file: str
    reason: str
    uses_xnnpack: bool = True
    num_threads: int = 1


@dataclass(frozen=True)
class SeenObject:
    """One detection: its class's name, its score of 0..1 and its box in pixels of the upright image."""

    label: str
    score: float
    box_xyxy_px: BoxXyxyPx

    def to_json(self) -> dict[str, Any]:
        """Return the detection as detections.json shows it."""
        return {
            "label": self.label,
            "score": round(self.score, 4),
            "box_xyxy_px": [round(x, 2) for x in self.box_xyxy_px],
        }


@dataclass(frozen=True)
class ImageResult:
    """The detections in one image, best score first.

    `image` is its path as given, the size that of the upright image, `latency_ms` the time of the model alone,
    `picture` the file in the output folder that shows the boxes, None without one.
    """

    image: str
    width_px: int
    height_px: int
    objects: tuple[SeenObject, ...]
    latency_ms: float
    picture: Optional[str]

    def to_json(self) -> dict[str, Any]:
        """Return the result as detections.json shows it; `size` is width and height."""
        return {
            "image": self.image,
            "size": [self.width_px, self.height_px],
            "detections": [seen.to_json() for seen in self.objects],
            "latency_ms": round(self.latency_ms, 3),
            "picture": self.picture,
        }


@dataclass(frozen=True)
class DetectionReport:
    """detections.json: what ran, what it detected in each image, and one problem for each unusable image.

    `min_scores` has the lowest score to report of each class.
    """

    model: str
    version: int
    runtime: Runtime
    min_scores: Mapping[str, float]
    images: tuple[ImageResult, ...]
    problems: tuple[str, ...]

    @property
    def median_latency_ms(self) -> Optional[float]:
        """The median time of the model alone; None without images."""
        return statistics.median(result.latency_ms for result in self.images) if self.images else None

    def to_json(self) -> dict[str, Any]:
        """Return the report as detections.json shows it; `min_scores` is left out where all classes share one score."""
        median_ms = self.median_latency_ms
        lowest = min(self.min_scores.values())
        differ = set(self.min_scores.values()) != {lowest}
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "version": self.version,
            "device": self.runtime.device.value,
            "model_file": self.runtime.model_file,
            "reason": self.runtime.reason,
            "min_score": lowest,
            **({"min_scores": dict(self.min_scores)} if differ else {}),
            "median_latency_ms": None if median_ms is None else round(median_ms, 3),
            "images": [result.to_json() for result in self.images],
            "problems": list(self.problems),
        }
