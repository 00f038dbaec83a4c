"""Videos whose frames are red and green halves, as the two-anchor model detects them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.factories_evaluation import make_image

FPS = 10.0


def write_video(path: Path, halves: Sequence[tuple[str, str]]) -> Path:
    """Write a video of 10 frames a second, 192 x 96 px, with a frame for each pair of colours."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), FPS, (192, 96))
    assert writer.isOpened()
    for left, right in halves:
        image_rgb = make_image(left, right).repeat(4, axis=0).repeat(4, axis=1)
        writer.write(np.ascontiguousarray(image_rgb[:, :, ::-1]))
    writer.release()
    return path
