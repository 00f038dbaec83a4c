import csv
import os
import re
from pathlib import Path

import pytest

from reefline.curation.output_folder import OutputMode
from reefline.errors import DataError, UsageError
from reefline.formats.voc import parse_voc_annotation
from reefline.labelling.disagreement import DoubtKind
from reefline.labelling.review import LabelReview, ReviewRequest, review_labels
from tests.factories import add_image, make_jpeg, make_object, make_xml
from tests.factories_labelling import add_plain, make_source

BOX = (4.0, 4.0, 20.0, 30.0)
FOUND = {64: [(*BOX, 1, 0.9), (40, 10, 60, 30, 0, 0.6)]}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("reefline.labelling.review.open_box_source", lambda *_: make_source(FOUND))
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def _review(data: Path, **facts: object) -> LabelReview:
    return review_labels(ReviewRequest(data, data.parent / "out", "m", is_quiet=True, **facts))


def test_doubts_are_ranked_listed_and_linked(data: Path) -> None:
    add_image(data, "wrong", objects=[make_object("cat", BOX)], images="JPEGImages", annotations="Annotations")
    box = make_object("cat", (40, 10, 60, 30))
    add_image(data, "right", objects=[make_object("dog", BOX), box], images="JPEGImages", annotations="Annotations")
    review = _review(data)
    assert (review.images, review.boxes, review.problems) == (2, 3, ())
    assert [each.doubt.kind for each in review.doubts] == [DoubtKind.WRONG_CLASS, DoubtKind.MISSING_BOX]
    out = data.parent / "out"
    rows = list(csv.DictReader((out / "review.csv").open()))
    assert [(row["rank"], row["kind"], row["score"]) for row in rows] == [
        ("1", "wrong class", "0.9"),
        ("2", "missing box", "0.6"),
    ]
    assert (rows[0]["object"], rows[0]["annotated"], rows[0]["detected"], rows[0]["x_min"]) == (
        "0",
        "cat",
        "dog",
        "4.0",
    )
    assert rows[0]["annotation"] == "Annotations/wrong.xml"
    assert (out / "images.txt").read_text() == "JPEGImages/wrong.jpg\n"
    assert (out / "classes.txt").read_text() == "cat\ndog\n"
    page = (out / "review.html").read_text()
    assert "1. cat should be dog? (confidence 0.90)" in page and 'class="truth"' in page and 'class="wrong"' in page
    assert "2. no box for cat (confidence 0.60)" in page
    assert page.index("<h2>Wrong class</h2>") < page.index("<h2>Missing box</h2>") and "Loose box" not in page


def test_the_page_shows_as_many_of_each_kind_as_asked_for(data: Path) -> None:
    for name in ("a", "b", "c"):
        add_image(data, name, objects=[make_object("cat", BOX)], images="JPEGImages", annotations="Annotations")
    _review(data, pictures=2)
    page = (data.parent / "out" / "review.html").read_text()
    assert page.count("should be dog?") == 2 and page.count("no box for cat") == 2
    assert page.count("1 more not shown.") == 2
    assert len((data.parent / "out" / "review.csv").read_text().splitlines()) == 7


def test_what_an_editor_saved_in_place_of_a_link_is_not_deleted(data: Path) -> None:
    add_image(data, "wrong", objects=[make_object("cat", BOX)], images="JPEGImages", annotations="Annotations")
    _review(data)
    link = data.parent / "out" / "to_review" / "JPEGImages" / "wrong.xml"
    saved = link.with_name("new.xml")
    saved.write_bytes(b"corrected")
    saved.replace(link)
    original = data / "Annotations" / "wrong.xml"
    with pytest.raises(DataError, match=rf"wrong\.xml: an editor saved it in place of a link; move it to {original}"):
        _review(data, mode=OutputMode.OVERWRITE)
    assert link.read_bytes() == b"corrected"
    link.unlink()
    _review(data, mode=OutputMode.OVERWRITE)
    assert link.is_symlink()


def test_what_is_saved_in_the_links_is_saved_in_the_data_set(data: Path) -> None:
    add_image(data, "wrong", objects=[make_object("cat", BOX)], images="JPEGImages", annotations="Annotations")
    _review(data)
    link = data.parent / "out" / "to_review" / "JPEGImages" / "wrong.xml"
    # As LabelImg does: it opens the file and writes.
    link.write_bytes(make_xml([make_object("dog", BOX)], filename="wrong.jpg"))
    saved = parse_voc_annotation((data / "Annotations" / "wrong.xml").read_bytes())
    assert [item.label for item in saved.objects] == ["dog"]
    assert (link.parent / "wrong.jpg").read_bytes() == (data / "JPEGImages" / "wrong.jpg").read_bytes()


def test_a_folder_whose_name_is_not_utf_8_is_reviewed(data: Path) -> None:
    add_image(data, "wrong", objects=[make_object("cat", BOX)])
    renamed = data.rename(data.parent / os.fsdecode(b"in\xff"))
    _review(renamed)
    assert r"Labels of in\xff to review" in (data.parent / "out" / "review.html").read_text()


def test_boxes_on_the_stored_image_are_compared_there(data: Path) -> None:
    # Stored 64 x 48, and drawn so; upright it would be 48 x 64.
    image = make_jpeg(width_px=64, height_px=48, orientation=6)
    add_image(
        data, "turned", objects=[make_object("dog", BOX), make_object("cat", (40, 10, 60, 30))], image_bytes=image
    )
    review = _review(data)
    assert review.images == 1 and review.doubts == ()


def test_classes_that_the_model_does_not_know_are_counted(data: Path) -> None:
    add_image(data, "a", objects=[make_object("bird", BOX), make_object("cat", (40, 10, 60, 30))])
    assert _review(data).unknown_labels == {"bird": 1}
    assert "Classes that the model does not know" in (data.parent / "out" / "review.html").read_text()


def test_what_cannot_be_read_is_listed_and_the_rest_is_reviewed(data: Path) -> None:
    add_image(data, "a", objects=[make_object("cat", BOX)])
    add_image(data, "b", objects=[make_object("cat", BOX)], image_bytes=b"no image")
    (data / "c.xml").write_text("<annotation>")
    (data / "c.jpg").write_bytes(make_jpeg())
    review = _review(data)
    assert review.images == 1
    assert any(problem.startswith("b.jpg: ") for problem in review.problems)
    assert any(re.match(r"c\.xml.*cannot parse the XML", problem) for problem in review.problems)


def test_without_doubts_the_page_has_no_pictures_and_a_second_run_needs_overwrite(data: Path) -> None:
    add_image(data, "a", objects=[make_object("dog", BOX), make_object("cat", (40, 10, 60, 30))])
    assert _review(data).doubts == ()
    assert "<h2>Wrong class" not in (data.parent / "out" / "review.html").read_text()
    with pytest.raises(UsageError, match="exists and is not empty"):
        _review(data)
    assert _review(data, mode=OutputMode.OVERWRITE).doubts == ()


def test_a_data_set_without_known_classes_is_refused(data: Path) -> None:
    add_image(data, "a", objects=[make_object("bird")])
    with pytest.raises(
        UsageError, match=r"knows none of the data set's classes \(bird\); pass a model that was trained"
    ):
        _review(data)


def test_images_without_annotations_cannot_be_reviewed(data: Path) -> None:
    add_plain(data, "a.jpg")
    with pytest.raises(DataError, match=r"holds no annotations to review; label the images first"):
        _review(data)


def test_a_model_without_names_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reefline.labelling.review.open_box_source", lambda *_: make_source(labels=()))
    add_image(data, "a")
    with pytest.raises(UsageError, match="--model m: does not name its classes; pass --label-map FILE"):
        _review(data)


def test_a_score_out_of_range_is_refused(data: Path) -> None:
    with pytest.raises(UsageError, match="--min-score 2: expected a number from 0 to 1"):
        _review(data, min_score=2)
