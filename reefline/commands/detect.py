"""`reefline detect`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reefline.commands.options import (
    DeviceOption,
    InterpretersOption,
    MinScoreOption,
    PublicKeyOption,
    parse_choice,
)
from reefline.errors import UsageError, UserError
from reefline.system.terminal import say, say_error, say_json

if TYPE_CHECKING:
    from reefline.inference.detect.detect_objects import Listener
    from reefline.inference.detect.records import DetectionReport

_DEFAULT_OUT = Path("detections")


def detect(
    bundle: Annotated[
        str,
        typer.Option(
            metavar="DIR|URI", help="a pushed bundle: <workspace>/serving/<model>/<version>, or s3://… of one"
        ),
    ],
    images: Annotated[
        Optional[list[Path]], typer.Argument(metavar="IMAGE", help="images, or folders of images")
    ] = None,
    video: Annotated[
        Optional[str],
        typer.Option(
            metavar="FILE|/dev/videoN", help="a video or camera instead of images; prints one JSON line per frame"
        ),
    ] = None,
    every: Annotated[int, typer.Option(metavar="N", min=1, help="with --video: use every Nth frame")] = 1,
    out: Annotated[
        Optional[Path],
        typer.Option(
            metavar="DIR|FILE",
            help="the folder for pictures and detections.json, by default detections; with --video: "
            "the video with boxes to write, such as seen.mp4",
        ),
    ] = None,
    min_score: MinScoreOption = None,
    device: DeviceOption = "auto",
    interpreters: InterpretersOption = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="with images: print the contents of detections.json and nothing else")
    ] = False,
    public_key: PublicKeyOption = None,
) -> None:
    """Detect objects in images, a video or a camera. Draws boxes and writes JSON; needs no TensorFlow."""
    from reefline.bundle.remote_bundle import open_bundle
    from reefline.inference.detect.detect_objects import detect_objects
    from reefline.inference.detect.records import DetectRequest, Device
    from reefline.inference.video.detect_in_video import VideoRequest, detect_in_video

    chosen, paths = parse_choice("--device", device, Device), tuple(images or ())
    if (video is None) == (not paths):
        found = "nothing to detect in" if video is None else "images and --video"
        raise UsageError(f"{found}: pass IMAGE..., or --video FILE")
    if video is None and every != 1:
        raise UsageError(f"--every {every}: only works with --video; leave it out")
    if video is not None and as_json:
        raise UsageError("--json with --video: the output is JSON already, one line per frame; leave --json out")
    if video is not None and "://" in video:
        raise UsageError(f"--video {video}: only files and /dev/videoN can be read; record or download a file first")
    folder = open_bundle(bundle)
    if video is not None:
        in_video = VideoRequest(folder, Path(video), out, every, min_score, chosen, interpreters, public_key)
        detect_in_video(in_video, lambda result: say_json(result.to_json(), indent=None))
        return
    request = DetectRequest(
        folder, paths, out or _DEFAULT_OUT, min_score, chosen, public_key, interpreters=interpreters
    )
    report = detect_objects(request, _make_listener(is_quiet=as_json))
    if as_json:
        say_json(report.to_json())
    else:
        say(_summarize(report, request.out))
    if report.problems:
        raise typer.Exit(UserError.exit_code)


def _make_listener(*, is_quiet: bool) -> Listener:
    """Return a listener that prints images to standard output unless `is_quiet`, and problems to standard error."""
    from reefline.inference.detect.detect_objects import Listener
    from reefline.inference.detect.records import Device, ImageResult, Runtime

    class Terminal(Listener):
        def started(self, runtime: Runtime) -> None:
            threads = "1 thread" if runtime.num_threads == 1 else f"{runtime.num_threads} threads"
            cpu = f"CPU, XNNPACK, {threads}" if runtime.uses_xnnpack else f"CPU, {threads}"
            device = cpu if runtime.device is Device.CPU else "Edge TPU"
            self._say(f"{runtime.model_file} on the {device}: {runtime.reason}")

        def seen(self, result: ImageResult) -> None:
            counts = Counter(seen.label for seen in result.objects)
            found = ", ".join(f"{count} {label}" for label, count in counts.items()) or "nothing"
            self._say(f"{result.image}: {found} in {result.latency_ms:.1f} ms")

        def failed(self, problem: str) -> None:
            say_error(problem)

        def _say(self, line: str) -> None:
            if not is_quiet:
                say(line)

    return Terminal()


def _summarize(report: DetectionReport, out: Path) -> str:
    from reefline.inference.detect.detect_objects import RESULT_FILE

    median_ms = report.median_latency_ms
    if median_ms is None:
        return f"no image could be used; see {out / RESULT_FILE}"
    return (
        f"median latency {median_ms:.1f} ms (the model alone, {len(report.images)} image(s)); "
        f"pictures and {RESULT_FILE} are in {out}"
    )
