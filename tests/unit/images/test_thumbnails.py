from __future__ import annotations

import io

import pytest
from PIL import Image

from reefline.images.thumbnails import ThumbnailWriter, make_thumbnail, read_thumbnails


@pytest.mark.parametrize(
    ("mode", "size_px", "expected_px"),
    [
        pytest.param("RGB", (640, 480), (320, 240), id="half"),
        pytest.param("RGB", (500, 1000), (160, 320), id="upright"),
        pytest.param("RGB", (40, 30), (40, 30), id="small-stays"),
        pytest.param("L", (640, 640), (320, 320), id="grey"),
        pytest.param("RGB", (5000, 2), (320, 1), id="a-line"),
    ],
)
def test_size_and_colour(mode, size_px, expected_px):
    image = Image.new(mode, size_px, "white")
    with Image.open(io.BytesIO(make_thumbnail(image))) as small:
        assert (small.format, small.mode, small.size) == ("JPEG", "RGB", expected_px)
        assert small.getpixel((0, 0)) == (255, 255, 255)
    assert (image.mode, image.size) == (mode, size_px)


def test_names_of_any_file_system_come_back(tmp_path):
    names = {"a/b.jpg", "back\\slash.jpg", "кошка 🐕.jpg", "not-utf8-\udcff.jpg", "line\nbreak.jpg", "100%25.jpg"}
    with ThumbnailWriter(tmp_path / "thumbnails.zip") as writer:
        for name in names:
            writer.add(name, Image.new("RGB", (4, 4)))

    thumbnails = read_thumbnails(tmp_path / "thumbnails.zip", names | {"other.jpg"})

    assert set(thumbnails) == names
    assert all(jpeg.startswith(b"\xff\xd8") for jpeg in thumbnails.values())


def test_missing_file_has_no_thumbnails(tmp_path):
    assert read_thumbnails(tmp_path / "thumbnails.zip", {"a.jpg"}) == {}
