"""Several interpreters at a time, with results in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reefline.bundle.checking import verify_bundle
from reefline.errors import DataError
from reefline.inference.detect.detect_objects import detect_objects
from reefline.inference.detect.in_order import run_in_order
from reefline.inference.detect.records import DetectRequest, Device
from reefline.inference.detect.runtime import LoadedModel, load_models
from tests.factories import encode_image
from tests.factories_detect import push_small_bundle
from tests.factories_evaluation import make_image


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return push_small_bundle(tmp_path_factory.mktemp("pushed"))


@pytest.fixture(scope="module")
def models(bundle: Path) -> tuple[LoadedModel, ...]:
    return load_models(bundle, verify_bundle(bundle), Device.CPU, 2)


def test_both_models_work_at_a_time_and_results_keep_their_order(models: tuple[LoadedModel, ...]) -> None:
    both = threading.Barrier(2, timeout=60)
    used = []

    def work(model: LoadedModel, item: int) -> int:
        both.wait()
        used.append(model)
        return item * item

    assert list(run_in_order(models, work, range(10))) == [item * item for item in range(10)]
    assert used.count(models[0]) == used.count(models[1]) == 5


@pytest.mark.parametrize("count", [1, 2], ids=["one", "two"])
def test_errors_come_at_their_turn(models: tuple[LoadedModel, ...], count: int) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise DataError("the source broke")

    found: list[int] = []
    with pytest.raises(DataError, match="the source broke"):
        found.extend(run_in_order(models[:count], lambda _, item: item, items()))
    assert found == [0, 1, 2]
    results = run_in_order(models[:count], lambda _, item: 6 // item, [3, 2, 0, 1])
    assert (next(results), next(results)) == (2, 3)
    with pytest.raises(ZeroDivisionError, match="integer division"):
        next(results)


def test_detect_gives_the_same_report_with_two(bundle: Path, tmp_path: Path) -> None:
    colours = ("red", "green", "black")
    for number, (left, right) in enumerate((a, b) for a in colours for b in colours):
        (tmp_path / f"{number}.png").write_bytes(encode_image(make_image(left, right), "PNG"))
    (tmp_path / "5.png").write_bytes(b"broken")
    reports = [
        detect_objects(DetectRequest(bundle, (tmp_path,), tmp_path / f"out-{count}", interpreters=count))
        for count in (1, 2)
    ]
    shown = [[(image.image, image.objects) for image in report.images] for report in reports]
    assert shown[0] == shown[1] and len(shown[0]) == 8
    assert reports[0].problems == reports[1].problems and len(reports[0].problems) == 1
    pictures = [sorted(path.read_bytes() for path in (tmp_path / f"out-{n}").glob("*.png")) for n in (1, 2)]
    assert pictures[0] == pictures[1] and len(pictures[0]) == 8
