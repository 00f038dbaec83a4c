"""Options that several commands share, local_runner.py included: names, metavars, help texts, and choices by name."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Optional, TypeVar

import typer

from reefline.errors import UsageError

Choice = TypeVar("Choice", bound=enum.Enum)

DEFAULT_WORKSPACE = Path("workspace")

ConfigOption = Annotated[Optional[Path], typer.Option("--config", metavar="FILE", help="a YAML config; see configs/")]
DataOption = Annotated[
    Optional[list[Path]],
    typer.Option(
        "--data",
        metavar="DIR",
        help="a folder of images with Pascal VOC annotations; may be repeated: each folder is a span",
    ),
]
WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", metavar="DIR", help="the folder of runs, artifacts and bundles")
]
OverridesOption = Annotated[
    Optional[list[str]],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="override a config value by its dotted name, such as trainer.num_steps=50; may be repeated",
    ),
]
MinutesOption = Annotated[
    Optional[int],
    typer.Option("--minutes", metavar="N", min=1, help="the time to train for; default: 20 on a CPU, 30 with a GPU"),
]
PublicKeyOption = Annotated[
    Optional[Path],
    typer.Option(
        "--public-key",
        metavar="FILE",
        envvar="REEFLINE_PUBLIC_KEY",
        help="use only a bundle that the owner of this Ed25519 key (PEM) signed",
    ),
]
MinScoreOption = Annotated[
    Optional[float],
    typer.Option(
        "--min-score",
        metavar="FRACTION",
        show_default=False,
        help="the lowest score to report, 0 to 1; default: what the bundle suggests for each class, or 0.3",
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|edgetpu", help="auto uses the Edge TPU if one is connected")
]
InterpretersOption = Annotated[
    int,
    typer.Option(
        "--interpreters", metavar="N", min=1, max=64, help="images to run at a time, each in its own interpreter"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print the result as JSON")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="continue in an output folder that this command made")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="delete what this command wrote to the output folder before")
]
WorkersOption = Annotated[
    Optional[int],
    typer.Option("--workers", metavar="N", min=1, max=1024, help="processes to use; default: one per core"),
]
LabelMapOption = Annotated[
    Optional[str],
    typer.Option(
        "--label-map",
        metavar="FILE|coco",
        help="the names of the model's classes: .pbtxt, or text with a name per line",
    ),
]


def parse_choice(option: str, value: str, choices: type[Choice]) -> Choice:
    """Return the member of an enum that an option's value names.

    Raises:
        UsageError: it names none.
    """
    try:
        return choices(value)
    except ValueError:
        expected = ", ".join(str(choice.value) for choice in choices)
        raise UsageError(f"{option} {value}: expected one of {expected}") from None
