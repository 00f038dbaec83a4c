"""Which images to keep of each label, and which of them evaluate: pure functions of labels and hashes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Choosable:
    """An image to choose: its sha256 (hex) and its labels; images that look alike share a `group`."""

    name: str
    sha256: str
    labels: frozenset[str]
    group: int


def choose_images(
    images: Sequence[Choosable], *, max_per_label: int | None, equal_counts: bool, seed: int
) -> tuple[Choosable, ...]:
    """Return at most `max_per_label` images of each label, chosen by the seed; their order stays.

    `equal_counts` lowers that to the number of the rarest label. An image counts for each of its labels, so data with
    several labels per image end up with fewer. Images without a label count together, and never as the rarest.
    """
    counts = count_labels(images)
    named = [count for label, count in counts.items() if label is not None]
    limits = [max_per_label] if max_per_label is not None else []
    limits += [min(named)] if equal_counts and named else []
    if not limits:
        return tuple(images)
    limit = min(limits)
    taken: Counter[str | None] = Counter()
    chosen: set[str] = set()
    by_label: dict[str | None, list[Choosable]] = {label: [] for label in _rarest_first(counts)}
    for image in _shuffle(images, seed):
        for label in _labels(image):
            by_label[label].append(image)
    # The rarest first, before images of frequent labels use up the places.
    for candidates in by_label.values():
        for image in candidates:
            if image.name not in chosen and all(taken[other] < limit for other in _labels(image)):
                chosen.add(image.name)
                taken.update(_labels(image))
    return tuple(image for image in images if image.name in chosen)


def choose_eval_images(images: Sequence[Choosable], *, eval_fraction: float, seed: int) -> frozenset[str]:
    """Return the names of the images for evaluation: that fraction of each label, as near as groups allow.

    A group is never divided. A label with at least two groups has one in evaluation, unless that leaves a label without
    any for training. The labels are served from the
    rarest on (Sechidis et al. 2011, "On the Stratification of Multi-label Data").
    """
    groups: dict[int, list[Choosable]] = {}
    for image in _shuffle(images, seed):
        groups.setdefault(image.group, []).append(image)
    sizes = {number: count_labels(group) for number, group in groups.items()}
    counts = count_labels(images)
    by_label: dict[str | None, list[int]] = {label: [] for label in _rarest_first(counts)}
    for number, size in sizes.items():
        for label in size:
            by_label[label].append(number)
    eval_counts: Counter[str | None] = Counter()
    is_eval: dict[int, bool] = {}
    for label, numbers in by_label.items():
        # A label that cannot be divided trains.
        target = max(eval_fraction * counts[label], 1.0) if len(numbers) > 1 else 0.0
        for number in numbers:
            if number not in is_eval:
                is_eval[number] = eval_counts[label] + sizes[number][label] / 2 <= target
                eval_counts.update(sizes[number] if is_eval[number] else {})
        if len(numbers) > 1 and not any(is_eval[number] for number in numbers):
            _evaluate_smallest(numbers, sizes, by_label, is_eval, eval_counts)
    return frozenset(image.name for image in images if is_eval[image.group])


def _evaluate_smallest(
    numbers: Sequence[int],
    sizes: Mapping[int, Counter[str | None]],
    by_label: Mapping[str | None, Sequence[int]],
    is_eval: dict[int, bool],
    eval_counts: Counter[str | None],
) -> None:
    """Move the smallest of a label's groups to evaluation whose other labels have more groups to train on."""
    for number in sorted(numbers, key=lambda number: sum(sizes[number].values())):
        if all(any(other != number and not is_eval.get(other) for other in by_label[label]) for label in sizes[number]):
            is_eval[number] = True
            eval_counts.update(sizes[number])
            return


def count_labels(images: Iterable[Choosable]) -> Counter[str | None]:
    """Return how many images have each label; None counts those without any."""
    return Counter(label for image in images for label in _labels(image))


def _labels(image: Choosable) -> Collection[str | None]:
    return image.labels or (None,)


def _rarest_first(counts: Counter[str | None]) -> list[str | None]:
    return sorted(counts, key=lambda label: (counts[label], label or ""))


def _shuffle(images: Iterable[Choosable], seed: int) -> list[Choosable]:
    """Return the images in an order that follows from their content and the seed: adding others keeps it."""
    return sorted(images, key=lambda image: (hashlib.sha256(f"{seed}:{image.sha256}".encode()).digest(), image.name))
