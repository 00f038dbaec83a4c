"""`reefline verify-bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reefline.commands.options import PublicKeyOption
from reefline.system.terminal import say


def verify_bundle(
    bundle: Annotated[
        Path, typer.Argument(metavar="DIR", help="a bundle, such as <workspace>/serving/<model>/<version>")
    ],
    public_key: PublicKeyOption = None,
) -> None:
    """Compare a bundle's files with the sha256 in its manifest. All must be listed, and none may be missing."""
    from reefline.bundle.checking import verify_for_use
    from reefline.bundle.signature import SIGNATURE_FILE

    found = verify_for_use(bundle, public_key)
    signed = ""
    if public_key is not None:
        signed = f", signed with the key of {public_key}"
    elif (bundle / SIGNATURE_FILE).is_file():
        signed = ", signature not checked; pass --public-key FILE"
    say(f"{bundle}: intact: {found.facts.model} version {found.version}, {len(found.files)} files{signed}")
