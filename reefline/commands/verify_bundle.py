"""`reefline verify-bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reefline.errors import BundleError
from reefline.system.terminal import say


def verify_bundle(
    bundle: Annotated[
        Path, typer.Argument(metavar="DIR", help="a bundle, such as <workspace>/serving/<model>/<version>")
    ],
) -> None:
    """Compare a bundle's files with the sha256 in its manifest. All must be listed, and none may be missing."""
    from reefline.bundle import manifest

    found = manifest.verify_bundle(bundle)
    unlisted = manifest.find_unlisted(bundle)
    if unlisted:
        raise BundleError(*(f"{path}: not in the manifest; delete it or push again" for path in unlisted))
    say(f"{bundle}: intact: {found.facts.model} version {found.version}, {len(found.files)} files")
