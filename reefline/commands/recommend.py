"""`reefline recommend`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reefline.commands.options import MinutesOption, OverridesOption
from reefline.commands.unexpected import describe_unexpected
from reefline.errors import UsageError, UserError
from reefline.system.files import write_whole
from reefline.system.terminal import say, say_error, send_noise_to

if TYPE_CHECKING:
    from reefline.recommendation.records import Recommendation

RequiredDataOption = Annotated[
    list[Path],
    typer.Option(
        "--data",
        metavar="DIR",
        help="a folder of images with Pascal VOC annotations; may be repeated: each folder is a span",
    ),
]
OutOption = Annotated[
    Optional[Path],
    typer.Option("--out", metavar="FILE.yaml", help="write the config to this file instead of printing it"),
]


def recommend(
    data: RequiredDataOption,
    minutes: MinutesOption = None,
    out: OutOption = None,
    overrides: OverridesOption = None,
) -> None:
    """Recommend a config for your data and this machine; a few training steps are measured for it."""
    from reefline.data.spans import join_folders

    data_dir = join_folders(data)
    if out is not None and not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: the folder {out.absolute().parent} does not exist; create it first")
    # TensorFlow reads it when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with tempfile.TemporaryDirectory(prefix="reefline-recommend-") as directory:
            found = _recommend_quietly(data_dir, minutes, tuple(overrides or ()), Path(directory))
    except KeyboardInterrupt:
        say_error("stopped by Ctrl-C")
        raise typer.Exit(130) from None
    except UserError:
        raise
    except Exception as error:
        say_error(describe_unexpected(error, "recommend"))
        raise typer.Exit(1) from error
    _report(found, out, data)


def _recommend_quietly(data: Path, minutes: int | None, overrides: tuple[str, ...], work_dir: Path) -> Recommendation:
    from reefline.config.overrides import parse_override
    from reefline.recommendation.recommend import recommend

    parsed = [parse_override(text) for text in overrides]
    with send_noise_to(work_dir / "noise.log"):
        return recommend(data, minutes, parsed, work_dir, lambda line: say(f"… {line}"))


def _report(found: Recommendation, out: Path | None, data: list[Path]) -> None:
    from reefline.recommendation.text import format_config, format_recommendation

    for line in format_recommendation(found):
        say(line)
    if out is None:
        say("")
        for line in format_config(found).splitlines():
            say(line)
        return
    try:
        write_whole(out, format_config(found))
    except OSError as error:
        raise UsageError(f"--out {out}: cannot write it ({error.strerror})") from None
    folders = " ".join(f"--data {folder}" for folder in data)
    say(f"config: {out}")
    say(f"Train with it: python local_runner.py --config {out} {folders}")
