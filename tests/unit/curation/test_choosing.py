from __future__ import annotations

from collections import Counter

from reefline.curation.choosing import choose_eval_images, choose_images, count_labels
from tests.factories_curation import make_choosable

CATS = [make_choosable(f"cat{number}", "cat") for number in range(20)]
DOGS = [make_choosable(f"dog{number}", "dog") for number in range(8)]
BOTH = [make_choosable(f"both{number}", "cat", "dog") for number in range(4)]
NONE = [make_choosable(f"none{number}") for number in range(10)]


def test_at_most_so_many_images_of_each_label_are_chosen() -> None:
    images = [*CATS, *DOGS, *BOTH, *NONE]
    chosen = choose_images(images, max_per_label=6, equal_counts=False, seed=0)
    assert count_labels(chosen) == {"cat": 6, "dog": 6, None: 6}
    assert list(chosen) == [image for image in images if image in chosen]
    assert chosen != choose_images(images, max_per_label=6, equal_counts=False, seed=1)
    assert chosen == choose_images(images, max_per_label=6, equal_counts=False, seed=0)


def test_counts_become_those_of_the_rarest_label() -> None:
    chosen = choose_images([*CATS, *DOGS, *NONE[:2]], max_per_label=None, equal_counts=True, seed=0)
    assert count_labels(chosen) == {"cat": 8, "dog": 8, None: 2}
    lower = choose_images([*CATS, *DOGS], max_per_label=3, equal_counts=True, seed=0)
    assert count_labels(lower) == {"cat": 3, "dog": 3}


def test_without_a_limit_everything_is_chosen() -> None:
    assert choose_images(CATS, max_per_label=None, equal_counts=False, seed=0) == tuple(CATS)


def test_every_label_has_its_share_of_evaluation() -> None:
    images = [*CATS, *DOGS, *BOTH, *NONE]
    names = choose_eval_images(images, eval_fraction=0.25, seed=0)
    counts = count_labels(image for image in images if image.name in names)
    for label, total in count_labels(images).items():
        assert abs(counts[label] - 0.25 * total) <= 1
    assert names == choose_eval_images(images[::-1], eval_fraction=0.25, seed=0)


def test_a_group_stays_together() -> None:
    images = [make_choosable(f"{number}", "cat", group=number // 5) for number in range(40)]
    names = choose_eval_images(images, eval_fraction=0.3, seed=0)
    sides = Counter((image.group, image.name in names) for image in images)
    assert set(sides.values()) == {5}
    assert len(names) in (10, 15)


def test_a_single_image_trains_and_one_of_two_evaluates() -> None:
    images = [make_choosable("alone", "cat"), make_choosable("1", "dog"), make_choosable("2", "dog")]
    names = choose_eval_images(images, eval_fraction=0.5, seed=0)
    assert "alone" not in names
    assert len(names) == 1


def test_a_label_of_two_large_groups_is_evaluated() -> None:
    images = [make_choosable(f"{number}", "cat", group=number // 5) for number in range(10)]
    assert len(choose_eval_images(images, eval_fraction=0.2, seed=0)) == 5
    # Not where the only images of another label would leave training.
    cats_and_dogs = [make_choosable(f"{number}", "cat", "dog", group=0) for number in range(5)]
    more_cats = [make_choosable(f"more{number}", "cat", "eel", group=1) for number in range(5)]
    assert not choose_eval_images([*cats_and_dogs, *more_cats], eval_fraction=0.2, seed=0)
