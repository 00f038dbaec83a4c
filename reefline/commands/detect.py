"""`reefline detect` on the terminal: one line for an image, the median latency, the exit code."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import typer

from reefline.errors import UsageError, UserError
from reefline.inference.detect.detect_objects import RESULT_FILE, Listener, detect_objects
from reefline.inference.detect.records import DetectionReport, DetectRequest, Device, ImageResult, Runtime
from reefline.system.terminal import escape_control

_DEVICE_NAMES = {Device.CPU: "CPU, XNNPACK, 2 threads", Device.EDGETPU: "Edge TPU"}


class _Terminal(Listener):
    """Tells of each image on standard output and of each problem on standard error."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet

    def started(self, runtime: Runtime) -> None:
        self._say(f"{runtime.model_file} on the {_DEVICE_NAMES[runtime.device]}: {runtime.reason}")

    def seen(self, result: ImageResult) -> None:
        counts = Counter(seen.label for seen in result.objects)
        found = ", ".join(f"{count} {label}" for label, count in counts.items()) or "nothing"
        self._say(f"{result.image}: {found} in {result.latency_ms:.1f} ms")

    def failed(self, problem: str) -> None:
        typer.echo(f"error: {escape_control(problem)}", err=True)

    def _say(self, line: str) -> None:
        if not self._is_quiet:
            typer.echo(escape_control(line))


def run_detect(
    *, bundle: Path, images: tuple[Path, ...], out: Path, min_score: float, device_name: str, as_json: bool
) -> int:
    """Detect, print what was seen, and return the exit code: 0, or 2 where an image could not be used.

    With `as_json` standard output holds the report alone.

    Raises:
        UserError: nothing could be done at all.
    """
    try:
        device = Device(device_name)
    except ValueError as error:
        raise UsageError(f"--device {device_name}: one of {', '.join(d.value for d in Device)} expected") from error
    request = DetectRequest(bundle, images, out, min_score, device)
    report = detect_objects(request, _Terminal(is_quiet=as_json))
    typer.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False) if as_json else _summarize(report, out))
    return UserError.exit_code if report.problems else 0


def _summarize(report: DetectionReport, out: Path) -> str:
    median_ms = report.median_latency_ms
    if median_ms is None:
        return f"no image was seen; {out / RESULT_FILE} says why"
    return (
        f"median latency {median_ms:.1f} ms (the model alone, {len(report.images)} image(s)); "
        f"pictures and {RESULT_FILE} are in {out}"
    )
