"""What holds for every test: legacy Keras, chosen before TensorFlow is imported, a cache of its own, Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell lets what it runs in the background ignore Ctrl-C, and children inherit that: tests send it to theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes is a matter of the machine.
hypothesis.settings.register_profile("reefline", deadline=None)
hypothesis.settings.load_profile("reefline")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what Reefline remembers between runs out of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
