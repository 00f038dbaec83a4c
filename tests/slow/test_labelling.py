"""A model that was trained on part of a data set labels the rest, and a pipeline trains on those labels."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reefline.data.demo import DEMO_CLASSES, IMAGE_SIZE_PX, draw_demo_image, generate_demo_data
from reefline.data.walking import IGNORE_FILE
from reefline.evaluation.matching import match_images
from reefline.formats.voc import parse_voc_annotation
from reefline.labelling.autolabel import autolabel
from reefline.labelling.opening import open_box_source
from reefline.labelling.records import AutolabelRequest
from reefline.labelling.tiles import Tiling, detect_in_tiles
from reefline.structures.annotation import AnnotatedObject
from reefline.structures.detections import Detections
from tests.factories_evaluation import make_scored_image
from tests.factories_runs import QUICK, run_pipeline

pytestmark = pytest.mark.slow
CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
IMAGES, TRAINED_ON = 280, 220


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "all"
    generate_demo_data(folder, images=IMAGES, seed=5)
    return folder


@pytest.fixture(scope="module")
def bundle(truth: Path) -> Path:
    """Train on the first images, and return the bundle."""
    part, workspace = truth.parent / "part", truth.parent / "ws"
    for folder in ("JPEGImages", "Annotations"):
        (part / folder).mkdir(parents=True)
        for path in sorted((truth / folder).iterdir())[:TRAINED_ON]:
            shutil.copyfile(path, part / folder / path.name)
    run = run_pipeline(workspace, "--config", CONFIG, "--data", part, settings={"gate.min_map": 0.25})
    assert run.exit_code == 0, run.out
    return workspace / "serving" / "demo" / "1"


@pytest.fixture(scope="module")
def labelled(truth: Path, bundle: Path) -> Path:
    """Label the other images."""
    plain, out = truth.parent / "plain", truth.parent / "labelled"
    plain.mkdir()
    for path in sorted((truth / "JPEGImages").iterdir())[TRAINED_ON:]:
        shutil.copyfile(path, plain / path.name)
    autolabel(AutolabelRequest(plain, out, str(bundle)))
    # As after a review in which everything was right.
    (out / "review" / IGNORE_FILE).unlink()
    return out


def test_found_boxes_fit_their_objects(truth: Path, labelled: Path) -> None:
    annotations = {path.name: parse_voc_annotation(path.read_bytes()) for path in labelled.rglob("*.xml")}
    ious: list[float] = []
    objects = wrong = 0
    for path in sorted((truth / "Annotations").iterdir())[TRAINED_ON:]:
        found = annotations[path.name].objects if path.name in annotations else ()
        true = parse_voc_annotation(path.read_bytes()).objects
        (match,) = match_images([make_scored_image(_rows(true), [(*row, 1.0) for row in _rows(found)])])
        ious += [match.ious[row, index] for row, index in enumerate(match.found.tolist()) if index >= 0]
        wrong += int((match.found < 0).sum())
        objects += len(true)
    print(f"recall {len(ious) / objects:.3f}, wrong {wrong}, mean IoU {np.mean(ious):.3f}")
    assert np.mean(ious) >= 0.7
    assert len(ious) / objects >= 0.8
    assert wrong / objects <= 0.2


def test_tiles_find_what_a_large_image_shrinks_away(bundle: Path) -> None:
    source = open_box_source(str(bundle))
    mosaic, objects = _draw_mosaic()

    def count_found(detections: Detections) -> int:
        rows = [
            (*box, int(index), float(score))
            for box, index, score in zip(
                detections.boxes_xyxy_px.tolist(), detections.class_indices, detections.scores, strict=True
            )
            if score >= 0.5
        ]
        (match,) = match_images([make_scored_image(objects, rows)])
        return int((match.found >= 0).sum())

    tiled = detect_in_tiles(source, mosaic, Tiling(IMAGE_SIZE_PX), lambda _: 0.5)
    assert count_found(source.detect_all([mosaic])[0]) <= 0.3 * len(objects)
    assert count_found(tiled) >= 0.8 * len(objects)
    assert len(tiled) <= 1.2 * len(objects)


def test_a_pipeline_trains_on_the_labels(labelled: Path, tmp_path: Path) -> None:
    settings = {name: value for name, value in QUICK.items() if name != "demo.images"}
    run = run_pipeline(tmp_path / "ws", "--config", CONFIG, "--data", labelled, settings=settings)
    assert run.exit_code == 0, run.out
    images = sum(split["images"] for split in run.summary["data"]["splits"].values())
    assert images == len(list(labelled.rglob("*.xml"))) > 0.9 * (IMAGES - TRAINED_ON)


def _draw_mosaic() -> tuple[np.ndarray, list[tuple[float, ...]]]:
    """Return 4 x 4 generated images as one, and the rows of its objects."""
    mosaic = Image.new("RGB", (4 * IMAGE_SIZE_PX, 4 * IMAGE_SIZE_PX))
    rows = []
    for number in range(16):
        jpeg, objects = draw_demo_image(99, number)
        x, y = number % 4 * IMAGE_SIZE_PX, number // 4 * IMAGE_SIZE_PX
        mosaic.paste(Image.open(io.BytesIO(jpeg)), (x, y))
        for item, row in zip(objects, _rows(objects), strict=True):
            box = item.box_xyxy_px
            rows.append((box.x_min + x, box.y_min + y, box.x_max + x, box.y_max + y, row[-1]))
    return np.asarray(mosaic), rows


def _rows(objects: tuple[AnnotatedObject, ...]) -> list[tuple[float, ...]]:
    return [(*item.box_xyxy_px, DEMO_CLASSES.index(item.label)) for item in objects]
