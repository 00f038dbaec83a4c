"""What the command line asks for, of a run or of a verification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunRequest:
    """The options of a run; None where an option is not given. `overrides` are KEY=VALUE texts, in their order."""

    config_file: Path | None = None
    data_dir: Path | None = None
    overrides: tuple[str, ...] = ()
