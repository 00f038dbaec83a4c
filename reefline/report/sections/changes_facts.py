"""What changed in the data between two runs: images by path and content, boxes by class and place."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reefline.data.image_record import ImageRecord
from reefline.structures.boxes import BoxXyxyPx

_Label = tuple[str, BoxXyxyPx]


@dataclass(frozen=True)
class Change:
    """A changed image: its path, and what changed about it."""

    image: str
    what: str = ""


@dataclass(frozen=True)
class Delta:
    """A number before and now."""

    name: str
    before: int
    now: int

    @property
    def difference(self) -> int:
        """How much was added; negative if there is less now."""
        return self.now - self.before


@dataclass(frozen=True)
class DataChanges:
    """The differences between two ingested data sets, each list in the order of paths.

    An image whose content has another path now is renamed, a path with another content replaced. Moved and relabelled
    images have the same content as before; renamed ones may be among them. `splits` counts images, `classes` boxes.
    """

    added: tuple[Change, ...]
    removed: tuple[Change, ...]
    replaced: tuple[Change, ...]
    renamed: tuple[Change, ...]
    moved: tuple[Change, ...]
    relabelled: tuple[Change, ...]
    splits: tuple[Delta, ...]
    classes: tuple[Delta, ...]

    @property
    def is_empty(self) -> bool:
        """Whether both are the same."""
        return not any((self.added, self.removed, self.replaced, self.renamed, self.moved, self.relabelled))


def compare_data(current: Iterable[ImageRecord], previous: Iterable[ImageRecord]) -> DataChanges:
    """Return what changed from the previous data to the current."""
    now = {record.image: record for record in current}
    before = {record.image: record for record in previous}
    renamed = _match_renamed(
        [now[p] for p in sorted(now.keys() - before)], [before[p] for p in sorted(before.keys() - now)]
    )
    new_names = {old.image for old, _ in renamed}
    taken = {new.image for _, new in renamed}
    common = [(before[path], now[path]) for path in sorted(now.keys() & before.keys())]
    same = sorted(
        [pair for pair in common if pair[0].sha256 == pair[1].sha256] + renamed, key=lambda pair: pair[1].image
    )
    return DataChanges(
        added=tuple(Change(p, f"{now[p].split}, {_count(now[p])}") for p in sorted(now.keys() - before.keys() - taken)),
        removed=tuple(
            Change(p, f"{before[p].split}, {_count(before[p])}") for p in sorted(before.keys() - now.keys() - new_names)
        ),
        replaced=tuple(
            Change(new.image, _describe_labels(old, new) or "same boxes")
            for old, new in common
            if old.sha256 != new.sha256
        ),
        renamed=tuple(Change(new.image, f"was {old.image}") for old, new in renamed),
        moved=tuple(Change(new.image, f"{old.split} → {new.split}") for old, new in same if old.split != new.split),
        relabelled=tuple(Change(new.image, text) for old, new in same if (text := _describe_labels(old, new))),
        splits=_count_deltas(Counter(r.split for r in before.values()), Counter(r.split for r in now.values())),
        classes=_count_deltas(_count_classes(before.values()), _count_classes(now.values())),
    )


def _match_renamed(
    added: Sequence[ImageRecord], removed: Sequence[ImageRecord]
) -> list[tuple[ImageRecord, ImageRecord]]:
    """Return (old, new) of the images whose content only changed its path; copies are matched in the order of paths."""
    by_content: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in reversed(removed):
        by_content[record.sha256].append(record)
    return [(by_content[record.sha256].pop(), record) for record in added if by_content[record.sha256]]


def _describe_labels(old: ImageRecord, new: ImageRecord) -> str:
    """Return what changed about the boxes of an image, "" if nothing did; their order does not count."""
    lost, gained = Counter(_labels(old)), Counter(_labels(new))
    lost, gained = lost - gained, gained - lost
    places = Counter(box for _, box in lost.elements()) & Counter(box for _, box in gained.elements())
    renamed = sum(places.values())
    lost_names = _names_elsewhere(lost, places)
    gained_names = _names_elsewhere(gained, places)
    changed = sum((lost_names & gained_names).values())
    counts = (
        (renamed, "class changed", "classes changed"),
        (changed, "box moved or resized", "boxes moved or resized"),
        (sum((gained_names - lost_names).values()), "box added", "boxes added"),
        (sum((lost_names - gained_names).values()), "box removed", "boxes removed"),
    )
    return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts if count)


def _names_elsewhere(labels: Counter[_Label], places: Counter[BoxXyxyPx]) -> Counter[str]:
    """Return the class names of boxes, without one box for each of `places`."""
    left, names = Counter(places), Counter[str]()
    for name, box in labels.elements():
        if left[box] > 0:
            left[box] -= 1
        else:
            names[name] += 1
    return names


def _labels(record: ImageRecord) -> list[_Label]:
    return [(item.label, item.box_xyxy_px) for item in record.objects]


def _count(record: ImageRecord) -> str:
    return f"{len(record.objects)} box{'' if len(record.objects) == 1 else 'es'}"


def _count_classes(records: Iterable[ImageRecord]) -> Counter[str]:
    return Counter(item.label for record in records for item in record.objects)


def _count_deltas(before: Counter[str], now: Counter[str]) -> tuple[Delta, ...]:
    """Return every name with its numbers, those of the current data first."""
    names = sorted(before.keys() | now.keys(), key=lambda name: (-now[name], -before[name], name))
    return tuple(Delta(name, before[name], now[name]) for name in names)
