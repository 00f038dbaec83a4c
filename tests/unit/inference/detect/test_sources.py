"""The images that a command line names."""

from __future__ import annotations

from reefline.inference.detect.sources import find_sources


def make_files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def pictures(*arguments):
    return [(source.path.name, source.picture) for source in find_sources(arguments).sources]


def test_folder_is_its_images_in_order_of_name(tmp_path):
    make_files(tmp_path, "b.PNG", "a.jpe", "notes.txt", ".hidden.jpg", "deeper/c.jpg")

    assert pictures(tmp_path) == [("a.jpe", "a.jpg"), ("b.PNG", "b.png")]


def test_pictures_of_one_name_are_numbered(tmp_path):
    make_files(tmp_path, "x/a.jpg", "y/a.jpeg", "z/A.jpg", "z/a.webp")

    assert [picture for _, picture in pictures(tmp_path / "x", tmp_path / "y", tmp_path / "z")] == [
        "a.jpg", "a-2.jpg", "A-3.jpg", "a.png"
    ]  # fmt: skip


def test_image_that_is_named_twice_is_seen_once(tmp_path):
    make_files(tmp_path, "a.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")

    assert pictures(tmp_path / "a.jpg", tmp_path, tmp_path / "link.jpg") == [("a.jpg", "a.jpg")]


def test_file_that_is_named_needs_no_suffix(tmp_path):
    make_files(tmp_path, "frame")

    assert pictures(tmp_path / "frame") == [("frame", "frame.png")]


def test_name_that_is_too_long_is_a_problem(tmp_path):
    make_files(tmp_path, "a.jpg")
    found = find_sources((tmp_path / ("x" * 300), tmp_path / "a.jpg"))

    assert found.problems == (f"{tmp_path / ('x' * 300)}: cannot read it (File name too long); name another",)
    assert [source.picture for source in found.sources] == ["a.jpg"]
