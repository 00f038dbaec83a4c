"""What the emulated backend refuses."""

from __future__ import annotations


class SpecError(ValueError):
    """KFP would refuse the package when it is uploaded or a run is created."""


class BackendError(RuntimeError):
    """KFP's driver or launcher would fail the task, whatever its container did."""
