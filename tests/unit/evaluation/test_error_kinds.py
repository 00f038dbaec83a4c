from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from reefline.evaluation.coco_metrics import compute_metrics
from reefline.evaluation.error_kinds import DetectionError, ErrorKind, cost_of_errors, find_errors
from reefline.structures.boxes import BoxXyxyPx
from tests.factories_evaluation import make_random_images, make_scored_image

BOX = (0, 0, 10, 10)
AWAY = (50, 50, 60, 60)
# IoUs of 0.4 and 0.05 with BOX.
LOOSE = (0, 0, 10, 4)
GRAZING = (0, 0, 10, 0.5)


@pytest.mark.parametrize(
    ("truth", "seen", "kinds"),
    [
        pytest.param([(*BOX, 0)], [(*BOX, 0, 0.9)], [], id="correct"),
        pytest.param([(*BOX, 0)], [(0, 0, 10, 5, 0, 0.9)], [], id="exactly-half"),
        pytest.param([(*BOX, 0)], [(*BOX, 1, 0.9)], ["classification"], id="classification"),
        pytest.param([(*BOX, 0)], [(*LOOSE, 0, 0.9)], ["localisation"], id="localisation"),
        pytest.param([(*BOX, 0)], [(*LOOSE, 1, 0.9)], ["both", "missed"], id="both"),
        pytest.param([(*BOX, 0)], [(*BOX, 0, 0.9), (*BOX, 0, 0.8)], ["duplicate"], id="duplicate"),
        pytest.param([(*BOX, 0)], [(*AWAY, 0, 0.9)], ["background", "missed"], id="background"),
        pytest.param([(*BOX, 0)], [(*GRAZING, 0, 0.9)], ["background", "missed"], id="almost-background"),
        pytest.param([(*BOX, 0)], [(0, 0, 10, 1, 0, 0.9)], ["localisation"], id="exactly-a-tenth"),
        pytest.param([(*BOX, 0)], [(0, 0, 10, 1, 1, 0.9)], ["background", "missed"], id="a-tenth-of-another-class"),
        pytest.param([], [(*BOX, 0, 0.9)], ["background"], id="nothing-to-find"),
        pytest.param([(*BOX, 0)], [], ["missed"], id="nothing-detected"),
        pytest.param([], [], [], id="nothing"),
        pytest.param(
            [(*BOX, 0), (*LOOSE, 1)],
            [(*LOOSE, 0, 0.9), (*LOOSE, 1, 0.8)],
            ["localisation"],
            id="localisation-before-classification",
        ),
        pytest.param(
            [(*BOX, 0), (*BOX, 1)],
            [(*BOX, 0, 0.9), (*BOX, 0, 0.8)],
            ["classification"],
            id="classification-before-duplicate",
        ),
    ],
)
def test_kinds(truth, seen, kinds):
    errors = find_errors([make_scored_image(truth, seen)])

    assert [error.kind.value for error in errors] == kinds


def test_facts_of_errors():
    image = make_scored_image([(*BOX, 0), (*AWAY, 1)], [(*LOOSE, 0, 0.7), (80, 80, 90, 90, 1, 0.6)])

    assert find_errors([make_scored_image(), image]) == (
        DetectionError(1, ErrorKind.LOCALISATION, 0, 0, 0.7, pytest.approx(0.4), BoxXyxyPx(*LOOSE), BoxXyxyPx(*BOX)),
        DetectionError(1, ErrorKind.BACKGROUND, None, 1, 0.6, 0.0, BoxXyxyPx(80, 80, 90, 90), None),
        DetectionError(1, ErrorKind.MISSED, 1, None, None, None, None, BoxXyxyPx(*AWAY)),
    )


def test_min_scores_leave_detections_out():
    image = make_scored_image([(*BOX, 0), (*AWAY, 1)], [(*BOX, 0, 0.4), (*BOX, 1, 0.6), (*AWAY, 1, 0.8)])

    errors = find_errors([image], min_scores=(0.5, 0.7))

    assert [(error.kind, error.truth_class) for error in errors] == [(ErrorKind.MISSED, 0)]


@pytest.mark.parametrize(
    ("truth", "seen", "costs"),
    [
        pytest.param([(*BOX, 0)], [(*BOX, 0, 0.9)], {}, id="nothing-wrong"),
        pytest.param([(*BOX, 0)], [(*LOOSE, 0, 0.9)], {"localisation": 1.0}, id="localisation"),
        # The mean over two classes: the object of class 0 is missing, AP of class 1 is 1/2 with the wrong one first.
        pytest.param(
            [(*BOX, 0), (*AWAY, 1)],
            [(*BOX, 1, 0.9), (*AWAY, 1, 0.8)],
            {"classification": 0.75},
            id="classification",
        ),
        pytest.param(
            [(*BOX, 0), (*AWAY, 0)],
            [(*BOX, 0, 0.9), (*BOX, 0, 0.8), (*AWAY, 0, 0.7)],
            # 51 recall points at 1, 50 at 2/3.
            {"duplicate": 1 - (51 + 50 * 2 / 3) / 101},
            id="duplicate",
        ),
        pytest.param([(*BOX, 0)], [(*AWAY, 0, 0.9), (*BOX, 0, 0.8)], {"background": 0.5}, id="background"),
        pytest.param([(*BOX, 0), (*AWAY, 0)], [(*BOX, 0, 0.9)], {"missed": 1 - 51 / 101}, id="missed"),
        pytest.param([(*BOX, 0)], [], {"missed": 1.0}, id="nothing-detected"),
        pytest.param([], [(*BOX, 0, 0.9)], {}, id="no-ground-truth"),
        pytest.param(
            [(*BOX, 0)],
            [(*LOOSE, 0, 0.9), (*BOX, 0, 0.8)],
            {"localisation": 0.5},
            id="found-already",
        ),
        pytest.param([(*BOX, 0)], [(*LOOSE, 0, 0.9), (*LOOSE, 0, 0.8)], {"localisation": 1.0}, id="two-of-one-object"),
    ],
)
def test_costs_by_hand(truth, seen, costs):
    found = cost_of_errors([make_scored_image(truth, seen)], 2)

    assert {kind.value: cost for kind, cost in found.items() if cost} == pytest.approx(costs)
    assert list(found) == list(ErrorKind)


def test_no_image():
    assert find_errors([]) == ()
    assert set(cost_of_errors([], 2).values()) == {0.0}


@pytest.mark.parametrize("seed", range(6))
def test_kinds_and_costs_are_those_of_a_slow_implementation(seed):
    images = make_random_images(seed)

    errors, costs = find_errors(images), cost_of_errors(images, 3)

    slow = SlowTide(images, 3)
    assert sorted((e.image_index, e.kind.value, e.score or 0, e.detected_class) for e in errors if e.box) == sorted(
        (row.image, row.kind, row.score, row.label) for row in slow.rows if row.kind
    )
    missed = [(error.image_index, error.truth_box, error.truth_class) for error in errors if not error.box]
    assert missed == [(one.image, one.box, one.label) for one in slow.objects if one.is_missed]
    assert {error.kind for error in errors} == set(ErrorKind)
    assert slow.map_50("") == pytest.approx(compute_metrics(images, ("cat", "dog", "fox")).map_50, abs=1e-9)
    for kind, cost in costs.items():
        assert cost == pytest.approx(slow.map_50(kind.value) - slow.map_50(""), abs=1e-9)
        assert cost > 0


@dataclass(eq=False)
class Thing:
    """An object."""

    image: int
    box: tuple[float, ...]
    label: int
    is_found: bool = False
    is_missed: bool = False


@dataclass(eq=False)
class Row:
    """A detection; `thing` is the object that fixing it would find."""

    image: int
    box: tuple[float, ...]
    label: int
    score: float
    kind: str = ""
    thing: Thing | None = None


class SlowTide:
    """The paper's definitions, one pair at a time."""

    def __init__(self, images, class_count: int) -> None:
        self.class_count, self.rows, self.objects = class_count, [], []
        for number, image in enumerate(images):
            truth, seen = image.ground_truth, image.detections
            things = [
                Thing(number, tuple(box), label)
                for box, label in zip(truth.boxes_xyxy_px.tolist(), truth.class_indices.tolist(), strict=True)
            ]
            columns = (seen.boxes_xyxy_px.tolist(), seen.class_indices.tolist(), seen.scores.tolist())
            rows = [Row(number, tuple(box), label, score) for box, label, score in zip(*columns, strict=True)]
            rows.sort(key=lambda row: -row.score)
            for row in rows:
                self._match(row, things)
            for row in rows:
                self._judge(row, things)
            for thing in things:
                fixable = [row for row in rows if row.thing is thing and row.kind in ("classification", "localisation")]
                thing.is_missed = not thing.is_found and not fixable
            self.rows += rows
            self.objects += things

    def _match(self, row: Row, things: list[Thing]) -> None:
        free = [thing for thing in things if thing.label == row.label and not thing.is_found]
        best = best_of(row, free)
        row.kind = "unknown"
        if overlap(row, best) >= 0.5:
            best.is_found, row.kind, row.thing = True, "", best

    def _judge(self, row: Row, things: list[Thing]) -> None:
        if not row.kind:
            return
        same = first_best_of(row, [thing for thing in things if thing.label == row.label])
        other = first_best_of(row, [thing for thing in things if thing.label != row.label])
        nearest = max(overlap(row, same), overlap(row, other))
        if 0.1 <= overlap(row, same) < 0.5:
            row.kind, row.thing = "localisation", same
        elif overlap(row, other) >= 0.5:
            row.kind, row.thing = "classification", other
        elif overlap(row, same) >= 0.5:
            row.kind = "duplicate"
        else:
            row.kind = "background" if nearest <= 0.1 else "both"

    def map_50(self, fixed: str) -> float:
        """Return mAP_50 after all errors of a kind are fixed; "" fixes none."""
        taken: set[Thing] = set()
        hits = []
        for row in sorted(self.rows, key=lambda row: -row.score):
            if row.kind != fixed or not fixed:
                hits.append((row.label, row.kind == ""))
            elif fixed in ("localisation", "classification") and not row.thing.is_found and row.thing not in taken:
                taken.add(row.thing)
                hits.append((row.thing.label, True))
        kept = [thing for thing in self.objects if not (fixed == "missed" and thing.is_missed)]
        labels = sorted({thing.label for thing in kept})
        precisions = [
            average_precision(
                [is_hit for label, is_hit in hits if label == wanted], sum(thing.label == wanted for thing in kept)
            )
            for wanted in labels
        ]
        return sum(precisions) / len(precisions)


def average_precision(hits: list[bool], total: int) -> float:
    points = [(sum(hits[:end]) / total, sum(hits[:end]) / end) for end in range(1, len(hits) + 1)]
    # numpy's numbers: COCO compares exactly, and np.linspace's 0.35 is above 35 / 100.
    best = [max((p for recall, p in points if recall >= step), default=0.0) for step in np.linspace(0, 1, 101)]
    return sum(best) / len(best)


def best_of(row: Row, things: list[Thing]) -> Thing | None:
    """Return the object with the highest IoU; COCO's matching gives the last of equals."""
    return max(enumerate(things), key=lambda pair: (overlap(row, pair[1]), pair[0]), default=(0, None))[1]


def first_best_of(row: Row, things: list[Thing]) -> Thing | None:
    return max(things, key=lambda thing: overlap(row, thing), default=None)


def overlap(row: Row, thing: Thing | None) -> float:
    if thing is None:
        return 0.0
    width, height = (min(row.box[i + 2], thing.box[i + 2]) - max(row.box[i], thing.box[i]) for i in (0, 1))
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (row.box, thing.box)]
    return shared / (sum(areas) - shared)
