import json
from pathlib import Path

import pytest

from reefline.curation.convert.kinds import DataFormat
from reefline.curation.convert.reading import detect_format, read_any_format
from reefline.data.image_record import EVAL, TRAIN
from reefline.errors import DataError
from reefline.structures.boxes import BoxXyxyPx
from tests.factories import make_jpeg, make_xml

COCO = {
    "images": [{"id": 7, "file_name": "a.jpg", "width": 64, "height": 48}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [4, 5, 10, 20], "segmentation": [[1, 2, 3, 4, 5, 6]]}
    ],
    "categories": [{"id": 9, "name": "dog"}, {"id": 3, "name": "cat"}],
}
TASK = {
    "data": {"image": "/data/upload/1/0a1b2c3d-a.jpg"},
    "annotations": [
        {
            "result": [
                {
                    "type": "rectanglelabels",
                    "original_width": 64,
                    "original_height": 48,
                    "value": {"x": 25, "y": 50, "width": 50, "height": 25, "rotation": 0, "rectanglelabels": ["cat"]},
                }
            ]
        }
    ],
}
MINIMAL_TASK = {
    "image": "/data/upload/1/0a1b2c3d-a.jpg",
    "label": [
        {
            "x": 25,
            "y": 50,
            "width": 50,
            "height": 25,
            "rectanglelabels": ["cat"],
            "original_width": 64,
            "original_height": 48,
        }
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(make_jpeg())
    return tmp_path


def _boxes(source: Path) -> list[tuple[str, BoxXyxyPx]]:
    image = read_any_format(source).labelled.images[0]
    return [(item.label, item.box_xyxy_px) for item in image.annotation.objects]


def test_coco_classes_come_by_id_and_masks_are_counted(folder: Path) -> None:
    (folder / "labels.json").write_text(json.dumps(COCO))
    data = read_any_format(folder)
    assert data.labelled.names == ("cat", "dog")
    assert _boxes(folder / "labels.json") == [("cat", BoxXyxyPx(4, 5, 14, 25))]
    assert data.labelled.problems == (
        f"{folder / 'labels.json'}: 1 segmentation masks are left out: only boxes are converted",
    )


def test_roboflow_exports_have_a_folder_per_split(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "valid")):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.jpg").write_bytes(make_jpeg(seed))
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(COCO))
    data = read_any_format(tmp_path)
    assert data.paths == ("train/a.jpg", "valid/a.jpg")
    assert [image.split for image in data.labelled.images] == [TRAIN, EVAL]


def test_roboflow_yolo_exports_have_paths_that_lead_elsewhere(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "valid")):
        for name in ("images", "labels"):
            (tmp_path / split / name).mkdir(parents=True)
        (tmp_path / split / "images" / "a.jpg").write_bytes(make_jpeg(seed))
        (tmp_path / split / "labels" / "a.txt").write_text("1 0.5 0.5 0.25 0.5\n")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['dog', 'cat']\n")
    data = read_any_format(tmp_path)
    assert [image.split for image in data.labelled.images] == [TRAIN, EVAL]
    assert data.labelled.images[0].annotation.objects[0].box_xyxy_px == BoxXyxyPx(24, 12, 40, 36)
    assert data.labelled.names == ("dog", "cat")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("2 0.5 0.5 0.1 0.1", "class 2 is not one of the 2 classes"),
        ("-1 0.5 0.5 0.1 0.1", "class -1 is not one of the 2 classes"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5 is not one of"),
        ("0 0.5 0.5 0.1", "expected a class and 4 numbers, found 4"),
        ("0 0.5 0.5 nan 0.1", "expected finite numbers"),
        ("cat 0.5 0.5 0.1 0.1", "expected numbers only"),
    ],
    ids=["high class", "negative class", "half a class", "too few", "nan", "a word"],
)
def test_a_bad_yolo_line_is_named(folder: Path, line: str, problem: str) -> None:
    (folder / "classes.txt").write_text("dog\ncat\n")
    (folder / "a.txt").write_text(f"1 0.5 0.5 0.25 0.5\n{line}\n")
    data = read_any_format(folder)
    assert len(data.labelled.images[0].annotation.objects) == 1
    assert data.labelled.problems[0].startswith(f"{folder / 'a.txt'}:2: {problem}")


def test_a_yolo_polygon_becomes_its_bounding_box(folder: Path) -> None:
    (folder / "classes.txt").write_text("dog\n")
    (folder / "a.txt").write_text("0 0.25 0.5 0.75 0.5 0.5 1.0\n")
    assert _boxes(folder) == [("dog", BoxXyxyPx(16, 24, 48, 48))]


@pytest.mark.parametrize("tasks", [[TASK], [MINIMAL_TASK]], ids=["JSON", "JSON-MIN"])
def test_label_studio_percent_become_pixels(folder: Path, tasks: list[object]) -> None:
    (folder / "export.json").write_text(json.dumps(tasks))
    assert _boxes(folder) == [("cat", BoxXyxyPx(16, 24, 48, 36))]


def test_a_rotated_rectangle_becomes_the_upright_box_around_it(folder: Path) -> None:
    task = json.loads(json.dumps(TASK))
    task["annotations"][0]["result"][0]["value"]["rotation"] = 90
    (folder / "export.json").write_text(json.dumps([task]))
    [(_, box)] = _boxes(folder)
    assert box == pytest.approx(BoxXyxyPx(4, 24, 16, 56))


def test_a_task_without_annotations_is_not_an_empty_image(folder: Path) -> None:
    (folder / "b.jpg").write_bytes(make_jpeg(1))
    waiting = {"data": {"image": "b.jpg"}, "annotations": [], "predictions": []}
    (folder / "export.json").write_text(json.dumps([TASK, waiting]))
    data = read_any_format(folder)
    assert data.paths == ("a.jpg",)
    assert data.labelled.problems == ("b.jpg: nobody annotated it; it is left out",)


def test_cvat_polygons_and_rotations_become_boxes(folder: Path) -> None:
    (folder / "annotations.xml").write_text(
        '<annotations><version>1.1</version><image id="0" name="x/a.jpg" width="64" height="48" subset="Train">'
        '<box label="cat" xtl="10" ytl="10" xbr="20" ybr="40" rotation="90"/>'
        '<polygon label="dog" points="1,2;30,4;5,40"/><points label="dog" points="1,2"/></image></annotations>'
    )
    data = read_any_format(folder)
    assert [item.label for item in data.labelled.images[0].annotation.objects] == ["cat", "dog"]
    first, second = (item.box_xyxy_px for item in data.labelled.images[0].annotation.objects)
    assert first == pytest.approx(BoxXyxyPx(0, 20, 30, 30))
    assert second == BoxXyxyPx(1, 2, 30, 40)
    assert data.labelled.problems == (f"{folder / 'annotations.xml'}: x/a.jpg: a points without a box is left out",)
    assert data.labelled.images[0].split == TRAIN


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "no annotations of a known format"),
        ("a.json", "[]", "no annotations of a known format"),
        ("a.json", "[" * 100_000, "no annotations of a known format"),
        ("a.txt", "", r"expected a folder, a \.json file"),
    ],
    ids=["cut", "empty", "deep", "other file"],
)
def test_what_is_no_format_is_refused(folder: Path, name: str, content: str, message: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=message):
        detect_format(folder / name)


def test_names_never_reach_files_outside(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "b.jpg").write_bytes(make_jpeg(1))
    coco = json.loads(json.dumps(COCO))
    coco["images"][0]["file_name"] = "../a.jpg"
    (folder / "inner" / "labels.json").write_text(json.dumps(coco))
    with pytest.raises(DataError, match=r"\.\./a\.jpg: no such image in"):
        read_any_format(folder / "inner")


def test_a_voc_folder_is_found_last(folder: Path) -> None:
    (folder / "a.xml").write_bytes(make_xml())
    assert detect_format(folder) is DataFormat.VOC


def test_entities_in_cvat_files_are_refused(folder: Path) -> None:
    (folder / "a.xml").write_text('<!DOCTYPE a [<!ENTITY x "y">]><annotations>&x;</annotations>')
    with pytest.raises(DataError, match="declares an entity"):
        read_any_format(folder, format=DataFormat.CVAT)


def test_a_split_never_names_a_folder_elsewhere(folder: Path) -> None:
    (folder / "annotations.xml").write_text(
        '<annotations><image id="0" name="a.jpg" subset="../../evil"><box label="cat" xtl="1" ytl="1" xbr="9" ybr="9"/>'
        "</image></annotations>"
    )
    data = read_any_format(folder)
    assert data.labelled.images[0].split == ""
    assert "the subset '../../evil' is none of train, val and test" in data.labelled.problems[0]


def test_classes_txt_next_to_voc_annotations_is_voc(folder: Path) -> None:
    (folder / "a.xml").write_bytes(make_xml())
    (folder / "classes.txt").write_text("cat\n")
    assert detect_format(folder) is DataFormat.VOC


def test_crowds_are_difficult_and_roboflow_s_group_is_no_class(folder: Path) -> None:
    coco = json.loads(json.dumps(COCO))
    coco["annotations"][0]["iscrowd"] = 1
    coco["categories"] = [{"id": 0, "name": "pets"}, {"id": 3, "name": "cat", "supercategory": "pets"}]
    (folder / "labels.json").write_text(json.dumps(coco))
    data = read_any_format(folder)
    assert data.labelled.names == ("cat",)
    assert data.labelled.images[0].annotation.objects[0].difficult
    assert "1 boxes of crowds are marked difficult" in data.labelled.problems[0]


def test_one_file_of_coco_s_layout_finds_its_images(folder: Path) -> None:
    for name in ("annotations", "images"):
        (folder / name).mkdir()
    (folder / "a.jpg").rename(folder / "images" / "a.jpg")
    (folder / "annotations" / "instances_val.json").write_text(json.dumps(COCO))
    data = read_any_format(folder / "annotations" / "instances_val.json")
    assert data.paths == ("images/a.jpg",)
    assert data.labelled.images[0].split == EVAL


def test_data_yaml_stands_for_its_folder(folder: Path) -> None:
    (folder / "data.yaml").write_text("names: [dog]\n")
    (folder / "a.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    assert read_any_format(folder / "data.yaml").format is DataFormat.YOLO
