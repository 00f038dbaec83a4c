"""reefline/data/layouts.py and matching.py on folders as people have them."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from reefline.data.image_record import TRAIN_OR_EVAL, UNASSIGNED
from reefline.data.inspection import ImageLimits, inspect_candidate
from reefline.data.layouts import list_data_files
from reefline.data.matching import Discovery, discover, list_read_by_discovery
from reefline.errors import DataError
from reefline.structures.image_origin import write_origins
from tests.factories import add_image, make_jpeg, make_object, make_xml
from tests.factories_acquisition import make_origin


def _discover(folder: Path, **names: str) -> Discovery:
    return discover(folder, list_data_files(folder, **names))


def _pairs(discovery: Discovery) -> list[tuple[str, str]]:
    return [(candidate.image, candidate.xml) for candidate in discovery.candidates]


def _rules(discovery: Discovery) -> list[tuple[str, str]]:
    return [(finding.file, finding.rule) for finding in discovery.findings]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("images", "annotations"),
    [
        pytest.param("JPEGImages", "Annotations", id="voc"),
        pytest.param("", "", id="flat"),
        pytest.param("deep/er/images", "labels", id="separate"),
        pytest.param("VOCdevkit/VOC2007/JPEGImages", "VOCdevkit/VOC2007/Annotations", id="vocdevkit"),
    ],
)
def test_layouts_are_found(tmp_path: Path, images: str, annotations: str) -> None:
    for stem in ("a", "b"):
        add_image(tmp_path, stem, images=images, annotations=annotations)
    discovery = _discover(tmp_path)
    image_prefix, xml_prefix = (f"{name}/" if name else "" for name in (images, annotations))
    assert _pairs(discovery) == [(f"{image_prefix}{stem}.jpg", f"{xml_prefix}{stem}.xml") for stem in ("a", "b")]
    assert discovery.findings == ()
    assert not discovery.names_splits


def test_origins_of_images_are_found_in_every_folder(tmp_path: Path) -> None:
    for folder in ("cats", "dogs", ".hidden"):
        add_image(tmp_path, "a", images=folder, annotations=folder)
        write_origins(tmp_path / folder, [make_origin("a.jpg", author=folder)])
    files = list_data_files(tmp_path)
    # They are part of the fingerprint, and copied from an object store.
    assert {"cats/manifest.jsonl", "dogs/manifest.jsonl"} <= set(files.all) and len(files.origins) == 2
    authors = {image: origin.author for image, origin in discover(tmp_path, files).origins.items()}
    assert authors == {"cats/a.jpg": "cats", "dogs/a.jpg": "dogs"}


def test_the_same_name_in_two_folders_goes_by_the_folder(tmp_path: Path) -> None:
    for kind in ("cats", "dogs"):
        add_image(tmp_path, "1", images=f"images/{kind}", annotations=f"labels/{kind}")
    add_image(tmp_path, "1")
    assert _pairs(_discover(tmp_path)) == [
        ("1.jpg", "1.xml"),
        ("images/cats/1.jpg", "labels/cats/1.xml"),
        ("images/dogs/1.jpg", "labels/dogs/1.xml"),
    ]


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".webp", ".gif", ".tif"])
def test_kinds_of_images_are_found(tmp_path: Path, suffix: str) -> None:
    add_image(tmp_path, suffix=suffix)
    assert _pairs(_discover(tmp_path)) == [(f"a{suffix}", "a.xml")]


@pytest.mark.parametrize(
    "filename",
    [
        pytest.param("photo.jpg", id="name"),
        pytest.param("PHOTO.JPG", id="case"),
        pytest.param("photo", id="without-suffix"),
        pytest.param("photo.png", id="another-suffix"),
        pytest.param("C:\\Users\\me\\photo.jpg", id="windows-path"),
        pytest.param("images/photo.jpg", id="folder"),
        pytest.param("images..old/photo.jpg", id="dots-in-a-name"),
    ],
)
def test_an_image_is_found_by_filename(tmp_path: Path, filename: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(make_jpeg())
    (tmp_path / "0001.xml").write_bytes(make_xml(filename=filename))
    assert _pairs(_discover(tmp_path)) == [("photo.jpg", "0001.xml")]


def test_the_xmls_own_name_comes_before_a_stale_filename(tmp_path: Path) -> None:
    add_image(tmp_path, "a")
    add_image(tmp_path, "b")
    (tmp_path / "b.xml").write_bytes(make_xml(filename="a.jpg"))
    assert _pairs(_discover(tmp_path)) == [("a.jpg", "a.xml"), ("b.jpg", "b.xml")]


@pytest.mark.parametrize(
    ("first", "second"),
    [pytest.param("a", "A", id="case"), pytest.param("caf\u00e9", "cafe\u0301", id="unicode-form")],
)
def test_exact_names_win(tmp_path: Path, first: str, second: str) -> None:
    for stem in (first, second):
        add_image(tmp_path, stem)
    discovery = _discover(tmp_path)
    assert sorted(_pairs(discovery)) == sorted((f"{stem}.jpg", f"{stem}.xml") for stem in (first, second))
    assert discovery.findings == ()


def test_another_unicode_form_is_the_same_name(tmp_path: Path) -> None:
    add_image(tmp_path, "caf\u00e9")
    (tmp_path / "caf\u00e9.xml").rename(tmp_path / "cafe\u0301.xml")
    assert _pairs(_discover(tmp_path)) == [("caf\u00e9.jpg", "cafe\u0301.xml")]


def test_a_pair_across_foreign_folders_is_a_finding(tmp_path: Path) -> None:
    for kind, stem in itertools.product(("cats", "dogs"), "ab"):
        add_image(tmp_path, f"{kind}_{stem}", images=f"images/{kind}", annotations=f"labels/{kind}")
    add_image(tmp_path, "1", images="images/cats", annotations="labels/dogs")
    discovery = _discover(tmp_path)
    assert len(discovery.candidates) == 5
    assert _rules(discovery) == [("labels/dogs/1.xml", "match_doubtful")]
    assert "matches images/cats/1.jpg by name" in discovery.findings[0].message


def test_filename_decides_between_images_of_one_stem(tmp_path: Path) -> None:
    add_image(tmp_path, "a")
    (tmp_path / "a.png").write_bytes(make_jpeg())
    (tmp_path / "a.xml").write_bytes(make_xml(filename="a.png"))
    assert _pairs(_discover(tmp_path)) == [("a.png", "a.xml")]


def test_images_that_fit_equally_well_are_a_finding(tmp_path: Path) -> None:
    _write(tmp_path / "one" / "a.jpg", make_jpeg())
    _write(tmp_path / "two" / "a.jpg", make_jpeg())
    _write(tmp_path / "xml" / "a.xml", make_xml())
    (finding,) = (f for f in _discover(tmp_path).findings if f.rule == "image_missing")
    assert "2 images match equally well (one/a.jpg, two/a.jpg)" in finding.message


@pytest.mark.parametrize("filename", ["../../etc/passwd", "..\\secret.jpg", "a/../../b.jpg"])
def test_a_filename_outside_the_folder_is_a_finding(tmp_path: Path, filename: str) -> None:
    add_image(tmp_path, "a")
    (tmp_path / "x.xml").write_bytes(make_xml(filename=filename))
    assert _rules(_discover(tmp_path)) == [("x.xml", "filename_unsafe")]


def test_an_ambiguous_xml_is_read_once(tmp_path: Path) -> None:
    add_image(tmp_path, "a")
    (tmp_path / "photo.jpg").write_bytes(make_jpeg())
    (tmp_path / "0001.xml").write_bytes(make_xml(filename="photo.jpg"))
    by_stem, by_filename = _discover(tmp_path).candidates
    assert by_stem.annotation is None
    (tmp_path / "0001.xml").unlink()
    record = inspect_candidate(tmp_path, by_filename, ImageLimits(10**8), None).record
    assert record is not None
    assert [item.box_xyxy_px for item in record.objects] == [make_object().box_xyxy_px]


def test_discovery_opens_no_other_file(tmp_path: Path) -> None:
    """Workers of other machines match names before anything else is copied."""
    for name in ("a", "b"):
        add_image(tmp_path / "JPEGImages", name)
    add_image(tmp_path / "JPEGImages", "a.b")
    (tmp_path / "JPEGImages" / "b.xml").rename(tmp_path / "JPEGImages" / "renamed.xml")
    _write(tmp_path / "JPEGImages" / "a.png", make_jpeg())
    (tmp_path / "JPEGImages" / "renamed.xml").write_bytes(make_xml(filename="b.jpg"))
    _write(tmp_path / "ImageSets" / "Main" / "train.txt", b"a\nb\n")
    files = list_data_files(tmp_path)
    expected = discover(tmp_path, files)
    opened = list_read_by_discovery(files)
    assert opened == ("ImageSets/Main/train.txt", "JPEGImages/a.xml", "JPEGImages/renamed.xml")
    for name in {*files.all} - {*opened}:
        (tmp_path / name).unlink()
    assert discover(tmp_path, files) == expected


def test_entities_in_an_ambiguous_xml_are_refused(tmp_path: Path) -> None:
    add_image(tmp_path, "a")
    (tmp_path / "x.xml").write_bytes(b'<!DOCTYPE a [<!ENTITY b "c">]><annotation/>')
    assert _rules(_discover(tmp_path)) == [("x.xml", "xml_forbidden")]


def test_files_without_a_match_are_findings(tmp_path: Path) -> None:
    add_image(tmp_path, "a")
    (tmp_path / "alone.jpg").write_bytes(make_jpeg())
    (tmp_path / "other.xml").write_bytes(make_xml(filename="gone.jpg"))
    (tmp_path / "broken.xml").write_bytes(b"<annotation>")
    discovery = _discover(tmp_path)
    assert sorted(_rules(discovery)) == [
        ("alone.jpg", "image_not_annotated"),
        ("broken.xml", "xml_unreadable"),
        ("other.xml", "image_missing"),
    ]
    assert {finding.action.value for finding in discovery.findings} == {"dropped_image"}


def test_of_two_annotations_the_nearest_is_used(tmp_path: Path) -> None:
    add_image(tmp_path, "a")
    (tmp_path / "second.xml").write_bytes(make_xml(filename="a.jpg"))
    discovery = _discover(tmp_path)
    assert _pairs(discovery) == [("a.jpg", "a.xml")]
    (finding,) = discovery.findings
    assert (finding.file, finding.rule, finding.action.value) == ("second.xml", "annotation_duplicate", "fixed")
    assert "a.xml is used" in finding.message


def _lists(folder: Path, **lists: str) -> None:
    for name, text in lists.items():
        _write(folder / "ImageSets" / "Main" / f"{name}.txt", text.encode())


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        pytest.param({"train": "a\nb", "val": "c", "test": "d"}, "train train eval test", id="all"),
        pytest.param({"train": "a 1\nb -1", "eval": "c\nd"}, "train train eval eval", id="eval-and-second-column"),
        pytest.param({"trainval": "a\nb\nc", "test": "d"}, "? ? ? test", id="trainval-is-divided"),
        pytest.param({"train": "a\nb\nc", "test": "d"}, "? ? ? test", id="no-val-is-divided"),
        pytest.param({"train": "a\nb", "val": "c\nd", "trainval": "a\nb\nc\nd"}, "train train eval eval", id="voc"),
        pytest.param({"train": "a\nb", "valid": "c", "validation": "d"}, "train train eval eval", id="valid"),
    ],
)
def test_lists_are_honoured(tmp_path: Path, lists: dict[str, str], expected: str) -> None:
    for stem in "abcd":
        add_image(tmp_path, stem, images="JPEGImages", annotations="Annotations")
    _lists(tmp_path, **lists)
    discovery = _discover(tmp_path)
    assert (
        " ".join("?" if each.split in (UNASSIGNED, TRAIN_OR_EVAL) else each.split for each in discovery.candidates)
        == expected
    )
    assert discovery.names_splits
    assert discovery.findings == ()


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        pytest.param({"ImageSets/Main/train.txt": b"a 1\n", "ImageSets/Main/val.txt": b"a"}, "eval train", id="spaces"),
        pytest.param(
            {"ImageSets/Main/train.txt": b"a 1 -1\n", "ImageSets/Main/val.txt": b"a -1"}, "eval train", id="both"
        ),
        pytest.param(
            {"ImageSets/Main/train.txt": b"\xef\xbb\xbfa\r\n", "ImageSets/Main/val.txt": b"a 1"}, "train eval", id="bom"
        ),
        pytest.param({"imagesets/MAIN/Train.txt": b"a", "imagesets/MAIN/VAL.TXT": b"a 1"}, "train eval", id="case"),
        pytest.param({"ImageSets/train.txt": b"a", "ImageSets/val.txt": b"a 1"}, "train eval", id="without-main"),
        pytest.param(
            {"ImageSets/Main/train.txt": b"a", "ImageSets/Main/val.txt": b"a 1", "ImageSets/train.txt": b"a 1"},
            "train eval",
            id="main-wins",
        ),
        pytest.param(
            {"ImageSets/Main/cat_train.txt": b"a  1", "ImageSets/Main/cat_val.txt": b"a 1 -1"}, "train eval", id="class"
        ),
        pytest.param(
            {"ImageSets/Main/train.txt": b"a.jpg", "ImageSets/Main/val.txt": b"a 1.jpg"}, "train eval", id="suffix"
        ),
    ],
)
def test_lists_are_read_as_people_save_them(tmp_path: Path, lists: dict[str, bytes], expected: str) -> None:
    for stem in ("a", "a 1"):
        add_image(tmp_path, stem, images="JPEGImages", annotations="Annotations")
    for name, content in lists.items():
        _write(tmp_path / name, content)
    discovery = _discover(tmp_path)
    assert {c.image: c.split for c in discovery.candidates} == {
        f"JPEGImages/{stem}.jpg": split for stem, split in zip(("a", "a 1"), expected.split(), strict=True)
    }
    assert discovery.findings == ()


def test_each_root_has_its_own_lists(tmp_path: Path) -> None:
    for year, name in (("VOC2007", "train"), ("VOC2012", "val")):
        add_image(tmp_path / year, "a", images="JPEGImages", annotations="Annotations")
        _lists(tmp_path / year, **{name: "a"})
    assert [candidate.split for candidate in _discover(tmp_path).candidates] == ["train", "eval"]


def test_a_data_set_in_the_root_of_another_keeps_to_itself(tmp_path: Path) -> None:
    for root, splits in ((tmp_path, {"train": "a", "val": "b"}), (tmp_path / "VOC2012", {"val": "a"})):
        for stem in "ab":
            add_image(root, stem, images="JPEGImages", annotations="Annotations")
        _lists(root, **splits)
    discovery = _discover(tmp_path)
    assert [(c.image, c.xml, c.split) for c in discovery.candidates] == [
        ("JPEGImages/a.jpg", "Annotations/a.xml", "train"),
        ("JPEGImages/b.jpg", "Annotations/b.xml", "eval"),
        ("VOC2012/JPEGImages/a.jpg", "VOC2012/Annotations/a.xml", "eval"),
    ]
    assert _rules(discovery) == [("", "image_not_listed")]


def test_a_name_that_only_exists_under_other_lists_is_a_finding(tmp_path: Path) -> None:
    for root, stem in ((tmp_path, "a"), (tmp_path / "VOC2012", "b")):
        add_image(root, stem, images="JPEGImages", annotations="Annotations")
    _lists(tmp_path, train="a\nb")
    _lists(tmp_path / "VOC2012", val="b")
    discovery = _discover(tmp_path)
    assert [candidate.split for candidate in discovery.candidates] == ["train", "eval"]
    (finding,) = discovery.findings
    assert (finding.file, finding.rule, finding.action.value) == ("ImageSets/Main/train.txt", "image_missing", "kept")
    assert "'b' only exists in a folder with its own lists" in finding.message


def test_faulty_lists_are_findings(tmp_path: Path) -> None:
    for stem in "abc":
        add_image(tmp_path, stem)
    _lists(tmp_path, train="a\ngone", val="b\na")
    discovery = _discover(tmp_path)
    assert [(candidate.image, candidate.split) for candidate in discovery.candidates] == [
        ("a.jpg", "train"),
        ("b.jpg", "eval"),
    ]
    assert sorted(_rules(discovery)) == [
        ("", "image_not_listed"),
        ("ImageSets/Main/train.txt", "image_missing"),
        ("ImageSets/Main/val.txt", "listed_twice"),
    ]


def test_empty_lists_count_as_none(tmp_path: Path) -> None:
    add_image(tmp_path)
    _lists(tmp_path, train="\n")
    assert not _discover(tmp_path).names_splits


def test_masks_and_hidden_files_are_ignored(tmp_path: Path) -> None:
    add_image(tmp_path, "a", images="JPEGImages", annotations="Annotations")
    for name in ("SegmentationClass/a.png", ".hidden/b.jpg", "JPEGImages/._a.jpg"):
        _write(tmp_path / name, make_jpeg())
    assert list_data_files(tmp_path).all == ("Annotations/a.xml", "JPEGImages/a.jpg")


def test_folders_can_be_named(tmp_path: Path) -> None:
    add_image(tmp_path, "a", images="photos", annotations="labels")
    add_image(tmp_path, "a", images="thumbnails", annotations="old")
    assert _pairs(_discover(tmp_path, image_dir="photos", annotation_dir="labels")) == [
        ("photos/a.jpg", "labels/a.xml")
    ]
    with pytest.raises(DataError, match=r"nowhere: no such folder: data\.image_dir"):
        list_data_files(tmp_path, image_dir="nowhere")


def test_links_are_followed_once(tmp_path: Path) -> None:
    add_image(tmp_path / "disk", "a")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(tmp_path / "data")
    assert list_data_files(tmp_path / "data").all == ("images/a.jpg", "images/a.xml")


def test_a_folder_without_images_or_annotations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing: no such folder"):
        list_data_files(tmp_path / "missing")
    with pytest.raises(DataError, match="holds neither images nor VOC annotations"):
        list_data_files(tmp_path)
    add_image(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "copy")
    (tmp_path / "copy" / "a.xml").unlink()
    with pytest.raises(DataError, match="holds 1 images and no annotation"):
        list_data_files(tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy")
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DataError, match="holds 1 annotations and no image"):
        list_data_files(tmp_path)
