from __future__ import annotations

import pytest

from reefline.training.start_identity import StartIdentity


@pytest.mark.parametrize(
    ("identity", "text"),
    [
        pytest.param(StartIdentity(), "", id="new-weights"),
        pytest.param(StartIdentity(serving="/a:b/ckpt-3"), "serving:/a:b/ckpt-3", id="serving"),
        pytest.param(StartIdentity(sha256="5d31"), "sha256:5d31", id="file"),
        pytest.param(StartIdentity(checkpoint="5d31"), "checkpoint:5d31", id="checkpoint"),
    ],
)
def test_an_identity_is_one_word_and_back(identity: StartIdentity, text: str) -> None:
    assert str(identity) == text
    assert StartIdentity.parse(text) == identity
