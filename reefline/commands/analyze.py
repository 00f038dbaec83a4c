"""`reefline analyze`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reefline.commands.options import JsonOption
from reefline.system.terminal import say, say_json


def analyze(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.tflite", help="an int8 model, or a file that edgetpu_compiler wrote")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show which operators run on the Edge TPU, and why. Shows the contents of a compiled file."""
    from reefline.edgetpu.analysis import analyze_model

    analysis = analyze_model(model)
    if as_json:
        say_json(analysis.to_json())
        return
    for line in analysis.to_text().split("\n"):
        say(line)
