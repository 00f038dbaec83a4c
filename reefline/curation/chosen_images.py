"""Which inspected images `reefline prepare` writes, and to which split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from reefline.curation.choosing import Choosable, choose_eval_images, choose_images, count_labels
from reefline.curation.inspected_images import InspectedImage
from reefline.curation.look_alike_groups import group_look_alikes
from reefline.curation.prepare_report import UNDIVIDED, PrepareOptions
from reefline.data.image_record import EVAL, LIST_NAMES, TEST, TRAIN


def choose_inspected(
    inspected: Sequence[InspectedImage], options: PrepareOptions
) -> tuple[list[InspectedImage], list[str]]:
    """Return the images to write, with the splits that they get, and warnings."""
    groups: Sequence[int] = range(len(inspected))
    if any(each.look is not None for each in inspected):
        groups = group_look_alikes(
            [each.record.sha256 for each in inspected],
            [each.record.perceptual_hash for each in inspected],
            [each.look for each in inspected],
        )
    by_name = {each.source.image: each for each in inspected}
    found = [
        Choosable(each.source.image, each.record.sha256, each.labels, group)
        for each, group in zip(inspected, groups, strict=True)
    ]
    choosable = choose_images(
        found, max_per_label=options.max_per_label, equal_counts=options.equal_counts, seed=options.seed
    )
    warnings = list(_find_losses(found, len(choosable), options))
    if options.eval_fraction is None:
        kept = [by_name[each.name] for each in choosable]
        return kept, [*warnings, *_find_leaks(kept, [each.group for each in choosable], options)]
    # Images for the last test stay unseen.
    free = [each for each in choosable if by_name[each.name].source.split != TEST]
    chosen_eval = choose_eval_images(free, eval_fraction=options.eval_fraction, seed=options.seed)
    free_names = {each.name for each in free}
    chosen = []
    for each in choosable:
        image = by_name[each.name]
        if each.name in free_names:
            split = EVAL if each.name in chosen_eval else TRAIN
            image = replace(image, source=replace(image.source, split=split))
        chosen.append(image)
    return chosen, [*warnings, *_find_leaks(chosen, [each.group for each in choosable], options)]


def _find_leaks(chosen: Sequence[InspectedImage], groups: Sequence[int], options: PrepareOptions) -> Iterator[str]:
    """Yield a warning if images that look alike are in several splits: evaluation would see what training saw."""
    first: dict[int, InspectedImage] = {}
    leaks = []
    for image, group in zip(chosen, groups, strict=True):
        other = first.setdefault(group, image)
        if other.source.split != image.source.split:
            leaks.append((other, image))
    if leaks:
        pair = ", ".join(f"{each.source.image} in {LIST_NAMES.get(each.source.split, UNDIVIDED)}" for each in leaks[0])
        advice = "run `reefline dedupe` first"
        if options.eval_fraction is None:
            advice += ", or pass --eval-fraction to split anew"
        yield f"{len(leaks)} images look like images of another split ({pair}): {advice}"


def _find_losses(found: Sequence[Choosable], chosen: int, options: PrepareOptions) -> Iterator[str]:
    """Yield a warning if a rare label is why equal counts leave out most images."""
    counts = {label: count for label, count in count_labels(found).items() if label is not None}
    if not options.equal_counts or not counts or 2 * chosen >= len(found):
        return
    rarest = min(sorted(counts), key=lambda label: counts[label])
    if options.max_per_label is None or counts[rarest] < options.max_per_label:
        yield (
            f"--equal-counts keeps {chosen} of {len(found)} images, because label {rarest!r} has only "
            f"{counts[rarest]}: add images of it, or pass --max-per-label instead"
        )
