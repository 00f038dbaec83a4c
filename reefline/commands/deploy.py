"""`reefline deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reefline.commands.options import PublicKeyOption, parse_choice
from reefline.system.terminal import say

if TYPE_CHECKING:
    pass


def deploy(
    bundle: Annotated[
        str,
        typer.Option(
            metavar="DIR|URI", help="a pushed bundle: <workspace>/serving/<model>/<version>, or s3://… of one"
        ),
    ],
    program: Annotated[
        str, typer.Option("--for", metavar="frigate|viseron|coral-example", help="the program that runs the model")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="the folder for the model, its labels and the config")],
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|edgetpu", help="auto uses the compiled model if the bundle has one")
    ] = "auto",
    public_key: PublicKeyOption = None,
) -> None:
    """Write the files and configuration that Frigate, Viseron or Coral's examples need to run a bundle."""
    from reefline.bundle.remote_bundle import open_bundle
    from reefline.deployment.deploy import DeployRequest, deploy_bundle
    from reefline.deployment.programs import Program
    from reefline.inference.detect.records import Device

    chosen = parse_choice("--for", program, Program)
    request = DeployRequest(open_bundle(bundle), chosen, out, parse_choice("--device", device, Device), public_key)
    done = deploy_bundle(request)
    say(f"{out}: {done.model_file}, labels.txt and {done.config_file} for {done.title}")
    for hint in done.hints:
        say(f"  {hint}")
