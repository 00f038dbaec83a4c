"""Every format is written from one data set and read back: boxes, splits, classes and what the format can hold."""

from pathlib import Path

import pytest

from reefline.curation.convert.kinds import DataFormat
from reefline.curation.convert.reading import ReadData, read_any_format
from reefline.curation.convert.writing import describe_losses, write_format
from reefline.data.image_record import EVAL, TEST, TRAIN
from reefline.od_api.label_map_file import write_label_map
from reefline.structures.annotation import AnnotatedObject
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.image_origin import append_origins, read_origins
from reefline.structures.label_map import LabelMap
from tests.factories import make_jpeg, make_xml
from tests.factories_acquisition import make_origin

# Not in the order of the alphabet, and one that no box has.
NAMES = ("zebra", "ant & <bee>", "猫", "unused")
OBJECTS = {
    "a": (
        AnnotatedObject("zebra", BoxXyxyPx(0, 0, 64, 48)),
        AnnotatedObject("猫", BoxXyxyPx(1.25, 2.5, 33.125, 40.0625), difficult=True, truncated=True, pose="Left"),
    ),
    "b": (AnnotatedObject("ant & <bee>", BoxXyxyPx(10.1, 11.2, 12.3, 13.4), score=0.8125),),
    "c": (),
}
SPLITS = {"a": TRAIN, "b": EVAL, "c": TEST}


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    root = tmp_path / "voc"
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for seed, (stem, objects) in enumerate(OBJECTS.items()):
        (root / "JPEGImages" / f"{stem}.jpg").write_bytes(make_jpeg(seed))
        (root / "Annotations" / f"{stem}.xml").write_bytes(make_xml(objects, filename=f"{stem}.jpg"))
    for name, stem in (("train", "a"), ("val", "b"), ("test", "c")):
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(f"{stem}\n")
    write_label_map(root / "label_map.pbtxt", LabelMap(NAMES))
    return root


def _convert(source: Path, target: DataFormat, out: Path) -> ReadData:
    write_format(read_any_format(source), target, out)
    return read_any_format(out)


@pytest.mark.parametrize("target", DataFormat, ids=lambda each: each.value)
def test_boxes_splits_and_class_order_survive(voc: Path, tmp_path: Path, target: DataFormat) -> None:
    there = _convert(voc, target, tmp_path / "there")
    assert there.format is target
    back = _convert(tmp_path / "there", DataFormat.VOC, tmp_path / "back")
    assert back.labelled.problems == ()
    assert back.labelled.names == NAMES
    assert {Path(path).stem for path in back.paths} == set(OBJECTS)
    for path, image in zip(back.paths, back.labelled.images, strict=True):
        stem = Path(path).stem
        assert image.split == SPLITS[stem]
        assert (back.root / path).read_bytes() == (voc / "JPEGImages" / f"{stem}.jpg").read_bytes()
        for found, expected in zip(image.annotation.objects, OBJECTS[stem], strict=True):
            assert found.label == expected.label
            assert found.box_xyxy_px == pytest.approx(expected.box_xyxy_px, rel=1e-6)


@pytest.mark.parametrize("target", [DataFormat.VOC, DataFormat.COCO, DataFormat.CVAT], ids=lambda each: each.value)
def test_flags_and_scores_survive_where_the_format_has_a_place(voc: Path, tmp_path: Path, target: DataFormat) -> None:
    _convert(voc, target, tmp_path / "there")
    back = _convert(tmp_path / "there", DataFormat.VOC, tmp_path / "back")
    objects = {
        Path(path).stem: image.annotation.objects for path, image in zip(back.paths, back.labelled.images, strict=True)
    }
    assert [(item.difficult, item.truncated, item.pose) for item in objects["a"]] == [
        (False, False, "Unspecified"),
        (True, True, "Left"),
    ]
    assert objects["b"][0].score == 0.8125
    assert describe_losses(read_any_format(voc).labelled.images, target) == []


def test_what_yolo_cannot_hold_is_counted(voc: Path) -> None:
    images = read_any_format(voc).labelled.images
    assert describe_losses(images, DataFormat.YOLO) == [
        "yolo has no place for 1 difficult flags; they are left out",
        "yolo has no place for 1 truncated flags; they are left out",
        "yolo has no place for 1 poses; they are left out",
        "yolo has no place for 1 scores; they are left out",
    ]


def test_yolo_without_a_val_split_is_told(voc: Path) -> None:
    images = [image for image in read_any_format(voc).labelled.images if image.split == TRAIN]
    assert any(line.startswith("no val split") for line in describe_losses(images, DataFormat.YOLO))


def test_origins_of_downloaded_images_are_copied(voc: Path, tmp_path: Path) -> None:
    append_origins(voc / "JPEGImages", [make_origin("a.jpg", license="CC0 1.0")])
    _convert(voc, DataFormat.COCO, tmp_path / "out")
    assert [(each.file, each.license) for each in read_origins(tmp_path / "out")] == [("images/a.jpg", "CC0 1.0")]


def test_equal_names_in_several_folders_stay_apart(tmp_path: Path) -> None:
    for number, folder in enumerate(("x", "y")):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "a.jpg").write_bytes(make_jpeg(number))
        (tmp_path / "in" / folder / "a.xml").write_bytes(make_xml())
    there = _convert(tmp_path / "in", DataFormat.VOC, tmp_path / "out")
    assert there.paths == ("JPEGImages/x_a.jpg", "JPEGImages/y_a.jpg")
    assert (tmp_path / "out" / "JPEGImages" / "y_a.jpg").read_bytes() == make_jpeg(1)
