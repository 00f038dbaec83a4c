"""reefline/export/calibration.py: which images set the ranges of the integer model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reefline.export.calibration import (
    choose_stratified,
    read_calibration_images,
    sample_calibration_images,
    write_calibration_images,
)
from reefline.formats.tf_example import IngestedExample, IngestedObject, write_examples
from reefline.structures.boxes import BoxXyxyPx

IMAGES = st.lists(st.frozensets(st.integers(1, 6), max_size=4), max_size=80)
COUNTS = st.integers(1, 60)


def make_example(number: int, class_ids: tuple[int, ...]) -> IngestedExample:
    return IngestedExample(
        source_id=str(number),
        filename=f"{number}.jpg",
        encoded_jpeg=f"image {number}".encode(),
        width_px=10,
        height_px=10,
        objects=tuple(IngestedObject(BoxXyxyPx(0, 0, 5, 5), each, f"class {each}") for each in class_ids),
    )


def count_rarest(images, chosen=None) -> Counter[int]:
    """Return how many images belong to each stratum, by the rarest class; 0 is the background."""
    frequency = Counter(label for classes in images for label in classes)
    strata = [min(classes, key=lambda label: (frequency[label], label), default=0) for classes in images]
    return Counter(strata if chosen is None else [strata[position] for position in chosen])


@given(images=IMAGES, count=COUNTS)
def test_as_many_as_asked_for_and_each_once(images, count):
    chosen = choose_stratified(images, count)

    assert len(chosen) == min(count, len(images))
    assert chosen <= set(range(len(images)))


@given(images=IMAGES, count=st.integers(7, 60))
def test_every_class_and_the_background_is_seen(images, count):
    shown = [images[position] for position in choose_stratified(images, count)]

    assert frozenset().union(*shown) == frozenset().union(*images)
    assert (frozenset() in shown) is (frozenset() in images)


@given(images=IMAGES, count=COUNTS, seed=st.integers(0, 3))
def test_the_same_arguments_give_the_same_images(images, count, seed):
    assert choose_stratified(images, count, seed) == choose_stratified(list(images), count, seed)


@given(sizes=st.lists(st.integers(30, 90), min_size=2, max_size=3), count=st.integers(20, 60))
def test_strata_of_like_size_keep_their_proportions(sizes, count):
    """No stratum is rare here, so each gets its proportional share, rounded up or down."""
    images = [frozenset({label}) for label, size in enumerate(sizes, start=1) for _ in range(size)]

    drawn = count_rarest(images, choose_stratified(images, count))

    for label, size in enumerate(sizes, start=1):
        assert abs(drawn[label] - count * size / sum(sizes)) < 1


@given(rare=st.integers(1, 40), count=st.integers(40, 200))
def test_a_rare_class_gets_a_quarter_of_an_equal_share(rare, count):
    images = [frozenset({1})] * 4000 + [frozenset({1, 2})] * rare

    drawn = count_rarest(images, choose_stratified(images, count))

    assert drawn[2] >= min(rare, count // 8)
    assert drawn[1] > drawn[2]


def test_background_is_a_stratum_and_does_not_crowd_out_classes():
    images = [frozenset()] * 900 + [frozenset({1})] * 90 + [frozenset({2})] * 10

    drawn = count_rarest(images, choose_stratified(images, 100))

    assert drawn == {0: 84, 1: 8, 2: 8}


def test_a_class_that_never_is_the_rarest_is_seen():
    """Class 1 always occurs together with a rarer class: it has no stratum."""
    images = [frozenset({1, 2}), frozenset({1, 3}), *[frozenset({4})] * 300]

    assert {0, 1} & choose_stratified(images, 3)


def test_images_of_a_stratum_are_drawn_from_all_of_it():
    chosen = choose_stratified([frozenset({1})] * 1000, 50)

    assert min(chosen) < 200
    assert max(chosen) >= 800
    assert chosen != choose_stratified([frozenset({1})] * 1000, 50, seed=1)


def test_sample_of_records_is_the_images_in_order(tmp_path: Path):
    classes = [(1,)] * 20 + [(2, 2, 1)] + [()] * 20
    examples = [make_example(number, class_ids) for number, class_ids in enumerate(classes)]
    write_examples(tmp_path / "data_tfrecord-00000-of-00002.gz", examples[:21])
    write_examples(tmp_path / "data_tfrecord-00001-of-00002.gz", examples[21:])

    sample = sample_calibration_images(sorted(tmp_path.iterdir()), 6)

    numbers = [int(image.removeprefix(b"image ")) for image in sample]
    assert numbers == sorted(choose_stratified([frozenset(ids) for ids in classes], 6))
    assert 20 in numbers


@pytest.mark.parametrize("count", [3, 100], ids=["all", "more-than-there-are"])
def test_a_small_split_is_used_completely(tmp_path: Path, count: int):
    write_examples(tmp_path / "data.gz", [make_example(number, (1,)) for number in range(3)])

    assert sample_calibration_images(sorted(tmp_path.iterdir()), count) == (b"image 0", b"image 1", b"image 2")


def test_calibration_images_are_kept_in_their_order_as_the_same_file(tmp_path: Path) -> None:
    images = tuple(bytes([number]) * 3 for number in range(12))
    write_calibration_images(tmp_path / "a.zip", images)
    write_calibration_images(tmp_path / "b.zip", images)
    assert read_calibration_images(tmp_path / "a.zip") == images
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
