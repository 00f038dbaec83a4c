"""What training started from, as one word in a cache key."""

from __future__ import annotations

from dataclasses import dataclass

_SERVING, _SHA256, _CHECKPOINT = "serving:", "sha256:", "checkpoint:"


@dataclass(frozen=True)
class StartIdentity:
    """What a start's weights are: at most one of the three is known; none means new weights.

    `serving` is the prefix of the checkpoint behind the serving model, `sha256` that of a file, and `checkpoint` the
    sha256 of a checkpoint's index, which contains a checksum of each of its tensors.
    """

    serving: str | None = None
    sha256: str | None = None
    checkpoint: str | None = None

    def __str__(self) -> str:
        """Return it as text, "" for new weights."""
        kinds = ((_SERVING, self.serving), (_SHA256, self.sha256), (_CHECKPOINT, self.checkpoint))
        return next((f"{kind}{value}" for kind, value in kinds if value), "")

    @classmethod
    def parse(cls, text: str) -> StartIdentity:
        """Read back what `str` returned."""
        kind, colon, value = text.partition(":")
        fields = {_SERVING: "serving", _SHA256: "sha256", _CHECKPOINT: "checkpoint"}
        return cls(**{fields[kind + colon]: value}) if text else cls()
