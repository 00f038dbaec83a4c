"""A sample of a data set: which images, how many the full set has, and what is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.data.image_record import EVAL, TEST, TRAIN, TRAIN_OR_EVAL, UNASSIGNED
from reefline.data.matching import Candidate, Discovery
from reefline.errors import DataError
from reefline.findings import Severity
from reefline.formats.tf_example import read_examples
from reefline.od_api.label_map_file import read_label_map
from reefline.settings import IngestionSettings
from reefline.verification.sample import choose_candidates, estimate_splits, take_sample
from tests.factories import add_image, make_data_set, make_object


def make_candidates(**counts: int) -> list[Candidate]:
    splits = {"free": UNASSIGNED, "divided": TRAIN_OR_EVAL}
    return [
        Candidate(f"{split}_{index}.jpg", f"{split}_{index}.xml", splits.get(split, split))
        for split, count in counts.items()
        for index in range(count)
    ]


def test_a_small_data_set_is_the_sample() -> None:
    candidates = make_candidates(free=5)
    assert choose_candidates(candidates, 5) == tuple(candidates)


def test_a_sample_is_spread_over_the_data_set() -> None:
    chosen = choose_candidates(make_candidates(free=1000), 10)
    assert [candidate.image for candidate in chosen] == [f"free_{index}.jpg" for index in range(0, 1000, 100)]


def test_a_sample_holds_both_splits_and_no_test_images() -> None:
    chosen = choose_candidates(make_candidates(train=500, eval=100, test=400), 64)
    splits = [candidate.split for candidate in chosen]
    assert (splits.count(TRAIN), splits.count(EVAL), splits.count(TEST)) == (48, 16, 0)


@pytest.mark.parametrize(
    ("counts", "has_lists", "fractions", "expected"),
    [
        pytest.param({"free": 100}, False, (0.2, 0.1), (70, 20, 10), id="fractions"),
        pytest.param({"train": 60, "eval": 30, "test": 10}, True, (0.2, 0.1), (60, 30, 10), id="lists"),
        pytest.param({"divided": 80, "test": 20}, True, (0.25, 0.1), (60, 20, 20), id="train-list-is-divided"),
        pytest.param({"free": 10}, False, (0.0, 0.0), (9, 1, 0), id="one-is-moved"),
    ],
)
def test_the_splits_of_the_full_data_set(counts: dict, has_lists: bool, fractions: tuple, expected: tuple) -> None:
    settings = IngestionSettings(eval_fraction=fractions[0], test_fraction=fractions[1])
    found = estimate_splits(Discovery(tuple(make_candidates(**counts)), (), has_lists), settings)
    assert (found[TRAIN], found[EVAL], found[TEST]) == expected


def test_real_records_are_written(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data", images=12)
    sample = take_sample(data, IngestionSettings(eval_fraction=0.5), tmp_path / "out")
    assert sample.facts.counts_are_exact
    assert sample.facts.images == sample.facts.sampled_images == 12
    assert sample.facts.classes == read_label_map(sample.label_map).names == ("cat", "dog")
    train = list(read_examples(list(Path(sample.train_records).parent.iterdir())))
    evaluated = list(read_examples(list(Path(sample.eval_records).parent.iterdir())))
    assert len(train) == sample.facts.train_images
    assert len(evaluated) == sample.eval_images <= 4
    assert len(sample.boxes_yxyx) == 12
    # (4, 4, 20, 20) in VOC's corners, of 64 x 48 px.
    assert sample.boxes_yxyx[0] == pytest.approx((4 / 48, 4 / 64, 20 / 48, 20 / 64))
    assert sample.problems == ()


def test_a_class_outside_the_sample_is_in_the_model(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data", images=80, labels=("cat",))
    add_image(data, "image_001b", seed=99, objects=[make_object("rare"), make_object("rare", (30, 4, 50, 20))])
    sample = take_sample(data, IngestionSettings(), tmp_path / "out")
    assert sample.facts.sampled_images == 64
    assert sample.facts.classes == ("cat", "rare")
    assert sample.boxes_per_class == {"cat": 80, "rare": 2}
    assert sample.facts.max_boxes_per_image == 2
    assert not sample.facts.counts_are_exact


def test_rejected_images_are_a_problem_and_not_the_end(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data", images=12)
    (data / "image_003.jpg").write_bytes(b"no image")
    sample = take_sample(data, IngestionSettings(), tmp_path / "out")
    (problem,) = sample.problems
    assert problem.severity is Severity.ERROR
    assert "1 of 12 images are rejected" in problem.message
    assert "image_003.jpg" in problem.message


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds neither images nor VOC annotations"):
        take_sample(tmp_path, IngestionSettings(), tmp_path / "out")


def test_more_images_on_request(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data", images=80)
    sample = take_sample(data, IngestionSettings(eval_fraction=0.3), tmp_path / "out", images=100, eval_images=9)
    assert sample.facts.counts_are_exact and sample.facts.sampled_images == len(sample.image_sizes_px) == 80
    assert len(list(read_examples(list(Path(sample.eval_records).parent.iterdir())))) == sample.eval_images == 9
    assert set(sample.image_sizes_px) == {(64, 48)}


def test_what_stops_a_run_stops_on_request(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data", images=10)
    (data / "image_003.jpg").write_text("no image")
    assert take_sample(data, IngestionSettings(), tmp_path / "lenient").problems
    with pytest.raises(DataError, match=r"1 of 10 images are rejected") as caught:
        take_sample(data, IngestionSettings(), tmp_path / "out", stop_as_run=True)
    assert [finding.file for finding in caught.value.findings] == ["image_003.jpg"]
