"""Where the data of a run comes from: the folder that the command line names, or a generated one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reefline.errors import DataError, UsageError
from reefline.settings import DemoSettings


def provide_data(data_dir: Path | None, demo: DemoSettings | None, demo_dir: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of the data set: `data_dir` where it is named, else `demo_dir`, in which one is generated.

    `say` takes one line for the terminal.

    Raises:
        DataError: `data_dir` is not a folder, or `demo_dir` holds something that is not a demo data set.
        UsageError: no data set is named, and the config has no section `demo`.
    """
    if data_dir is not None:
        if not data_dir.is_dir():
            what = "not a folder" if data_dir.exists() else "no such folder"
            raise DataError(f"{data_dir}: {what}; --data takes a folder of images with VOC annotations")
        return data_dir
    if demo is None:
        raise UsageError("the config has no `demo` section, so the data has to be named: add --data DIR")
    from reefline.data.demo import generate_demo_data

    say(f"data: {demo.images} generated images in {demo_dir}")
    generate_demo_data(demo_dir, images=demo.images, seed=demo.seed)
    return demo_dir
