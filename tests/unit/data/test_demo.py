from __future__ import annotations

import json
from pathlib import Path

import pytest

from reefline.data.demo import DEMO_CLASSES, IMAGE_SIZE_PX, draw_demo_image, generate_demo_data
from reefline.data.layouts import list_data_files
from reefline.data.matching import discover
from reefline.errors import DataError
from reefline.formats.voc import parse_voc_annotation
from reefline.images.codec import inspect_image


def _contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_equal_seeds_give_equal_data_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        generate_demo_data(tmp_path / name, images=6, seed=seed)
    one, two, three = (_contents(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert one["JPEGImages/demo_00000.jpg"] != three["JPEGImages/demo_00000.jpg"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_data_are_a_good_voc_data_set(tmp_path: Path) -> None:
    generate_demo_data(tmp_path / "demo", images=12)
    discovery = discover(tmp_path / "demo", list_data_files(tmp_path / "demo"))
    assert (len(discovery.candidates), discovery.findings) == (12, ())
    labels = set()
    for candidate in discovery.candidates:
        facts = inspect_image((tmp_path / "demo" / candidate.image).read_bytes(), max_image_pixels=10**6)
        annotation = parse_voc_annotation((tmp_path / "demo" / candidate.xml).read_bytes())
        assert facts.is_rgb_jpeg
        assert (annotation.width_px, annotation.height_px) == (facts.width_px, facts.height_px) == (IMAGE_SIZE_PX,) * 2
        assert 1 <= len(annotation.objects) <= 4
        assert all(o.box_xyxy_px.overhang_px(IMAGE_SIZE_PX, IMAGE_SIZE_PX) == 0 for o in annotation.objects)
        labels |= {item.label for item in annotation.objects}
    assert labels == set(DEMO_CLASSES)


def test_any_three_images_in_a_row_hold_every_class() -> None:
    assert {draw_demo_image(5, index)[1][0].label for index in range(3)} == set(DEMO_CLASSES)


def test_the_same_data_set_is_kept_and_an_outdated_one_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    generate_demo_data(folder, images=3)
    (folder / "JPEGImages" / "demo_00000.jpg").write_bytes(b"mine")
    generate_demo_data(folder, images=3)
    assert (folder / "JPEGImages" / "demo_00000.jpg").read_bytes() == b"mine"
    generate_demo_data(folder, images=4)
    assert len(list((folder / "JPEGImages").iterdir())) == 4
    assert (folder / "JPEGImages" / "demo_00000.jpg").read_bytes() != b"mine"
    assert json.loads((folder / "demo.json").read_text())["images"] == 4


def test_somebody_elses_folder_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear …")
    with pytest.raises(DataError, match="holds other files"):
        generate_demo_data(tmp_path, images=3)
    assert _contents(tmp_path) == {"letter.txt": "dear …".encode()}
