import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reefline.curation.data_folder import read_data_folder
from reefline.curation.output_folder import OutputMode
from reefline.data.image_record import EVAL, TRAIN
from reefline.data.layouts import list_data_files
from reefline.data.matching import discover
from reefline.data.walking import IGNORE_FILE
from reefline.errors import ConfigError, DataError, UsageError
from reefline.formats.voc import format_voc_annotation, parse_voc_annotation
from reefline.labelling.autolabel import autolabel
from reefline.labelling.box_source import BoxSource
from reefline.labelling.choosing import Fallback
from reefline.labelling.records import AutolabelReport, AutolabelRequest, LabelsFrom
from reefline.od_api.label_map_file import write_label_map
from reefline.structures.annotation import Annotation
from reefline.structures.image_origin import find_origins, write_origins
from reefline.structures.label_map import LabelMap
from tests.factories import add_image, make_jpeg, make_object, make_xml
from tests.factories_acquisition import make_origin
from tests.factories_labelling import add_plain, make_source

SURE, UNSURE, NOTHING = 64, 72, 80
FOUND = {SURE: [(4, 4, 20, 30, 1, 0.9)], UNSURE: [(4, 4, 20, 30, 1, 0.9), (30, 4, 50, 30, 0, 0.4)]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture(autouse=True)
def source(monkeypatch: pytest.MonkeyPatch) -> BoxSource:
    fake = make_source(FOUND)
    monkeypatch.setattr("reefline.labelling.autolabel.open_box_source", lambda *_: fake)
    return fake


def _label(data: Path, **facts: object) -> AutolabelReport:
    return autolabel(AutolabelRequest(data, data.parent / "out", is_quiet=True, **facts))


def _list(out: Path) -> Iterator[str]:
    for path in sorted(out.rglob("*")):
        if path.is_file() and not path.name.startswith(".") and path.parent != out:
            yield path.relative_to(out).as_posix()


def test_sure_images_are_labelled_and_others_go_to_review(data: Path) -> None:
    add_plain(data, "sure.jpg", width_px=SURE)
    add_plain(data, "unsure.jpg", width_px=UNSURE)
    add_plain(data, "nothing.jpg", width_px=NOTHING)
    report = _label(data)
    out = data.parent / "out"
    assert list(_list(out)) == [
        "Annotations/sure.xml",
        "JPEGImages/sure.jpg",
        "review/Annotations/unsure.xml",
        "review/JPEGImages/nothing.jpg",
        "review/JPEGImages/unsure.jpg",
    ]
    assert (out / "JPEGImages" / "sure.jpg").read_bytes() == (data / "sure.jpg").read_bytes()
    annotation = parse_voc_annotation((out / "Annotations" / "sure.xml").read_bytes())
    assert annotation == Annotation(
        "sure.jpg", SURE, 48, (make_object("dog", (4, 4, 20, 30), score=0.9),), verified=False
    )
    # Until a person has checked it, review/ is no part of the data set.
    assert [each.image for each in read_data_folder(out).images] == ["JPEGImages/sure.jpg"]
    assert report.images == {"labelled": 1, "review": 1, "nothing_found": 1, "kept": 0, "unusable": 0}
    assert (report.review, report.nothing_found, report.coverage) == (("unsure.jpg",), ("nothing.jpg",), 0.6667)
    assert {label: each.boxes for label, each in report.per_class.items()} == {"cat": 1, "dog": 2}
    assert [each.boxes for each in report.scores] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 2]
    assert json.loads((out / "autolabel.json").read_text())["images"]["review"] == 1
    assert "lowest score 0.40" in (out / "autolabel.html").read_text()
    assert (out / "classes.txt").read_text() == "cat\ndog\n"


def test_the_list_of_classes_begins_with_those_of_the_data_set(data: Path) -> None:
    add_plain(data, "sure.jpg", width_px=SURE)
    add_image(data, "human", objects=[make_object("zebra"), make_object("bird")])
    _label(data)
    classes = data.parent / "out" / "classes.txt"
    assert classes.read_text().split() == ["bird", "zebra", "dog"]
    # Numbers stay when classes join.
    add_image(data, "other", objects=[make_object("ant")])
    _label(data, mode=OutputMode.RESUME)
    assert classes.read_text().split() == ["bird", "zebra", "dog", "ant"]
    (data / "classes.txt").write_text("\ufeffzebra\n\nant\n", encoding="utf-8")
    write_label_map(data / "label_map.pbtxt", LabelMap(("bird", "cow")))
    _label(data, mode=OutputMode.OVERWRITE)
    assert classes.read_text().split() == ["zebra", "ant", "bird", "cow", "dog"]


def test_checked_images_join_the_data_set_in_their_splits(data: Path) -> None:
    add_plain(data, "JPEGImages/sure.jpg", "JPEGImages/other.jpg", width_px=SURE)
    add_plain(data, "JPEGImages/unsure.jpg", width_px=UNSURE)
    lists = data / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("sure\nunsure\n")
    (lists / "val.txt").write_text("other\n")
    _label(data)
    out = data.parent / "out"
    (out / "review" / IGNORE_FILE).unlink()
    discovery = discover(out, list_data_files(out))
    splits = {each.image: each.split for each in discovery.candidates}
    assert splits == {
        "JPEGImages/other.jpg": EVAL,
        "JPEGImages/sure.jpg": TRAIN,
        "review/JPEGImages/unsure.jpg": TRAIN,
    }
    assert discovery.findings == ()
    add_plain(data, "JPEGImages/new.jpg", width_px=SURE)
    _label(data, mode=OutputMode.RESUME)
    assert not (out / "review" / IGNORE_FILE).exists()


def test_origins_of_downloaded_images_travel_along(data: Path) -> None:
    add_plain(data, "terrier/a.jpg", width_px=SURE)
    add_plain(data, "terrier/b.jpg", width_px=NOTHING)
    write_origins(data / "terrier", [make_origin("a.jpg"), make_origin("b.jpg")])
    _label(data)
    assert set(find_origins(data.parent / "out")) == {"JPEGImages/a.jpg", "review/JPEGImages/b.jpg"}


def test_folders_give_the_classes_and_names_stay_apart(data: Path) -> None:
    add_plain(data, "terrier/1.jpg", "poodle/1.jpg", "poodle/old/1.jpg", width_px=SURE)
    (data / "beagle").mkdir()
    report = _label(data)
    out = data.parent / "out"
    names = [f"Annotations/{name}.xml" for name in ("poodle_1", "poodle_old_1", "terrier_1")]
    assert [name for name in _list(out) if name.endswith(".xml")] == names
    labels = [parse_voc_annotation((out / name).read_bytes()).objects[0].label for name in names]
    assert labels == ["poodle", "poodle", "terrier"]
    assert report.problems == ("beagle: holds no images",)


def test_names_that_are_not_utf_8_are_problems(tmp_path: Path) -> None:
    data = tmp_path / os.fsdecode(b"in\xff")
    add_plain(data, "terrier/1.jpg", os.fsdecode(b"terrier/\xff.jpg"), os.fsdecode(b"d\xff/1.jpg"), width_px=SURE)
    (data / os.fsdecode(b"empty\xff")).mkdir()
    report = _label(data)
    assert report.images["labelled"] == 1
    assert json.loads((tmp_path / "out" / "autolabel.json").read_text())["problems"] == list(report.problems)
    assert [problem.split(":")[0] for problem in report.problems] == [r"d\xff", r"empty\xff", r"terrier/\xff.jpg"]
    assert r"Labels of in\xff" in (tmp_path / "out" / "autolabel.html").read_text()


def test_equal_stems_get_their_folders_and_names_stay_over_a_resume(data: Path) -> None:
    add_plain(data, "x/a.jpg", "y/A.png", "y/b.jpg", width_px=SURE)
    _label(data, labels_from=LabelsFrom.MODEL)
    out = data.parent / "out" / "JPEGImages"
    assert sorted(path.name for path in out.iterdir()) == ["b.jpg", "x_a.jpg", "y_A.png"]
    # Alone, this name would be free.
    add_plain(data, "y/x_a.jpg", width_px=SURE)
    _label(data, labels_from=LabelsFrom.MODEL, mode=OutputMode.RESUME)
    assert sorted(path.name for path in out.iterdir()) == ["b.jpg", "x_a.jpg", "x_a_2.jpg", "y_A.png"]


def test_human_annotations_are_copied_and_machine_ones_made_again(data: Path) -> None:
    add_image(data, "human", objects=[make_object("bird")])
    add_image(data, "negative", objects=[])
    add_image(data, "machine", objects=[make_object("bird", score=0.5)])
    machine = parse_voc_annotation((data / "machine.xml").read_bytes())
    xml = format_voc_annotation(Annotation(machine.filename, 64, 48, machine.objects, verified=False))
    (data / "machine.xml").write_bytes(xml)
    add_image(data, "broken")
    (data / "broken.xml").write_text("<annotation>")
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    report = _label(data)
    out = data.parent / "out"
    for name in ("human", "negative", "broken"):
        assert (out / "Annotations" / f"{name}.xml").read_bytes() == before[f"{name}.xml"]
    redone = parse_voc_annotation((out / "Annotations" / "machine.xml").read_bytes())
    assert [(item.label, item.score) for item in redone.objects] == [("dog", 0.9)]
    assert (report.images["kept"], report.images["labelled"]) == (3, 1)
    assert "broken.jpg: broken.xml: cannot parse the XML" in report.problems[0]
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


@pytest.mark.parametrize(
    ("verified", "scores"),
    [
        pytest.param(False, [None], id="not verified, no score"),
        pytest.param(False, [0.5, None], id="a box was added"),
        pytest.param(False, [], id="nothing to see"),
        pytest.param(True, [0.5], id="verified"),
        pytest.param(None, [0.5], id="no mark"),
    ],
)
def test_annotations_of_other_tools_are_kept(data: Path, verified: bool | None, scores: list[float | None]) -> None:
    add_plain(data, "a.jpg", width_px=SURE)
    objects = tuple(make_object("bird", score=score) for score in scores)
    xml = format_voc_annotation(Annotation("a.jpg", SURE, 48, objects, verified=verified))
    (data / "a.xml").write_bytes(xml)
    assert _label(data).images["kept"] == 1
    assert (data.parent / "out" / "Annotations" / "a.xml").read_bytes() == xml


def test_an_unreadable_image_is_listed_and_the_others_are_labelled(data: Path) -> None:
    add_plain(data, "a.jpg", "c.jpg", width_px=SURE)
    (data / "b.jpg").write_bytes(make_jpeg(width_px=SURE)[:200])
    report = _label(data)
    assert report.images["labelled"] == 2 and report.images["unusable"] == 1
    assert report.problems[0].startswith("b.jpg: the image is truncated")
    assert not (data.parent / "out" / "JPEGImages" / "b.jpg").exists()


def test_boxes_are_on_the_upright_image(data: Path) -> None:
    # Stored 48 x 64, turned by a quarter: 64 x 48 upright.
    (data / "turned.jpg").write_bytes(make_jpeg(width_px=48, height_px=SURE, orientation=6))
    _label(data)
    annotation = parse_voc_annotation((data.parent / "out" / "Annotations" / "turned.xml").read_bytes())
    assert (annotation.width_px, annotation.height_px) == (SURE, 48)


def test_a_stopped_run_continues_and_keeps_what_a_person_corrected(
    data: Path, source: BoxSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_plain(data, *(f"{number}.jpg" for number in range(6)), width_px=SURE)
    calls = []

    def stop_late(images):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return source.detect(images)

    stopping = make_source(detect=stop_late)
    monkeypatch.setattr("reefline.labelling.autolabel.open_box_source", lambda *_: stopping)
    with pytest.raises(KeyboardInterrupt):
        _label(data)
    out = data.parent / "out"
    assert len(list((out / "Annotations").iterdir())) == 4
    (out / "Annotations" / "0.xml").write_text("corrected")
    with (out / ".autolabel.jsonl").open("a") as journal:
        journal.write('{"image": "4.j')
    report = _label(data, mode=OutputMode.RESUME)
    assert calls == [2, 2, 2, 2]
    assert report.images["labelled"] == 6 and report.boxes == 6
    assert (out / "Annotations" / "0.xml").read_text() == "corrected"
    with pytest.raises(UsageError, match=r"--resume: this folder was made with another --min-score \(, now 0\.7\)"):
        _label(data, mode=OutputMode.RESUME, min_score=0.7)


def test_resuming_labels_changed_images_again_and_removes_missing_ones(data: Path) -> None:
    add_plain(data, "changed.jpg", "annotated.jpg", "gone.jpg", "same.jpg", width_px=SURE)
    add_plain(data, "empty_gone.jpg", width_px=NOTHING)
    (data / "repaired.jpg").write_bytes(b"no image")
    add_image(data, "kept", objects=[make_object("bird")])
    _label(data)
    out = data.parent / "out"
    same = (out / "Annotations" / "same.xml").stat().st_mtime_ns
    add_plain(data, "changed.jpg", width_px=UNSURE)
    add_plain(data, "repaired.jpg", width_px=SURE)
    add_image(data, "annotated", objects=[make_object("bird")])
    add_image(data, "kept", objects=[make_object("cow")])
    for name in ("gone.jpg", "empty_gone.jpg"):
        (data / name).unlink()
    report = _label(data, mode=OutputMode.RESUME)
    assert list(_list(out)) == [
        "Annotations/annotated.xml",
        "Annotations/kept.xml",
        "Annotations/repaired.xml",
        "Annotations/same.xml",
        "JPEGImages/annotated.jpg",
        "JPEGImages/kept.jpg",
        "JPEGImages/repaired.jpg",
        "JPEGImages/same.jpg",
        "review/Annotations/changed.xml",
        "review/JPEGImages/changed.jpg",
    ]
    for name in ("annotated", "kept"):
        assert (out / "Annotations" / f"{name}.xml").read_bytes() == (data / f"{name}.xml").read_bytes()
    assert (out / "Annotations" / "same.xml").stat().st_mtime_ns == same
    assert report.images == {"labelled": 2, "review": 1, "nothing_found": 0, "kept": 2, "unusable": 0}
    assert report.problems == ()
    # A third run finds nothing to do.
    times = {path: path.stat().st_mtime_ns for path in out.glob("*/*.*")}
    assert _label(data, mode=OutputMode.RESUME) == report
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*.*")} == times


@pytest.mark.parametrize(
    "written",
    ["review/Annotations/a.xml", "Annotations/a.xml", "review/JPEGImages/a.xml"],
    ids=["corrected", "in the other folder", "next to the image"],
)
@pytest.mark.parametrize("is_gone", [False, True], ids=["changed", "gone"])
def test_resuming_keeps_corrected_annotations_of_changed_images(data: Path, written: str, is_gone: bool) -> None:
    add_plain(data, "a.jpg", width_px=UNSURE)
    add_plain(data, "b.jpg", width_px=SURE)
    _label(data)
    path = data.parent / "out" / written
    path.parent.mkdir(exist_ok=True)
    path.write_text("corrected")
    if is_gone:
        (data / "a.jpg").unlink()
    else:
        add_plain(data, "a.jpg", width_px=SURE)
    for _ in range(2):
        report = _label(data, mode=OutputMode.RESUME)
        what = "no longer in the input" if is_gone else "changed in the input"
        assert report.problems == (
            f"a.jpg: {what}, but its labels were changed in the output, so they stay; to discard them, delete "
            "review/JPEGImages/a.jpg and its annotation there and use --resume",
        )
        assert path.read_text() == "corrected"
        assert (data.parent / "out" / "review" / "JPEGImages" / "a.jpg").exists()
    (data.parent / "out" / "review" / "JPEGImages" / "a.jpg").unlink()
    for each in data.parent.glob("out/**/a.xml"):
        each.unlink()
    report = _label(data, mode=OutputMode.RESUME)
    assert (report.problems, report.images["labelled"]) == ((), 1 if is_gone else 2)


def test_resuming_follows_changed_splits(data: Path) -> None:
    add_plain(data, *(f"JPEGImages/{name}.jpg" for name in "abc"), width_px=SURE)

    def write_lists(**names: str) -> None:
        shutil.rmtree(data / "ImageSets", ignore_errors=True)
        for split, stems in names.items():
            path = data / "ImageSets" / "Main" / f"{split}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{stem}\n" for stem in stems))

    def read_lists() -> dict[str, str]:
        written = (data.parent / "out" / "ImageSets" / "Main").iterdir()
        return {path.stem: "".join(path.read_text().split()) for path in written}

    write_lists(train="ab", val="c")
    _label(data)
    assert read_lists() == {"train": "ab", "val": "c"}
    write_lists(train="a", val="b", test="c")
    _label(data, mode=OutputMode.RESUME)
    assert read_lists() == {"train": "a", "val": "b", "test": "c"}
    (data / "JPEGImages" / "c.jpg").unlink()
    write_lists(train="a", val="b")
    _label(data, mode=OutputMode.RESUME)
    assert read_lists() == {"train": "a", "val": "b"}


def _correct(out: Path) -> None:
    (out / "Annotations" / "0.xml").write_text("corrected")


def _annotate_empty(out: Path) -> None:
    path = out / "review" / "Annotations" / "empty.xml"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(make_xml([make_object("dog")]))


def _both(out: Path) -> None:
    _correct(out)
    _annotate_empty(out)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(
            _correct,
            r"1 annotation was changed or added since the last run \(first: Annotations/0\.xml\)",
            id="changed",
        ),
        pytest.param(_annotate_empty, r"1 annotation was .* \(first: review/Annotations/empty\.xml\)", id="added"),
        pytest.param(_both, r"2 annotations were changed or added .* move them elsewhere, or delete the", id="both"),
    ],
)
def test_overwriting_refuses_to_lose_annotations(data: Path, change: Callable[[Path], None], problem: str) -> None:
    add_plain(data, "0.jpg", "1.jpg", width_px=SURE)
    add_plain(data, "empty.jpg", width_px=NOTHING)
    add_image(data, "kept")
    _label(data)
    out = data.parent / "out"
    change(out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match=problem):
        _label(data, mode=OutputMode.OVERWRITE)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_overwriting_replaces_what_nobody_changed(data: Path) -> None:
    add_plain(data, "0.jpg", "1.jpg", width_px=SURE)
    add_image(data, "kept")
    _label(data)
    out = data.parent / "out"
    # As left by a run that was killed before it noted its last image.
    journal = out / ".autolabel.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"1.jpg"' not in line))
    report = _label(data, mode=OutputMode.OVERWRITE, min_score=0.8)
    assert report.images["labelled"] == 2
    (out / "Annotations" / "0.xml").unlink()
    assert _label(data, mode=OutputMode.OVERWRITE).images["labelled"] == 2


def test_the_whole_image_is_a_named_fallback_that_goes_to_review(data: Path) -> None:
    add_plain(data, "cat/a.jpg", width_px=NOTHING)
    _label(data, fallback=Fallback.WHOLE_IMAGE)
    xml = parse_voc_annotation((data.parent / "out" / "review" / "Annotations" / "a.xml").read_bytes())
    assert xml.objects == (make_object("cat", (0, 0, NOTHING, 48), score=0.0),)


def test_classes_are_renamed_by_a_file(data: Path) -> None:
    add_plain(data, "a.jpg", width_px=UNSURE)
    (data.parent / "names.csv").write_text("dog,hound\ncat,\n")
    report = _label(data, rename=data.parent / "names.csv")
    assert list(report.per_class) == ["hound"]


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"min_score": 1.5}, r"--min-score 1\.5: expected a number from 0 to 1"),
        ({"review_below": -1}, "--review-below -1: expected"),
        ({"detector_classes": ("dgo",)}, r"--detector-classes: the model has no class 'dgo'; did you mean dog\?"),
        ({"labels_from": LabelsFrom.FOLDER}, "does not have one folder of images per label"),
        ({"fallback": Fallback.WHOLE_IMAGE}, "--fallback whole-image: needs a class for the box"),
    ],
    ids=["min-score", "review-below", "class", "folder", "fallback"],
)
def test_options_that_do_not_fit_are_refused(data: Path, facts: dict[str, object], problem: str) -> None:
    add_plain(data, "a.jpg")
    with pytest.raises(UsageError, match=problem):
        _label(data, **facts)
    assert not (data.parent / "out").exists()


def test_renaming_needs_a_model_that_gives_the_class(data: Path) -> None:
    add_plain(data, "cat/a.jpg")
    with pytest.raises(UsageError, match="here folders give the class; rename the folders"):
        _label(data, rename=data / "names.csv")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("cat,dog,bird\n", r"line 1: expected `model's class,new name`, found 3 columns"),
        ("cat,a\ncat,b\n", "line 2: 'cat' repeats"),
        (None, r"cannot read it \(No such file"),
    ],
    ids=["columns", "repeated", "missing"],
)
def test_a_file_of_names_that_cannot_be_used_is_refused(data: Path, content: str | None, problem: str) -> None:
    add_plain(data, "a.jpg")
    if content is not None:
        (data.parent / "names.csv").write_text(content)
    with pytest.raises(ConfigError, match=problem):
        _label(data, rename=data.parent / "names.csv")


def test_a_model_without_names_needs_a_label_map_unless_folders_give_the_class(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless = make_source(FOUND, labels=())
    monkeypatch.setattr("reefline.labelling.autolabel.open_box_source", lambda *_: nameless)
    add_plain(data, "terrier/a.jpg", width_px=SURE)
    with pytest.raises(UsageError, match=r"--model m\.tflite: does not name its classes; pass --label-map FILE"):
        _label(data, labels_from=LabelsFrom.MODEL, model="m.tflite")
    assert _label(data).per_class["terrier"].boxes == 1


def test_a_full_disk_is_a_message_and_the_run_can_be_resumed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_plain(data, "a.jpg", "b.jpg", width_px=SURE)
    copied = []

    def fill_disk(source: Path, target: Path) -> None:
        if len(copied) == 1:
            raise OSError(28, "No space left on device", str(target))
        copied.append(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)

    monkeypatch.setattr("reefline.labelling.autolabel.copy_file", fill_disk)
    with pytest.raises(
        DataError, match=r"No space left on device\): free space, then run the command again with --res"
    ):
        _label(data)
    monkeypatch.undo()
    monkeypatch.setattr("reefline.labelling.autolabel.open_box_source", lambda *_: make_source(FOUND))
    assert _label(data, mode=OutputMode.RESUME).images["labelled"] == 2


def test_no_readable_image_is_an_error(data: Path) -> None:
    (data / "a.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"no image can be read; see .*autolabel\.json"):
        _label(data)
