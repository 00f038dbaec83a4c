"""The options of Beam in `data.beam_args`, as far as they decide what the workers share with this machine."""

from __future__ import annotations

import difflib
import enum
import re
from dataclasses import dataclass

_OPTION = re.compile(r"--([a-z][a-z0-9_]*)(?:=(.*))?", re.DOTALL)
# Where ingestion keeps what the workers hand to each other; `reefline.storage` reads and writes both.
_STORES = ("s3://", "minio://", "gs://")
_LOOPBACK = "LOOPBACK"


class BeamRunner(str, enum.Enum):
    """The runners of Beam that do the work of a pipeline."""

    DIRECT = "DirectRunner"
    PORTABLE = "PortableRunner"
    FLINK = "FlinkRunner"
    SPARK = "SparkRunner"
    DATAFLOW = "DataflowRunner"


@dataclass(frozen=True)
class BeamOptions:
    """Options of Beam as a command line has them, one per item: --name=value, or --name."""

    arguments: tuple[str, ...]

    def find(self, name: str) -> str | None:
        """Return the last value of an option: "" for one without a value, None for one that is not given."""
        matches = filter(None, map(_OPTION.fullmatch, self.arguments))
        values = [match.group(2) or "" for match in matches if match.group(1) == name]
        return values[-1] if values else None

    @property
    def runner(self) -> BeamRunner:
        """The runner; Beam's own default is DirectRunner."""
        return BeamRunner(self.find("runner") or BeamRunner.DIRECT.value)

    @property
    def shares_disk(self) -> bool:
        """Whether all workers see this machine's disk: they are processes or threads of this machine."""
        return self.runner is BeamRunner.DIRECT or self.find("environment_type") == _LOOPBACK

    @property
    def exchange(self) -> str:
        """The folder through which workers and this machine exchange files; "" for workers that share the disk."""
        return "" if self.shares_disk else (self.find("temp_location") or "")

    def check(self) -> None:
        """Check what Beam itself reports late or never.

        Raises:
            ValueError: an option is not written as --name=value, the runner is unknown, or workers of other machines
                have no folder to exchange files through.
        """
        for argument in self.arguments:
            if not _OPTION.fullmatch(argument):
                raise ValueError(
                    f"{argument!r} is not an option of Beam; write --name=value, such as --runner=FlinkRunner"
                )
        known = [runner.value for runner in BeamRunner]
        name = self.find("runner")
        if name is not None and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ValueError(f"unknown runner {name!r}; {hint}expected one of {', '.join(known)}")
        if not self.shares_disk and not self.exchange.startswith(_STORES):
            found = f"found {self.exchange!r}" if self.exchange else "none is set"
            raise ValueError(
                f"{self.runner.value} needs --temp_location=s3://… or gs://…, a folder that this machine and the "
                f"workers can write to; {found}"
            )
