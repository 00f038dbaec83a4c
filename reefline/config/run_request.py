"""What the command line asks for, of a run or of a verification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reefline.errors import UsageError


@dataclass(frozen=True)
class RunRequest:
    """The options of a run; None where an option is not given.

    `overrides` are KEY=VALUE texts, in their order. `minutes` is the budget of a recommended config.
    """

    config_file: Path | None = None
    data_dir: Path | None = None
    overrides: tuple[str, ...] = ()
    minutes: int | None = None

    @property
    def asks_for_recommendation(self) -> bool:
        """Whether the config is to be recommended: there is data, and no config."""
        return self.config_file is None and self.data_dir is not None


def check_minutes(request: RunRequest) -> None:
    """Refuse --minutes where no config is recommended.

    Raises:
        UsageError: --minutes with --config, or without --data.
    """
    if request.minutes is None or request.asks_for_recommendation:
        return
    if request.config_file is not None:
        raise UsageError(
            f"--minutes {request.minutes}: --config already fixes the steps; drop --config to get a config for this "
            "budget, or set trainer.num_steps"
        )
    raise UsageError(f"--minutes {request.minutes}: needs --data DIR; the demo's config fixes the steps")
