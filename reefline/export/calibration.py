"""The training images that set the ranges of an integer model: a stratified sample of the train split.

The sample has each class and the background in the split's proportions, and rare ones more often: the integer model
clips what lies outside the range of the calibration images.
"""

from __future__ import annotations

import io
import random
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# The class of an image without objects; real classes count from 1.
_BACKGROUND = 0
# Each stratum gets at least this share of an equal share.
_MINIMUM_SHARE = 0.25


def sample_calibration_images(files: Sequence[Path], count: int) -> tuple[bytes, ...]:
    """Return the encoded images of a stratified sample of up to `count` examples, in the order of the split.

    `files` are the split's TFRecords. They are read twice, first for the classes only: no more than `count` images are
    in memory.
    """
    from reefline.formats.tf_example import read_examples

    classes_of_image = [frozenset(item.class_id for item in each.objects) for each in read_examples(files)]
    chosen = choose_stratified(classes_of_image, count)
    return tuple(example.encoded_jpeg for at, example in enumerate(read_examples(files)) if at in chosen)


def choose_stratified(classes_of_image: Sequence[frozenset[int]], count: int, seed: int = 0) -> frozenset[int]:
    """Return the positions of up to `count` images, drawn at random within strata.

    An image belongs to the stratum of its rarest class, or to the background's if it has no objects. First, every class
    from rarest to most common, then the background, gets an image that shows it, unless one is already drawn; `count`
    permitting, none is missing. The rest goes to the stratum furthest below its minimum, and then in proportion to the
    strata's sizes, rounded by Webster's method (Sainte-Laguë). The same arguments give the same images.
    """
    if len(classes_of_image) <= count:
        return frozenset(range(len(classes_of_image)))
    labels_of_image = [classes or frozenset({_BACKGROUND}) for classes in classes_of_image]
    frequency = Counter(label for labels in labels_of_image for label in labels)
    by_rarity = sorted(frequency, key=lambda label: (label == _BACKGROUND, frequency[label], label))
    rank = {label: place for place, label in enumerate(by_rarity)}
    stratum_of_image = [min(labels, key=rank.__getitem__) for labels in labels_of_image]
    generator = random.Random(seed)
    chosen = _cover(labels_of_image, by_rarity, count, generator)
    waiting: dict[int, list[int]] = {label: [] for label in stratum_of_image}
    for position in generator.sample(range(len(labels_of_image)), len(labels_of_image)):
        if position not in chosen:
            waiting[stratum_of_image[position]].append(position)
    drawn = Counter(stratum_of_image[position] for position in chosen)
    sizes = Counter(stratum_of_image)
    minimum = int(_MINIMUM_SHARE * count / len(sizes))

    def need(label: int) -> tuple[int, float]:
        return max(0, minimum - drawn[label]), sizes[label] / (2 * drawn[label] + 1)

    while len(chosen) < count:
        neediest = max((label for label in by_rarity if waiting.get(label)), key=need)
        chosen.add(waiting[neediest].pop())
        drawn[neediest] += 1
    return frozenset(chosen)


def write_calibration_images(path: Path, encoded_images: Sequence[bytes]) -> None:
    """Write encoded images to one file, in their order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for position, encoded in enumerate(encoded_images):
            # ZipInfo's default date makes the file the same for the same images.
            archive.writestr(zipfile.ZipInfo(f"{position:06}"), encoded)


def read_calibration_images(path: Path) -> tuple[bytes, ...]:
    """Return the encoded images that `write_calibration_images` wrote, in their order."""
    with zipfile.ZipFile(path) as archive:
        return tuple(archive.read(name) for name in sorted(archive.namelist()))


def make_calibration_inputs(config: Any, encoded_images: Sequence[bytes]) -> Callable[[], Iterator[np.ndarray]]:
    """Return a function whose every call yields the images as inputs of a pipeline.config's TFLite graph."""
    from reefline.od_api.export import iterate_calibration_inputs

    return lambda: iterate_calibration_inputs(config, map(_decode_image, encoded_images))


def _cover(
    labels_of_image: Sequence[frozenset[int]], labels: Sequence[int], count: int, generator: random.Random
) -> set[int]:
    """Return up to `count` positions of images that together show all of `labels`, earlier labels first."""
    chosen: set[int] = set()
    shown: set[int] = set()
    for label in labels:
        if label in shown or len(chosen) == count:
            continue
        holders = [position for position, shows in enumerate(labels_of_image) if label in shows]
        position = generator.choice(holders)
        chosen.add(position)
        shown |= labels_of_image[position]
    return chosen


def _decode_image(encoded: bytes) -> np.ndarray:
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB"))
