"""Every error that Reefline raises on purpose.

ReeflineError                 exit code 1
└── UserError                 exit code 2: something the user can fix; one message per problem
    ├── UsageError            the command line
    ├── MissingExtraError     an optional dependency that is not installed (system/extras.py)
    ├── ConfigError           the YAML, a --set, a pipeline.config, a label map
    ├── DataError             images, annotations, splits; carries the findings
    ├── PreflightError        a model that the gate would refuse for its Edge TPU placement (edgetpu/record.py)
    ├── CheckpointError       weights to start from that are unavailable or do not fit
    │   └── ArchitectureError     weights of another architecture than the model's
    ├── DownloadError         a failed download, or a file with another hash
    │   └── HashMismatchError     a downloaded file with another sha256 than expected
    ├── ArchiveError          an archive that is damaged, too large or unsafe to unpack
    ├── TrainingDivergedError a loss that is NaN or infinite
    ├── OutOfMemoryError      a batch or an input that is too large for the device
    ├── WorkspaceError        a workspace that is in use or not writable
    ├── StorageError          a path or URI that is not supported, or whose store cannot be used
    ├── BundleError           a bundle that is missing, damaged or incomplete
    └── RecordError           a missing or damaged JSON file that Reefline wrote
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reefline.findings import Finding


class ReeflineError(Exception):
    """The root of the hierarchy."""

    exit_code = 1


class UserError(ReeflineError):
    """Something the user can fix: each problem names the place, what was found, what was expected and what to do."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems


class UsageError(UserError):
    """A command line that makes no sense."""


class MissingExtraError(UserError):
    """An optional dependency that is not installed."""


class ConfigError(UserError):
    """A configuration that is malformed or contradicts itself."""


class DataError(UserError):
    """A data set that cannot be trained on."""

    def __init__(self, *problems: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(*problems)
        self.findings: tuple[Finding, ...] = tuple(findings)


class CheckpointError(UserError):
    """Weights to start from that are unavailable or do not fit the model."""


class ArchitectureError(CheckpointError):
    """Weights of another architecture than the model's."""


class DownloadError(UserError):
    """A failed download, or a downloaded file with another hash."""


class HashMismatchError(DownloadError):
    """A downloaded file with another sha256 than expected; `found` is the one it has."""

    def __init__(self, *problems: str, found: str) -> None:
        super().__init__(*problems)
        self.found = found


class ArchiveError(UserError):
    """An archive that is damaged, too large or unsafe to unpack."""


class TrainingDivergedError(UserError):
    """A training loss that is NaN or infinite."""


class OutOfMemoryError(UserError):
    """A batch or an input that is too large for the device."""


class WorkspaceError(UserError):
    """A workspace that is in use by another run or not writable."""


class StorageError(UserError):
    """A path or URI that is not supported, or whose store cannot be reached, read or written."""


class BundleError(UserError):
    """A bundle that is missing, damaged or incomplete."""


class RecordError(UserError):
    """A missing or damaged JSON file that Reefline wrote."""
