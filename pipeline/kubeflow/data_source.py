"""Where a task finds the data set: a path or URI as it is, or a generated demo data set."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Optional

from reefline.errors import UsageError
from reefline.settings import DemoSettings

DEMO = "demo:"


def name_demo(data: str, demo: Optional[DemoSettings]) -> str:
    """Return an address of data for a package: `demo:` becomes demo:IMAGES:SEED, so that pods need no config.

    Raises:
        UsageError: the config has no section `demo`.
    """
    if data != DEMO:
        return data
    if demo is None:
        raise UsageError("--data demo: the config has no section demo; add one, or pass a path or URI")
    return f"{DEMO}{demo.images}:{demo.seed}"


def provide(address: str) -> str:
    """Return the data set's place for this pod; a demo data set is generated on its disk.

    Raises:
        UsageError: the demo's address is malformed.
    """
    if not address.startswith(DEMO):
        return address
    images, _, seed = address.removeprefix(DEMO).partition(":")
    if not (images.isdigit() and seed.isdigit()):
        raise UsageError(f"{address}: expected {DEMO}IMAGES:SEED; compile the package again")
    from reefline.data.demo import generate_demo_data

    folder = Path(tempfile.gettempdir()) / f"reefline-demo-{images}-{seed}"
    generate_demo_data(folder, images=int(images), seed=int(seed))
    return str(folder)
