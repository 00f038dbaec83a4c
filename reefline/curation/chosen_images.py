"""Which inspected images `reefline prepare` writes, and to which split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from reefline.curation.choosing import Choosable, choose_eval_images, choose_images, count_labels
from reefline.curation.inspected_images import InspectedImage
from reefline.curation.look_alike_groups import group_look_alikes
from reefline.curation.prepare_report import PrepareOptions
from reefline.data.image_record import EVAL, TEST, TRAIN


def choose_inspected(
    inspected: Sequence[InspectedImage], options: PrepareOptions
) -> tuple[list[InspectedImage], list[str]]:
    """Return the images to write, with the splits that they get, and warnings."""
    groups: Sequence[int] = range(len(inspected))
    if options.eval_fraction is not None:
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
        return [by_name[each.name] for each in choosable], warnings
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
    test_groups = {each.group for each in choosable if each.name not in free_names}
    alike = sum(each.group in test_groups for each in free)
    warning = f"{alike} images for training or evaluation look like test images: run `reefline dedupe` first"
    return chosen, [*warnings, warning] if alike else warnings


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
