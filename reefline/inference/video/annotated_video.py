"""A video with boxes drawn on its frames."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# What OpenCV's own build of FFmpeg can write.
_CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}


class AnnotatedVideo:
    """A video file that appears under its name when the block ends; use it as a context manager.

    Leaving the block raises a UsageError if the file lacks frames, as on a full disk; an older file then stays.
    """

    def __init__(self, path: Path, fps: float) -> None:
        """Name the file; it is created with the first frame, whose size decides.

        Raises:
            UsageError: the name's ending is not that of a video that can be written, it is a folder, or its folder is
                missing.
        """
        if path.suffix.lower() not in _CODECS:
            raise UsageError(f"--out {path}: with --video, expected a name ending in {', '.join(_CODECS)}")
        if path.is_dir():
            raise UsageError(f"--out {path}: a folder; with --video, name a file")
        if not path.parent.is_dir():
            raise UsageError(f"--out {path}: no such folder {path.parent}; create it")
        self._path, self._fps = path, fps
        # FFmpeg chooses the container by the ending.
        self._partial = path.with_name(f".{path.stem}.part{path.suffix}")
        self._writer: Any = None
        self._frames = 0

    def __enter__(self) -> AnnotatedVideo:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is None:
            return
        self._writer.release()
        try:
            self._check_frames()
            self._partial.replace(self._path)
        except OSError as error:
            raise UsageError(f"--out {self._path}: cannot write it ({error.strerror}); name another file") from error
        finally:
            self._remove_partial()

    def write(self, image_rgb: npt.NDArray[np.uint8]) -> None:
        """Append a frame, uint8 [height, width, 3].

        Raises:
            UsageError: the file cannot be written.
        """
        import cv2

        height, width = image_rgb.shape[:2]
        if self._writer is None:
            codec = cv2.VideoWriter.fourcc(*_CODECS[self._path.suffix.lower()])
            writer = cv2.VideoWriter(str(self._partial), cv2.CAP_FFMPEG, codec, self._fps, (width, height))
            if not writer.isOpened():
                self._remove_partial()
                raise UsageError(f"--out {self._path}: OpenCV cannot write it; name another file, such as seen.mp4")
            self._writer = writer
        self._writer.write(image_rgb[:, :, ::-1].copy())
        self._frames += 1

    def _check_frames(self) -> None:
        """Count the file's frames, because OpenCV reports no failed write.

        Raises:
            UsageError: some are missing.
        """
        import cv2

        # As packets, so that counting does not decode.
        capture = cv2.VideoCapture(str(self._partial), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
        found = 0
        while capture.grab():
            found += 1
        capture.release()
        if found != self._frames:
            raise UsageError(
                f"--out {self._path}: only {found} of {self._frames} frames could be written; the video is not kept: "
                "free disk space, or name a file on another disk"
            )

    def _remove_partial(self) -> None:
        with contextlib.suppress(OSError):
            self._partial.unlink(missing_ok=True)
