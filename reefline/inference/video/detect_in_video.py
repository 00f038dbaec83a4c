"""From a bundle and a video to one JSON line per frame, and a video with boxes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reefline.bundle.checking import verify_for_use
from reefline.errors import UsageError
from reefline.inference.detect.detect_objects import check_min_score, choose_min_scores, name_objects
from reefline.inference.detect.drawing import draw_detections
from reefline.inference.detect.in_order import run_in_order
from reefline.inference.detect.records import Device, SeenObject
from reefline.inference.detect.runtime import LoadedModel, load_models
from reefline.inference.video.annotated_video import AnnotatedVideo
from reefline.inference.video.frames import Frame, VideoSource
from reefline.system.interruption import Interruption


@dataclass(frozen=True)
class VideoRequest:
    """Which bundle runs on which video file or camera, on every `every`th frame.

    `out` is the video with boxes to write, if any. `min_score` is 0..1; None means the thresholds that the bundle
    suggests. `interpreters` frames are detected in at a time.
    """

    bundle: Path
    video: Path
    out: Path | None = None
    every: int = 1
    min_score: float | None = None
    device: Device = Device.AUTO
    interpreters: int = 1
    public_key: Path | None = None


@dataclass(frozen=True, eq=False)
class FrameResult:
    """The detections in one frame, best score first; `latency_ms` is the time of the model alone."""

    frame: Frame
    objects: tuple[SeenObject, ...]
    latency_ms: float

    def to_json(self) -> dict[str, Any]:
        """Return the result as one line of the output shows it; `size` is width and height."""
        height_px, width_px = self.frame.image_rgb.shape[:2]
        return {
            "frame": self.frame.number,
            "time_s": round(self.frame.time_s, 3),
            "size": [width_px, height_px],
            "detections": [seen.to_json() for seen in self.objects],
            "latency_ms": round(self.latency_ms, 3),
        }


def detect_in_video(request: VideoRequest, seen: Callable[[FrameResult], None]) -> None:
    """Run a bundle on a video's frames, call `seen` for each in order, and write the video with boxes.

    Ctrl-C stops after the frames under way; the video written so far is complete.

    Raises:
        BundleError: the bundle is missing, damaged or not signed, or cannot be run.
        UsageError: the extra is not installed, an option makes no sense, or the video or `out` cannot be opened.
        DataError: the video ends early; what came before was reported.
    """
    check_min_score(request.min_score)
    if request.out is not None and request.out.resolve() == request.video.resolve():
        raise UsageError(f"--out {request.out}: would replace the video itself; name another file")
    with VideoSource(request.video) as source, contextlib.ExitStack() as stack:
        out = None if request.out is None else AnnotatedVideo(request.out, source.fps / request.every)
        stack.enter_context(contextlib.nullcontext() if out is None else out)
        manifest = verify_for_use(request.bundle, request.public_key)
        models = load_models(request.bundle, manifest, request.device, request.interpreters)
        min_scores = choose_min_scores(request.min_score, manifest, models[0].labels)
        for model in models:
            model.detector.warm_up()

        def detect(model: LoadedModel, frame: Frame) -> FrameResult:
            timed = model.detector.detect_timed(frame.image_rgb)
            return FrameResult(frame, name_objects(timed.detections, model.labels, min_scores), timed.latency_ms)

        interruption = stack.enter_context(Interruption())
        for result in run_in_order(models, detect, _until(interruption, source.read(request.every))):
            seen(result)
            if out is not None:
                out.write(_draw(result, models[0].labels))


def _until(interruption: Interruption, frames: Iterator[Frame]) -> Iterator[Frame]:
    for frame in frames:
        if interruption.requested:
            return
        yield frame


def _draw(result: FrameResult, labels: tuple[str, ...]) -> Any:
    import numpy as np
    from PIL import Image

    return np.asarray(draw_detections(Image.fromarray(result.frame.image_rgb), result.objects, labels))
