"""Which split an image goes to, decided by its content."""

from __future__ import annotations

from collections.abc import Sequence

from reefline.data.image_record import EVAL, TEST, TRAIN, TRAIN_OR_EVAL, UNASSIGNED, ImageRecord

# 13 hexadecimal digits are 52 bits, which a float holds exactly.
_HASH_DIGITS = 13
_OPEN = frozenset({UNASSIGNED, TRAIN_OR_EVAL})


def split_of_content(sha256: str, *, eval_fraction: float, test_fraction: float) -> str:
    """Return the split of an image by the sha256 (hex) of its file.

    It depends on nothing else: adding images moves none, and exact duplicates land in the same split. A larger
    `eval_fraction` only moves images from train to eval.
    """
    position = _position(sha256)
    if position < eval_fraction:
        return EVAL
    return TEST if position >= 1.0 - test_fraction else TRAIN


def assign_splits(
    records: Sequence[ImageRecord], *, eval_fraction: float, test_fraction: float
) -> tuple[ImageRecord, ...]:
    """Return the records with a split each; those that have one keep it.

    Where the hashes of a small data set leave train or eval empty, the image nearest to that split moves there, with
    all its duplicates.
    """
    assigned = [
        record
        if record.split not in _OPEN
        else record._replace(
            split=split_of_content(
                record.sha256,
                eval_fraction=eval_fraction,
                test_fraction=test_fraction if record.split == UNASSIGNED else 0.0,
            ),
        )
        for record in records
    ]
    free = sorted({record.sha256 for record in records if record.split in _OPEN}, key=_position)
    for split in (EVAL, TRAIN):
        filled = {record.split for record in assigned}
        if split not in filled and len(free) > 1:
            moved = free[0] if split == EVAL else free[-1]
            assigned = [
                after._replace(split=split) if before.split in _OPEN and after.sha256 == moved else after
                for before, after in zip(records, assigned, strict=True)
            ]
    return tuple(assigned)


def _position(sha256: str) -> float:
    """Return the position of a hash in 0..1."""
    return int(sha256[:_HASH_DIGITS], 16) / 16**_HASH_DIGITS
