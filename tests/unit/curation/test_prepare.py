from __future__ import annotations

import errno
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from reefline.curation import inspected_images
from reefline.curation.data_folder import FolderKind, read_data_folder
from reefline.curation.output_folder import OutputMode
from reefline.curation.prepare import PrepareRequest, prepare
from reefline.curation.prepare_report import PrepareOptions, PrepareReport
from reefline.errors import DataError, UsageError
from reefline.formats.voc import format_voc_annotation, parse_voc_annotation
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.image_origin import read_origins, write_origins
from tests.factories import add_image, encode_image, make_data_set, make_jpeg, make_object, make_pixels, make_xml
from tests.factories_acquisition import make_origin
from tests.factories_curation import make_label_folders, make_picture, save_picture, snapshot


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def _prepare(
    source: Path, out: Path, *, mode: OutputMode = OutputMode.NEW, workers: int = 1, **options: object
) -> PrepareReport:
    request = PrepareRequest(source, out, PrepareOptions(**options), mode, workers)
    return prepare(request, lambda verb, done, total: None)


def _read_list(out: Path, name: str) -> list[str]:
    return (out / "ImageSets" / "Main" / f"{name}.txt").read_text().splitlines()


def test_good_jpegs_pass_and_everything_else_becomes_one(source: Path, out: Path) -> None:
    jpeg = add_image(source, "a")
    add_image(source, "b", image_bytes=encode_image(make_pixels(1), "PNG", mode="RGBA"), suffix=".png")
    add_image(source, "c", image_bytes=encode_image(make_pixels(2), mode="L"))
    before = snapshot(source)
    report = _prepare(source, out)
    assert (report.images, report.findings, report.warnings) == (3, (), ())
    assert (out / "JPEGImages" / "a.jpg").read_bytes() == jpeg.read_bytes()
    for name in "abc":
        image = Image.open(out / "JPEGImages" / f"{name}.jpg")
        assert (image.format, image.mode) == ("JPEG", "RGB")
        annotation = parse_voc_annotation((out / "Annotations" / f"{name}.xml").read_bytes())
        assert annotation.filename == f"{name}.jpg"
        assert annotation.objects == (make_object(),)
    assert _read_list(out, "trainval") == ["a", "b", "c"]
    assert 'name: "cat"' in (out / "label_map.pbtxt").read_text()
    assert snapshot(source) == before


@pytest.mark.parametrize(
    ("min_dimension", "size_px", "box"),
    [(24, (32, 24), (2, 2, 10, 10)), (48, (64, 48), (4, 4, 20, 20)), (500, (64, 48), (4, 4, 20, 20))],
    ids=["shrunk", "equal", "never enlarged"],
)
def test_images_shrink_with_their_boxes(
    source: Path, out: Path, min_dimension: int, size_px: tuple[int, int], box: tuple[float, ...]
) -> None:
    add_image(source, "a")
    _prepare(source, out, min_dimension=min_dimension)
    annotation = parse_voc_annotation((out / "Annotations" / "a.xml").read_bytes())
    assert Image.open(out / "JPEGImages" / "a.jpg").size == size_px == (annotation.width_px, annotation.height_px)
    assert tuple(annotation.objects[0].box_xyxy_px) == box


@pytest.mark.parametrize("drawn_upright", [True, False], ids=["drawn upright", "drawn as stored"])
def test_an_exif_rotation_fits_the_boxes_and_leaves_no_tag(source: Path, out: Path, drawn_upright: bool) -> None:
    drawn_px = (48, 64) if drawn_upright else (64, 48)
    add_image(source, "a", image_bytes=make_jpeg(orientation=6))
    (source / "a.xml").write_bytes(make_xml(size_px=drawn_px))
    _prepare(source, out, min_dimension=24)
    image = Image.open(out / "JPEGImages" / "a.jpg")
    annotation = parse_voc_annotation((out / "Annotations" / "a.xml").read_bytes())
    assert image.size == (drawn_px[0] // 2, drawn_px[1] // 2) == (annotation.width_px, annotation.height_px)
    assert image.getexif() == {}
    assert tuple(annotation.objects[0].box_xyxy_px) == (2, 2, 10, 10)


def test_an_image_without_boxes_is_turned_upright(source: Path, out: Path) -> None:
    (source / "cat").mkdir(parents=True)
    (source / "cat" / "a.jpg").write_bytes(make_jpeg(orientation=6))
    report = _prepare(source, out)
    assert Image.open(out / "JPEGImages" / "cat" / "a.jpg").size == (48, 64)
    assert report.findings == ()


def test_scores_and_the_verified_mark_stay(source: Path, out: Path) -> None:
    add_image(source, "a")
    item = AnnotatedObject("cat", BoxXyxyPx(4, 4, 20, 20), score=0.5)
    (source / "a.xml").write_bytes(format_voc_annotation(Annotation("a.jpg", 64, 48, (item,), verified=False)))
    _prepare(source, out)
    annotation = parse_voc_annotation((out / "Annotations" / "a.xml").read_bytes())
    assert (annotation.objects[0].score, annotation.verified) == (0.5, False)


def test_folders_of_labels_stay_folders_of_labels(source: Path, out: Path) -> None:
    make_label_folders(source)
    report = _prepare(source, out, eval_fraction=0.25)
    folder = read_data_folder(out)
    assert folder.kind is FolderKind.LABEL_FOLDERS
    assert [(image.image, image.label) for image in folder.images][:2] == [
        ("JPEGImages/cat/cat_0.jpg", "cat"),
        ("JPEGImages/cat/cat_1.jpg", "cat"),
    ]
    assert report.splits == {"train": 6, "val": 2}
    assert {label: counts.images for label, counts in report.labels.items()} == {"cat": 4, "dog": 4}
    assert not list(out.rglob("*.xml"))


def test_splits_of_the_input_are_kept(source: Path, out: Path) -> None:
    make_data_set(source, images=5)
    lists = source / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, numbers in (("train", (0, 1)), ("val", (2,)), ("test", (3,))):
        (lists / f"{name}.txt").write_text("".join(f"image_{number:03d}\n" for number in numbers))
    report = _prepare(source, out)
    assert report.splits == {"train": 2, "val": 1, "test": 1}
    assert _read_list(out, "val") == ["image_002"]
    assert _read_list(out, "trainval") == ["image_000", "image_001", "image_002"]
    # In no list: left out, as in training.
    assert not (out / "JPEGImages" / "image_004.jpg").exists()
    assert "1 images are left out" in report.warnings[0]
    # A new split leaves the test images alone.
    report = _prepare(source, out, mode=OutputMode.RESUME, eval_fraction=0.34)
    assert report.splits == {"train": 2, "val": 1, "test": 1}
    assert _read_list(out, "test") == ["image_003"]


def test_near_duplicates_share_a_split(source: Path, out: Path) -> None:
    for seed in range(12):
        for size_px in ((160, 120), (120, 90), (80, 60)):
            save_picture(source / "cat" / f"{seed}_{size_px[0]}.jpg", make_picture(seed, size_px=size_px))
    _prepare(source, out, eval_fraction=0.3)
    train, val = ({stem.split("_")[0] for stem in _read_list(out, name)} for name in ("train", "val"))
    assert train and val and not train & val


def test_images_that_look_like_those_of_another_split_are_a_warning(source: Path, out: Path) -> None:
    lists = source / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, seed, size_px in (("a", 1, (160, 120)), ("b", 1, (120, 90)), ("c", 2, (160, 120)), ("d", 2, (80, 60))):
        add_image(source, name)
        save_picture(source / f"{name}.jpg", make_picture(seed, size_px=size_px))
    (lists / "train.txt").write_text("a\nc\nd\n")
    (lists / "val.txt").write_text("b\n")
    report = _prepare(source, out)
    leak = "1 images look like images of another split (a.jpg in train, b.jpg in val): run `reefline dedupe` first"
    assert report.warnings == (f"{leak}, or pass --eval-fraction to split anew",)
    (lists / "val.txt").rename(lists / "test.txt")
    report = _prepare(source, out, mode=OutputMode.RESUME, eval_fraction=0.4)
    assert any("another split" in warning and "b.jpg in test): run" in warning for warning in report.warnings)


def test_labels_are_balanced(source: Path, out: Path) -> None:
    make_label_folders(source, images=5)
    for number in (1, 2, 3):
        (source / "dog" / f"{number}.png").unlink()
    report = _prepare(source, out, equal_counts=True)
    assert {label: counts.images for label, counts in report.labels.items()} == {"cat": 2, "dog": 2}


def test_what_cannot_be_used_is_listed_and_the_rest_written(source: Path, out: Path) -> None:
    make_label_folders(source, images=2)
    (source / "bird").mkdir()
    (source / "cat" / "broken.jpg").write_bytes(b"junk")
    save_picture(source / "fish" / "alone.png", make_picture(50))
    report = _prepare(source, out, eval_fraction=0.5)
    assert [(finding.file, finding.rule) for finding in report.findings] == [("cat/broken.jpg", "image_unreadable")]
    assert report.warnings == (
        "no image in the folder of label 'bird': add images, or delete the folder",
        "only one image of label 'fish': it is in train, and nothing evaluates the label",
    )
    assert json.loads((out / "prepare.json").read_text())["images"] == report.images == 5


def test_images_without_an_annotation_are_written_and_counted(source: Path, out: Path) -> None:
    make_data_set(source, images=2)
    (source / "c.jpg").write_bytes(make_jpeg(9))
    report = _prepare(source, out)
    assert report.images == 3 and "1 images have no annotation" in report.warnings[0]


def test_an_unreadable_annotation_leaves_its_image_out(source: Path, out: Path) -> None:
    make_data_set(source, images=2)
    (source / "image_000.xml").write_text("<annotation>")
    report = _prepare(source, out)
    assert [finding.rule for finding in report.findings] == ["xml_unreadable"]
    assert report.images == 1


def test_nothing_usable_is_an_error(source: Path, out: Path) -> None:
    source.mkdir()
    (source / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.jpg: the file is empty"):
        _prepare(source, out)


def test_any_number_of_workers_writes_the_same(source: Path, tmp_path: Path) -> None:
    make_label_folders(source, images=20)
    written = []
    for workers in (1, 2):
        _prepare(source, tmp_path / str(workers), workers=workers, eval_fraction=0.2, min_dimension=50)
        written.append(snapshot(tmp_path / str(workers)))
    assert written[0] == written[1]


def test_a_second_call_writes_only_what_changed(source: Path, out: Path) -> None:
    make_data_set(source, images=4)
    _prepare(source, out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    (source / "image_001.jpg").write_bytes(make_jpeg(77))
    (source / "image_003.jpg").unlink()
    (source / "image_003.xml").unlink()
    report = _prepare(source, out, mode=OutputMode.RESUME)
    assert (report.images, report.unchanged, report.removed) == (3, 2, 1)
    changed = {path.name for path in out.rglob("*.jpg") if times[path] != path.stat().st_mtime_ns}
    assert changed == {"image_001.jpg"}
    assert not (out / "Annotations" / "image_003.xml").exists()
    shutil.rmtree(out)
    _prepare(source, out)
    fresh = snapshot(out)
    _prepare(source, out, mode=OutputMode.RESUME, min_dimension=20)
    _prepare(source, out, mode=OutputMode.RESUME)
    assert {**snapshot(out), "prepare.json": b""} == {**fresh, "prepare.json": b""}


def test_annotations_that_a_person_corrected_stay(source: Path, out: Path) -> None:
    make_data_set(source, images=3)
    _prepare(source, out)
    corrected = out / "Annotations" / "image_001.xml"
    corrected.write_bytes(make_xml([make_object("bird")]))
    report = _prepare(source, out, mode=OutputMode.RESUME, min_dimension=20)
    assert corrected.read_bytes() == make_xml([make_object("bird")])
    assert (
        "'Annotations/image_001.xml': added or changed since prepare wrote the data set, and kept" in report.warnings[0]
    )
    # Also where its image is no longer wanted.
    (source / "image_001.jpg").unlink()
    _prepare(source, out, mode=OutputMode.RESUME)
    assert corrected.exists() and (out / "JPEGImages" / "image_001.jpg").exists()


def _raise(error: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_a_call_that_was_stopped_continues(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_data_set(source, images=3)
    write, done = inspected_images.write_file, []

    def write_two(target: Path, content: bytes) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(target)
        write(target, content)

    with monkeypatch.context() as patch:
        patch.setattr(inspected_images, "write_file", write_two)
        with pytest.raises(KeyboardInterrupt):
            _prepare(source, out)
    report = _prepare(source, out, mode=OutputMode.RESUME)
    assert (report.images, report.unchanged) == (3, 2)


def test_a_full_disk_is_explained(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_data_set(source, images=2)
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/JPEGImages/image_000.jpg")
    monkeypatch.setattr(inspected_images, "write_file", _raise(error))
    with pytest.raises(
        DataError, match=r"image_000\.jpg: cannot write it \(No space left on device\): free space, then"
    ):
        _prepare(source, out)


def test_origins_travel_along(source: Path, out: Path) -> None:
    make_label_folders(source, images=1)
    write_origins(source / "cat", [make_origin("0.png")])
    _prepare(source, out)
    assert [(origin.file, origin.author) for origin in read_origins(out)] == [("JPEGImages/cat/cat_0.jpg", "Ada")]


def test_tfrecords_hold_what_was_written(source: Path, out: Path) -> None:
    import tensorflow as tf

    from reefline.formats.tf_example import decode_example

    make_data_set(source, images=6)
    _prepare(source, out, tfrecords=True, shards=2, eval_fraction=0.34, min_dimension=24)
    names = sorted(path.name for path in (out / "tfrecords").iterdir())
    assert names == [
        *("label_map.pbtxt", "train-00000-of-00002", "train-00001-of-00002"),
        *("val-00000-of-00002", "val-00001-of-00002"),
    ]
    paths = [str(path) for path in sorted((out / "tfrecords").glob("train-*"))]
    examples = [decode_example(record.numpy()) for record in tf.data.TFRecordDataset(paths)]
    assert sorted(Path(example.filename).stem for example in examples) == _read_list(out, "train")
    example = examples[0]
    assert example.encoded_jpeg == (out / example.filename).read_bytes()
    assert Image.open(io.BytesIO(example.encoded_jpeg)).size == (32, 24) == (example.width_px, example.height_px)
    assert tuple(example.objects[0].box_xyxy_px) == (2, 2, 10, 10)
    # Fewer shards replace those of before.
    _prepare(source, out, mode=OutputMode.RESUME, tfrecords=True)
    assert sorted(path.name for path in (out / "tfrecords").iterdir()) == ["label_map.pbtxt", "train-00000-of-00001"]


def test_tfrecords_need_boxes(source: Path, out: Path) -> None:
    make_label_folders(source)
    with pytest.raises(UsageError, match=r"--tfrecords needs boxes, and .* holds one folder of images per label"):
        _prepare(source, out, tfrecords=True)
    assert not out.exists()


def test_an_annotation_in_a_label_folder_leaves_the_other_labels(source: Path, out: Path) -> None:
    make_label_folders(source, images=3)
    (source / "cat" / "0.xml").write_bytes(make_xml(size_px=(160, 120)))
    report = _prepare(source, out, equal_counts=True)
    assert {label: counts.images for label, counts in report.labels.items()} == {"cat": 3, "dog": 3}
    assert 'name: "dog"' in (out / "label_map.pbtxt").read_text()


def test_overwrite_deletes_nothing_that_a_person_made(source: Path, out: Path) -> None:
    make_data_set(source, images=2)
    _prepare(source, out, tfrecords=True)
    corrected = out / "Annotations" / "image_001.xml"
    written = corrected.read_bytes()
    corrected.write_bytes(make_xml([make_object("bird")]))
    with pytest.raises(DataError, match=r"Annotations/image_001\.xml was added or changed .* --overwrite is refused"):
        _prepare(source, out, mode=OutputMode.OVERWRITE)
    assert corrected.read_bytes() == make_xml([make_object("bird")])
    corrected.write_bytes(written)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"notes\.txt was added or changed"):
        _prepare(source, out, mode=OutputMode.OVERWRITE)
    (out / "notes.txt").unlink()
    assert _prepare(source, out, mode=OutputMode.OVERWRITE).images == 2


def test_overwrite_deletes_nothing_before_the_input_is_usable(source: Path, out: Path) -> None:
    make_data_set(source, images=1)
    _prepare(source, out)
    before = snapshot(out)
    (source / "image_000.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="the file is empty"):
        _prepare(source, out, mode=OutputMode.OVERWRITE)
    assert snapshot(out) == before


def test_a_stopped_call_can_be_overwritten(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_data_set(source, images=3)
    write = inspected_images.write_file

    def write_and_stop(target: Path, content: bytes) -> None:
        write(target, content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(inspected_images, "write_file", write_and_stop)
        with pytest.raises(KeyboardInterrupt):
            _prepare(source, out)
    assert list(out.rglob("*.jpg"))
    assert _prepare(source, out, mode=OutputMode.OVERWRITE).images == 3


def _draw(out: Path, stem: str, label: str = "cat") -> Path:
    xml = out / "Annotations" / f"{stem}.xml"
    xml.parent.mkdir(exist_ok=True)
    xml.write_bytes(make_xml([make_object(label)], size_px=(160, 120)))
    return xml


def test_images_of_drawn_annotations_stay_as_they_are(source: Path, out: Path) -> None:
    make_label_folders(source, images=3)
    _prepare(source, out)
    xml, image = _draw(out, "cat_0"), out / "JPEGImages" / "cat" / "cat_0.jpg"
    before = image.read_bytes(), xml.read_bytes()
    report = _prepare(source, out, mode=OutputMode.RESUME, min_dimension=60)
    assert (image.read_bytes(), xml.read_bytes()) == before
    assert Image.open(out / "JPEGImages" / "cat" / "cat_1.jpg").size == (80, 60)
    assert "'Annotations/cat_0.xml': added or changed" in report.warnings[0]
    for seed in range(3):
        _prepare(source, out, mode=OutputMode.RESUME, max_per_label=1, seed=seed)
        assert (image.read_bytes(), xml.read_bytes()) == before
    assert len(list(out.rglob("*.jpg"))) <= 3


def test_images_keep_their_names_when_others_join_them(source: Path, out: Path) -> None:
    save_picture(source / "cat" / "n0.jpg", make_picture(1))
    _prepare(source, out)
    xml = _draw(out, "n0")
    save_picture(source / "dog" / "n0.png", make_picture(2))
    _prepare(source, out, mode=OutputMode.RESUME)
    names = {path.relative_to(out).as_posix() for path in out.rglob("*.jpg")}
    assert names == {"JPEGImages/cat/n0.jpg", "JPEGImages/dog/dog_n0.jpg"}
    # Also when the image has left the input.
    (source / "cat" / "n0.jpg").unlink()
    _prepare(source, out, mode=OutputMode.RESUME)
    assert names == {path.relative_to(out).as_posix() for path in out.rglob("*.jpg")}
    assert xml.exists()


def test_a_new_image_does_not_replace_one_that_a_person_added(source: Path, out: Path) -> None:
    save_picture(source / "cat" / "a.jpg", make_picture(1))
    _prepare(source, out)
    added = save_picture(out / "JPEGImages" / "cat" / "b.jpg", make_picture(2))
    _draw(out, "b")
    before = added.read_bytes()
    save_picture(source / "cat" / "b.jpg", make_picture(3))
    _prepare(source, out, mode=OutputMode.RESUME)
    assert added.read_bytes() == before
    assert (out / "JPEGImages" / "cat" / "cat_b.jpg").exists()


def test_corrected_annotations_count_everywhere(source: Path, out: Path) -> None:
    import tensorflow as tf

    from reefline.formats.tf_example import decode_example

    make_data_set(source, images=2)
    _prepare(source, out)
    (out / "Annotations" / "image_001.xml").write_bytes(make_xml([make_object("bird")]))
    report = _prepare(source, out, mode=OutputMode.RESUME, tfrecords=True, min_dimension=24)
    assert {label: (each.images, each.boxes) for label, each in report.labels.items()} == {
        "bird": (1, 1),
        "cat": (1, 1),
    }
    assert 'name: "bird"' in (out / "label_map.pbtxt").read_text()
    shards = [str(path) for path in (out / "tfrecords").glob("train-*")]
    examples = {each.filename: each for each in (decode_example(r.numpy()) for r in tf.data.TFRecordDataset(shards))}
    example = examples["JPEGImages/image_001.jpg"]
    assert [item.class_name for item in example.objects] == ["bird"]
    assert (example.width_px, example.height_px) == (64, 48)
    # Without --tfrecords, outdated ones would stay.
    (out / "tfrecords" / "notes.txt").write_text("mine")
    _prepare(source, out, mode=OutputMode.RESUME)
    assert [path.name for path in (out / "tfrecords").iterdir()] == ["notes.txt"]


def test_label_folders_get_names_that_every_file_system_accepts(source: Path, out: Path) -> None:
    for seed, label in enumerate(("a:b", "a?b", "a_b")):
        save_picture(source / label / "0.png", make_picture(seed))
    report = _prepare(source, out)
    folders = sorted(path.name for path in (out / "JPEGImages").iterdir())
    assert folders == ["a_b", "a_b_2", "a_b_3"] == list(report.labels)
    assert report.warnings[0] == "label 'a:b' becomes 'a_b_2': not every file system accepts the name"


def test_equal_counts_warn_of_a_rare_label(source: Path, out: Path) -> None:
    make_label_folders(source, images=5)
    save_picture(source / "eel" / "0.png", make_picture(500))
    report = _prepare(source, out, equal_counts=True)
    assert report.warnings == (
        "--equal-counts keeps 3 of 11 images, because label 'eel' has only 1: add images of it, "
        "or pass --max-per-label instead",
    )


def test_a_label_whose_name_is_not_utf8_is_not_called_empty(source: Path, out: Path) -> None:
    make_label_folders(source, images=1)
    save_picture(source / os.fsdecode(b"d\xffg") / "a.jpg", make_picture(7))
    report = _prepare(source, out)
    assert [finding.rule for finding in report.findings] == ["folder_unreadable"]
    assert report.warnings == ()
