"""What lint reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LintFinding:
    """One problem of a package: where it is, and what to do; a warning does not keep the package from running."""

    where: str
    message: str
    is_error: bool = True

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{'error' if self.is_error else 'warning'}: {self.describe()}"

    def describe(self) -> str:
        """Return place and message."""
        return f"{self.where}: {self.message}"
