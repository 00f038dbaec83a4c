import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.cli import app
from tests.factories import add_image, make_object
from tests.factories_labelling import add_plain, make_source

FOUND = {64: [(4, 4, 20, 30, 1, 0.9)], 72: [(4, 4, 20, 30, 0, 0.4)]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in ("autolabel", "review"):
        monkeypatch.setattr(f"reefline.labelling.{module}.open_box_source", lambda *_: make_source(FOUND))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(*arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output.splitlines()


def test_autolabel_sums_up_and_says_what_to_do_next(folder: Path) -> None:
    add_plain(folder / "in", "sure.jpg", width_px=64)
    add_plain(folder / "in", "unsure.jpg", width_px=72)
    add_plain(folder / "in", "nothing.jpg", width_px=80)
    add_image(folder / "in", "human")
    (folder / "in" / "bad.jpg").write_bytes(b"no image")
    code, lines = _run("autolabel", "in", "--out", "out")
    assert code == 0
    assert lines[-11:] == [
        "model: fake",
        "boxes: 2 (1 cat, 1 dog)",
        "images labelled: 1",
        "images to review: 1 in doubt, 1 with nothing found",
        "images with their own annotations: 1, kept",
        "error: bad.jpg: not a readable JPEG, PNG, BMP, WebP, GIF or TIFF image, despite its name",
        "pictures: out/autolabel.html",
        "check the boxes: labelImg out/JPEGImages out/classes.txt out/Annotations",
        "check those in doubt: labelImg out/review/JPEGImages out/classes.txt out/review/Annotations",
        "then add them to the data set: rm out/review/.reefline-ignore",
        "train: python local_runner.py --data out",
    ]


def test_autolabel_prints_json_alone(folder: Path) -> None:
    add_plain(folder / "in", "sure.jpg", width_px=64)
    code, lines = _run("autolabel", "in", "--out", "out", "--json")
    assert code == 0
    assert json.loads("\n".join(lines)) == json.loads((folder / "out" / "autolabel.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--boxes", "some"], "--boxes some: expected one of auto, best, all"),
        (["--labels-from", "x"], "--labels-from x: expected one of auto, folder, model"),
        (["--tiles", "8"], "--tiles 8: expected at least 64 pixels"),
        (["--resume", "--overwrite"], "--resume and --overwrite exclude each other: pass one of them"),
        (["--detector-classes", "cat, cow"], "--detector-classes: the model has no class 'cow'; it has cat, dog"),
        (["--min-score", "0.95"], "in: nothing found in any image; lower --min-score, change --detector-classes, or"),
    ],
    ids=["boxes", "labels-from", "tiles", "mode", "class", "nothing found"],
)
def test_autolabel_refuses_what_does_not_fit(folder: Path, arguments: list[str], problem: str) -> None:
    add_plain(folder / "in", "sure.jpg", width_px=64)
    code, lines = _run("autolabel", "in", "--out", "out", *arguments)
    assert code == 2
    assert lines[-1].startswith(f"error: {problem}")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["autolabel", "in"], "error: stopped by Ctrl-C; run the same command with --resume to continue"),
        (["review-labels", "in", "--model", "m"], "error: stopped by Ctrl-C; run the same command with --overwrite"),
    ],
    ids=["autolabel", "review-labels"],
)
def test_ctrl_c_exits_with_130(folder: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], message: str) -> None:
    add_image(folder / "in", "annotated")
    add_plain(folder / "in", "plain.jpg")

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    for module in ("autolabel", "review"):
        monkeypatch.setattr(f"reefline.labelling.{module}.open_box_source", lambda *_: make_source(detect=stop))
    code, lines = _run(*command, "--out", "out")
    assert code == 130
    assert lines[-1].startswith(message)


def test_review_labels_sums_up(folder: Path) -> None:
    add_image(folder / "in", "a", objects=[make_object("cat", (4, 4, 20, 30)), make_object("bird", (30, 4, 50, 30))])
    (folder / "in" / "b.xml").write_text("<annotation>")
    code, lines = _run("review-labels", "in", "--model", "m", "--out", "out")
    assert code == 0
    assert lines[1:] == [
        "model: fake",
        "compared: 2 boxes in 1 image(s)",
        "to check: 1 (0 missing box, 1 wrong class, 0 loose box)",
        "not compared: 1 box(es) of bird, a class that the model does not know",
        lines[5],
        "pictures: out/review.html; list: out/review.csv",
        "correct them: labelImg out/to_review out/classes.txt out/to_review",
    ]
    assert lines[5].startswith("error: b.xml")


def test_review_labels_without_doubts_names_no_next_step(folder: Path) -> None:
    add_image(folder / "in", "a", objects=[make_object("dog", (4, 4, 20, 30))])
    code, lines = _run("review-labels", "in", "--model", "m", "--out", "out")
    assert code == 0
    assert lines[-1] == "pictures: out/review.html; list: out/review.csv"


def test_review_labels_prints_json_alone(folder: Path) -> None:
    add_image(folder / "in", "a", objects=[make_object("cat", (4, 4, 20, 30))])
    code, lines = _run("review-labels", "in", "--model", "m", "--json")
    review = json.loads("\n".join(lines))
    assert code == 0 and (review["images"], review["boxes"]) == (1, 1)
    assert [(each["image"], each["doubt"]["kind"]) for each in review["doubts"]] == [("a.jpg", "wrong class")]
