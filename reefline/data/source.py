"""Where a run's data comes from: the folder named on the command line, or a generated one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from reefline.beam_options import BeamOptions
from reefline.errors import DataError, UsageError
from reefline.settings import DemoSettings
from reefline.storage.location import Location

# A path holds s3://bucket as s3:/bucket.
_COLLAPSED_URI = re.compile(r"[A-Za-z][A-Za-z0-9+-]+:/")


def provide_data(data_dir: Path | None, demo: DemoSettings | None, demo_dir: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of the data set: `data_dir` if given, else `demo_dir`, where a demo data set is generated.

    `say` prints one line to the terminal.

    Raises:
        DataError: `data_dir` is not a folder, or `demo_dir` holds something other than a demo data set.
        UsageError: neither `data_dir` nor the config's section `demo` is given.
    """
    if data_dir is not None:
        if _COLLAPSED_URI.match(str(data_dir)):
            raise DataError(f"{data_dir}: a URI; --data expects a folder on this machine: copy the data here first")
        try:
            is_folder = data_dir.is_dir()
            what = "not a folder" if data_dir.exists() else "no such folder"
        except OSError as error:
            is_folder, what = False, str(error.strerror).lower()
        if not is_folder:
            raise DataError(f"{data_dir}: {what}; --data expects a folder of images with VOC annotations")
        return data_dir
    if demo is None:
        raise UsageError("no data set: pass --data DIR (the config has no `demo` section to generate one)")
    from reefline.data.demo import generate_demo_data

    say(f"data: {demo.images} generated images in {demo_dir}")
    generate_demo_data(demo_dir, images=demo.images, seed=demo.seed)
    return demo_dir


def check_reach(options: BeamOptions, data: str) -> None:
    """Check that Beam's workers can read the data set at a path or URI.

    Raises:
        DataError: it is a folder, and the workers may be on other machines.
        StorageError: the URI is not supported.
    """
    if not options.shares_disk and not Location.parse(data).is_remote:
        raise DataError(
            f"{data}: the workers of {options.runner.value} (data.beam_args) cannot read this folder; use data at "
            "s3:// or gs://, or remove data.beam_args"
        )
