from __future__ import annotations

from dataclasses import replace

import pytest

from reefline.structures.convolution_graph import BOXES, SCORES, ConvolutionNode, connect, match_convolutions


def conv(*sources: int, shape: tuple[int, int, int, int] = (1, 1, 8, 8), stride: int = 1) -> ConvolutionNode:
    return ConvolutionNode(is_depthwise=False, kernel_shape=shape, stride=stride, sources=sources)


def make_detector(slots: int = 3) -> tuple[ConvolutionNode, ...]:
    """A stem, two branches of equal shape that meet in a head for boxes and one for scores."""
    nodes = [
        conv(shape=(3, 3, 3, 8), stride=2),
        conv(0),
        conv(0),
        conv(1, 2, shape=(1, 1, 8, 4)),
        conv(2, 1, shape=(1, 1, 8, 4 * slots)),
    ]
    return connect(nodes, {BOXES: [3], SCORES: [4]})


def make_towers() -> tuple[ConvolutionNode, ...]:
    """Two towers of equal shape: one for boxes, one for scores."""
    nodes = [conv(shape=(3, 3, 3, 8)), conv(0), conv(0), conv(1, shape=(1, 1, 8, 4)), conv(2, shape=(1, 1, 8, 4))]
    return connect(nodes, {BOXES: [3], SCORES: [4]})


def test_connecting_names_the_outputs_that_each_convolution_leads_to() -> None:
    towers = make_towers()
    assert [sorted(node.results) for node in towers] == [
        [BOXES, SCORES],
        [BOXES],
        [SCORES],
        [BOXES],
        [SCORES],
    ]
    assert [node.is_head for node in towers] == [False, False, False, True, True]
    assert [node.is_class_head for node in towers] == [False, False, False, False, True]


def test_another_order_of_the_same_network_matches() -> None:
    towers = make_towers()
    nodes = [towers[0], towers[2], towers[1], replace(towers[4], sources=(1,)), replace(towers[3], sources=(2,))]
    assert match_convolutions(towers, nodes) == {0: 0, 1: 2, 2: 1, 3: 4, 4: 3}


def test_the_number_of_classes_does_not_count() -> None:
    assert match_convolutions(make_detector(3), make_detector(91)) == {at: at for at in range(5)}


@pytest.mark.parametrize(
    ("position", "change", "matched"),
    [
        pytest.param(0, {"stride": 1}, set(), id="stem-stride-breaks-everything-after-it"),
        pytest.param(1, {"kernel_shape": (3, 3, 8, 8)}, {0, 1}, id="one-branch-keeps-the-other"),
        pytest.param(3, {"kernel_shape": (1, 1, 8, 16)}, {0, 1, 2, 4}, id="box-head-channels-count"),
        pytest.param(4, {"is_depthwise": True}, {0, 1, 2, 3}, id="kind"),
    ],
)
def test_only_what_is_equal_up_to_the_image_matches(position: int, change: dict, matched: set[int]) -> None:
    other = list(make_detector())
    other[position] = replace(other[position], **change)
    assert set(match_convolutions(make_detector(), other)) == matched


def test_a_classifier_gives_the_backbone_of_a_detector() -> None:
    detector = make_detector()
    classifier = [replace(node, results=frozenset(), is_head=False) for node in detector[:3]]
    assert match_convolutions(detector, classifier) == {}
    assert match_convolutions(detector, classifier, ignore_results=True) == {0: 0, 1: 1, 2: 2}
