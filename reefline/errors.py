"""Every error that Reefline raises on purpose.

ReeflineError                 exit code 1
└── UserError                 exit code 2: something the user can mend; one message per problem
    ├── UsageError            the command line
    ├── ConfigError           the YAML, a --set, a pipeline.config, a label map
    ├── DataError             images, annotations, splits; carries the findings
    ├── PreflightError        a model that does not map to the Edge TPU as it has to (edgetpu/record.py)
    ├── CheckpointError       a fine-tune checkpoint that cannot be had or does not fit
    ├── DownloadError         a URL that cannot be had, or holds another file
    ├── TrainingDivergedError a loss that is NaN or infinite
    ├── OutOfMemoryError      a batch or an input that the device has no room for
    ├── WorkspaceError        a workspace that is in use or cannot be written
    ├── BundleError           a bundle that is missing, damaged or incomplete
    └── RecordError           a JSON file of Reefline's own that is missing or damaged
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
    """Something the user can mend: each problem says where, what was found, what was expected and what to do."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems


class UsageError(UserError):
    """A command line that cannot be carried out."""


class ConfigError(UserError):
    """A configuration that is malformed or contradicts itself."""


class DataError(UserError):
    """A data set that cannot be trained on."""

    def __init__(self, *problems: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(*problems)
        self.findings: tuple[Finding, ...] = tuple(findings)


class CheckpointError(UserError):
    """A fine-tune checkpoint that cannot be had or does not fit the model."""


class DownloadError(UserError):
    """A URL that cannot be had, or holds another file than was expected."""


class TrainingDivergedError(UserError):
    """A training loss that is NaN or infinite."""


class OutOfMemoryError(UserError):
    """A batch or an input that the device has no room for."""


class WorkspaceError(UserError):
    """A workspace that is in use by another run or cannot be written."""


class BundleError(UserError):
    """A bundle that is missing, damaged or incomplete."""


class RecordError(UserError):
    """A JSON file of Reefline's own that is missing or damaged."""
