import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.cli import app
from tests.factories import add_image, make_jpeg, make_object


@pytest.fixture
def data(tmp_path: Path) -> Path:
    add_image(tmp_path / "in", "a", seed=0, objects=(make_object("cat"),))
    return tmp_path / "in"


def test_convert_writes_and_refuses_a_used_folder(data: Path, tmp_path: Path) -> None:
    command = ["convert", str(data), "--to", "yolo", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "voc to yolo: 1 images with 1 boxes are in" in result.output
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2
    assert "exists and is not empty" in again.output
    assert CliRunner().invoke(app, [*command, "--overwrite"]).exit_code == 0


def test_an_annotation_file_may_lie_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(make_jpeg())
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "export.json").write_text(json.dumps(coco))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["convert", "export.json", "--to", "voc", "--out", "data"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "data" / "Annotations" / "a.xml").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "kitti"], "--to kitti: expected one of voc, coco, yolo, cvat, label-studio"),
        (["--to", "coco", "--from", "coco"], "no coco annotations found"),
    ],
    ids=["unknown format", "another format"],
)
def test_convert_explains_what_it_cannot_do(data: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["convert", str(data), "--out", str(tmp_path / "out"), *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_convert_prints_json_alone(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["convert", str(data), "--to", "coco", "--out", str(out), "--json"])
    assert json.loads(result.stdout) == {
        "from": "voc",
        "to": "coco",
        "out": str(out),
        "images": 1,
        "boxes": 1,
        "problems": [],
    }


@pytest.mark.parametrize(
    ("arguments", "writer"),
    [
        pytest.param(["convert", "--to", "voc"], "reefline.curation.convert.writing.write_format", id="convert"),
        pytest.param(["labels", "--rename", "cat=dog"], "reefline.curation.class_names.write_renamed", id="labels"),
    ],
)
def test_after_ctrl_c_the_output_can_be_overwritten(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], writer: str
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    command, *options = arguments
    arguments = [command, str(data), *options, "--out", str(tmp_path / "out")]
    monkeypatch.setattr(writer, stop)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 130
    assert "stopped by Ctrl-C; run the same command with --overwrite to start again" in result.output
    monkeypatch.undo()
    assert CliRunner().invoke(app, [*arguments, "--overwrite"]).exit_code == 0


def test_labels_counts_and_renames(data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["labels", str(data)])
    assert result.exit_code == 0, result.output
    assert "1 annotated images, 1 classes" in result.output
    renamed = ["labels", str(data), "--rename", "cat=dog", "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(app, renamed).exit_code == 0
    assert "dog        1 boxes" in CliRunner().invoke(app, ["labels", str(tmp_path / "out")]).output


def test_labels_never_changes_the_input(data: Path) -> None:
    result = CliRunner().invoke(app, ["labels", str(data), "--rename", "cat=dog"])
    assert result.exit_code == 2
    assert "need --out DIR" in result.output


@pytest.mark.parametrize(
    "arguments", [["convert", "--to", "voc"], ["labels", "--rename", "cat=dog"]], ids=["convert", "labels"]
)
def test_annotations_changed_in_the_output_are_kept(data: Path, tmp_path: Path, arguments: list[str]) -> None:
    command, *options = arguments
    out = tmp_path / "out"
    call = [command, str(data), *options, "--out", str(out)]
    assert CliRunner().invoke(app, call).exit_code == 0
    assert CliRunner().invoke(app, [*call, "--overwrite"]).exit_code == 0
    xml = next(out.rglob("*.xml"))
    later_ns = (out / ".reefline.json").stat().st_mtime_ns + 1_000_000_000
    os.utime(xml, ns=(later_ns, later_ns))
    result = CliRunner().invoke(app, [*call, "--overwrite"])
    assert result.exit_code == 2
    assert f"a.xml was added or changed since `reefline {command}` wrote it" in result.output
    assert xml.exists()
