"""Frames of a video file or a camera, read with OpenCV."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from reefline.errors import DataError, UsageError
from reefline.system.extras import Extra, require_extra

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_CAMERA = re.compile(r"/dev/video\d+")
# Where a video or camera does not tell its rate.
_DEFAULT_FPS = 25.0
# Writers miscount: a few frames more or less mean nothing.
_MISCOUNTED_FRAMES, _MISCOUNTED_SHARE = 2, 0.02


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame: its number from 0, its time in seconds, and its pixels, uint8 [height, width, 3].

    A file's time is the container's, a camera's the seconds since the first frame.
    """

    number: int
    time_s: float
    image_rgb: npt.NDArray[np.uint8]


class VideoSource:
    """A video file, or a camera /dev/videoN; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            UsageError: the extra is not installed, the file or device is missing, or it cannot be opened.
        """
        require_extra(Extra.VIDEO, "--video")
        # OpenCV and FFmpeg would explain each failure on standard error, next to our message.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
        import cv2

        self.path = path
        # Cameras also have names such as /dev/v4l/by-id/….
        self._is_camera = _CAMERA.fullmatch(str(path)) is not None or path.is_char_device()
        _check_path(path, is_camera=self._is_camera)
        self._capture: Any = cv2.VideoCapture(str(path), cv2.CAP_V4L2 if self._is_camera else cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            expected = "not a camera, or another program uses it" if self._is_camera else "not a video, or damaged"
            raise UsageError(f"--video {path}: cannot open it ({expected}); name another")

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    @property
    def fps(self) -> float:
        """The frames per second that the source claims to have."""
        import cv2

        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        return fps if 0 < fps < 1000 else _DEFAULT_FPS

    def read(self, every: int = 1) -> Iterator[Frame]:
        """Yield every `every`th frame, beginning with the first.

        Raises:
            DataError: an MP4, MOV or AVI file ends early; a file has no frame; the camera stopped. All frames before
                were yielded.
        """
        import cv2
        import numpy as np

        number, started_s = 0, 0.0
        while self._capture.grab():
            started_s = started_s or time.monotonic()
            if number % every == 0:
                is_read, image_bgr = self._capture.retrieve()
                if not is_read:
                    break
                time_s = time.monotonic() - started_s
                if not self._is_camera:
                    time_s = max(0.0, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
                yield Frame(number, time_s, np.ascontiguousarray(image_bgr[:, :, ::-1]))
            number += 1
        self._check_end(number)

    def _check_end(self, number: int) -> None:
        import cv2

        if self._is_camera:
            raise DataError(f"--video {self.path}: the camera stopped after {number} frames; check its connection")
        if number == 0:
            raise DataError(f"--video {self.path}: no frame can be decoded; export or copy the video again")
        expected = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        is_short = expected - number > max(_MISCOUNTED_FRAMES, _MISCOUNTED_SHARE * expected)
        if is_short and _stores_frame_count(self.path):
            raise DataError(
                f"--video {self.path}: ends after {number} of {expected} frames (damaged or truncated); "
                "copy the video again"
            )


def _stores_frame_count(path: Path) -> bool:
    """Return whether a file stores its number of frames: AVI does, and MP4 and MOV without fragments.

    For the others, OpenCV computes it from the duration, which an audio track can lengthen.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(12)
        if head.startswith(b"RIFF"):
            return head.endswith(b"AVI ")
        boxes = set(_read_box_types(file))
    return b"moov" in boxes and b"moof" not in boxes


def _read_box_types(file: BinaryIO) -> Iterator[bytes]:
    """Yield the types of the top-level boxes of an MP4 or MOV file (ISO/IEC 14496-12, section 4.2)."""
    end, position = file.seek(0, os.SEEK_END), 0
    while position < end:
        file.seek(position)
        header = file.read(16)
        yield header[4:8]
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:], "big")
        if size < 8:
            # 0 means up to the end of the file; anything else is damaged.
            return
        position += size


def _check_path(path: Path, *, is_camera: bool) -> None:
    if not path.exists():
        advice = "no such device; `ls /dev/video*` lists cameras" if is_camera else "no such file; name a video"
        raise UsageError(f"--video {path}: {advice}")
    if path.is_dir():
        raise UsageError(f"--video {path}: a folder; name a video")
    if not os.access(path, os.R_OK):
        advice = "add yourself to the group video" if is_camera else "correct its permissions"
        raise UsageError(f"--video {path}: cannot read it (Permission denied); {advice}")
