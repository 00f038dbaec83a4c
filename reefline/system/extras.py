"""The extras of the package: what a plain `pip install reefline` leaves out, and how to add it."""

from __future__ import annotations

import enum
import importlib.util
import platform

from reefline.errors import MissingExtraError

# The only Python that the pipeline's versions of TFX and TensorFlow support.
PIPELINE_PYTHON = "3.10"


class Extra(str, enum.Enum):
    """A set of optional dependencies; the value is its name in pyproject.toml."""

    PIPELINE = "pipeline"
    SERVE = "serve"
    VIDEO = "video"
    SIGNING = "signing"
    STORAGE = "storage"


# Modules that nothing but the extra installs.
MODULES: dict[Extra, tuple[str, ...]] = {
    Extra.PIPELINE: ("tfx", "tensorflow"),
    Extra.SERVE: ("starlette", "uvicorn", "prometheus_client"),
    Extra.VIDEO: ("cv2",),
    Extra.SIGNING: ("cryptography",),
    Extra.STORAGE: ("obstore",),
}


def is_installed(extra: Extra) -> bool:
    """Return whether an extra's modules can be found; none is imported."""
    return all(_exists(module) for module in MODULES[extra])


def has_part_of(extra: Extra) -> bool:
    """Return whether any of an extra's modules can be found: all of them, or an installation that is incomplete."""
    return any(_exists(module) for module in MODULES[extra])


def require_extra(extra: Extra, what: str) -> None:
    """Make sure that an extra is installed; `what` is the command or option that needs it.

    Raises:
        MissingExtraError: it is not.
    """
    if is_installed(extra):
        return
    command = f"pip install 'reefline[{extra.value}]'"
    if extra is not Extra.PIPELINE:
        raise MissingExtraError(f"{what} needs the extra `{extra.value}`: {command}")
    found = ".".join(platform.python_version_tuple()[:2])
    python = f"Python {PIPELINE_PYTHON}" if found == PIPELINE_PYTHON else f"Python {PIPELINE_PYTHON}; this is {found}"
    raise MissingExtraError(f"{what} needs the pipeline: {command} ({python})")


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    # ValueError: the module was blocked by an entry of None in sys.modules.
    except (ImportError, ValueError):
        return False
