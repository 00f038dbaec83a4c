from collections.abc import Sequence

import numpy as np
import pytest

from reefline.errors import UsageError
from reefline.labelling.box_source import BoxSource
from reefline.labelling.tiles import OverlapMetric, Tiling, detect_in_tiles
from reefline.structures.detections import Detections
from tests.factories_evaluation import make_detections

SIDE_PX = 100


def _source(
    objects: Sequence[tuple[int, int, int, int]], *, min_side_px: int = 0, max_side_px: int = 10_000
) -> BoxSource:
    """Return a detector that sees the part of each object in an image; objects are filled with their number.

    It sees nothing in images with a side below `min_side_px` or above `max_side_px`.
    """

    def detect(images: Sequence[np.ndarray]) -> list[Detections]:
        return [
            make_detections(*(row for row in _see(image) if min_side_px <= max(image.shape) <= max_side_px))
            for image in images
        ]

    def _see(image: np.ndarray):
        for number in range(1, len(objects) + 1):
            rows, columns = np.nonzero(image[..., 0] == number)
            if len(rows):
                # The more of it is seen, the surer.
                x, y, right, bottom = objects[number - 1]
                share = len(rows) / ((right - x) * (bottom - y))
                yield columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, 0, 0.5 + 0.4 * share

    return BoxSource("fake", "", ("thing",), 4, detect)


def _any_score(_: int) -> float:
    return 0.0


def _draw(objects: Sequence[tuple[int, int, int, int]], width_px: int = 260, height_px: int = 180) -> np.ndarray:
    image = np.zeros((height_px, width_px, 3), dtype=np.uint8)
    for number, (x, y, right, bottom) in enumerate(objects, start=1):
        image[y:bottom, x:right] = number
    return image


def _detect(objects: Sequence[tuple[int, int, int, int]], **limits: int) -> list[list[float]]:
    found = detect_in_tiles(_source(objects, **limits), _draw(objects), Tiling(SIDE_PX, 0.2), _any_score)
    return sorted(found.boxes_xyxy_px.tolist())


def test_tiles_overlap_and_end_with_the_image() -> None:
    tiling = Tiling(SIDE_PX, 0.2)
    assert tiling.starts(260) == [0, 80, 160]
    assert tiling.starts(250) == [0, 80, 150]
    assert tiling.starts(100) == tiling.starts(60) == [0]


def test_small_objects_are_found_once_whatever_tile_shows_them() -> None:
    # In one tile, in the overlap of two, across a border, and in the corner of four.
    objects = [(10, 10, 20, 20), (82, 30, 94, 42), (95, 60, 107, 72), (84, 84, 96, 96)]
    assert _detect(objects, max_side_px=SIDE_PX) == sorted([float(side) for side in each] for each in objects)


def test_an_object_larger_than_a_tile_comes_from_the_full_image() -> None:
    objects = [(20, 20, 240, 160)]
    assert _detect(objects) == [[20.0, 20.0, 240.0, 160.0]]


def test_pieces_are_joined_where_nothing_shows_the_object_completely() -> None:
    objects = [(40, 40, 220, 60)]
    assert _detect(objects, max_side_px=SIDE_PX) == [[40.0, 40.0, 220.0, 60.0]]


def test_neighbours_stay_apart() -> None:
    objects = [(10, 10, 30, 30), (31, 10, 51, 30), (10, 31, 30, 51)]
    assert len(_detect(objects)) == 3


def test_classes_are_not_merged() -> None:
    def detect(images):
        rows = [(0, 0, 50, 50, 0, 0.9), (0, 0, 50, 50, 1, 0.8)]
        return [make_detections(*(rows if image.shape[1] == 120 else [])) for image in images]

    found = detect_in_tiles(
        BoxSource("fake", "", ("a", "b"), 9, detect), _draw([], 120, 100), Tiling(SIDE_PX, 0.5), _any_score
    )
    assert dict(zip(found.class_indices.tolist(), found.scores.tolist(), strict=True)) == {0: 0.9, 1: 0.8}


@pytest.mark.parametrize(("metric", "count"), [(OverlapMetric.IOS, 1), (OverlapMetric.IOU, 2)], ids=["ios", "iou"])
def test_the_metric_decides_about_a_box_inside_another(metric: OverlapMetric, count: int) -> None:
    def detect(images):
        rows = [(10, 10, 90, 90, 0, 0.9), (20, 20, 40, 40, 0, 0.8)]
        return [make_detections(*(rows if image.shape[1] == 120 else [])) for image in images]

    found = detect_in_tiles(
        BoxSource("fake", "", ("a",), 9, detect), _draw([], 120, 100), Tiling(SIDE_PX, 0.2, metric), _any_score
    )
    assert len(found) == count


def test_a_doubtful_box_does_not_widen_a_sure_one() -> None:
    def detect(images):
        rows = [(10, 10, 30, 30, 0, 0.9), (0, 0, 110, 90, 0, 0.2)]
        return [make_detections(*(rows if image.shape[1] == 120 else [])) for image in images]

    source = BoxSource("fake", "", ("a",), 9, detect)
    found = detect_in_tiles(source, _draw([], 120, 100), Tiling(SIDE_PX), lambda _: 0.3)
    assert found.boxes_xyxy_px.tolist() == [[10, 10, 30, 30]]
    widened = detect_in_tiles(source, _draw([], 120, 100), Tiling(SIDE_PX), _any_score)
    assert widened.boxes_xyxy_px.tolist() == [[0, 0, 110, 90]]


def test_an_image_of_one_tile_is_detected_in_once() -> None:
    calls = []

    def detect(images):
        calls.extend(images)
        return [make_detections() for _ in images]

    assert (
        len(detect_in_tiles(BoxSource("fake", "", (), 9, detect), _draw([], 90, 60), Tiling(SIDE_PX), _any_score)) == 0
    )
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("values", "problem"),
    [((10,), r"--tiles 10: expected at least 64"), ((100, 0.95), r"--overlap 0\.95: expected a fraction")],
    ids=["size", "overlap"],
)
def test_values_out_of_range_are_refused(values: tuple[float, ...], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        Tiling(*values)
