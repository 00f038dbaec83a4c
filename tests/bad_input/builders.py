"""The inputs of the table: edits of a data folder, and files as cameras, tools and attackers write them."""

from __future__ import annotations

import gzip
import io
import os
import re
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.factories import HEIGHT_PX, WIDTH_PX, add_image, encode_image, make_jpeg, make_object, make_pixels, make_xml

Edit = Callable[[Path], object]


def put(path: str, content: bytes | str = b"") -> Edit:
    """Write a file, and the folders around it."""

    def edit(folder: Path) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())

    return edit


def make_folder(path: str) -> Edit:
    return lambda folder: (folder / path).mkdir(parents=True)


def link(path: str, target: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(target)

    return edit


def fifo(path: str) -> Edit:
    return lambda folder: os.mkfifo(folder / path)


def unix_socket(path: str) -> Edit:
    """Leave a socket's file; its address may not be longer than 108 bytes, so it is bound from inside the folder."""

    def edit(folder: Path) -> None:
        before = Path.cwd()
        os.chdir(folder)
        try:
            with socket.socket(socket.AF_UNIX) as end:
                end.bind(path)
        finally:
            os.chdir(before)

    return edit


def delete(path: str) -> Edit:
    return lambda folder: (folder / path).unlink()


def rename(path: str, target: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).rename(folder / target)

    return edit


def lock_folder(path: str) -> Edit:
    """Make a folder that nobody may list; root may, so tests that need it are skipped for root."""

    def edit(folder: Path) -> None:
        add_image(folder / path, "hidden")
        (folder / path).chmod(0)

    return edit


def add(stem: str = "odd", *objects: Any, **facts: Any) -> Edit:
    """Add an annotated image; without objects it has one."""
    return lambda folder: add_image(folder, stem, seed=900, objects=objects or (make_object(),), **facts)


def add_negative(stem: str = "odd") -> Edit:
    return lambda folder: add_image(folder, stem, seed=900, objects=())


def add_copy(stem: str, of: str = "image_000") -> Edit:
    """Add a copy of an image with its annotation."""

    def edit(folder: Path) -> None:
        put(f"{stem}.jpg", (folder / f"{of}.jpg").read_bytes())(folder)
        put(f"{stem}.xml", (folder / f"{of}.xml").read_bytes())(folder)

    return edit


def add_xml(pattern: str, replacement: str, *objects: Any, stem: str = "odd") -> Edit:
    """Add an image whose XML is changed by a regular expression."""

    def edit(folder: Path) -> None:
        add(stem, *objects)(folder)
        text = (folder / f"{stem}.xml").read_text(encoding="utf-8")
        changed = re.sub(pattern, lambda _: replacement, text, count=1, flags=re.S)
        assert changed != text
        (folder / f"{stem}.xml").write_bytes(changed.encode("utf-8", "surrogateescape"))

    return edit


def add_raw_xml(content: bytes, *, image: bytes | None = None) -> Edit:
    """Add odd.jpg with an annotation of any bytes."""

    def edit(folder: Path) -> None:
        put("odd.jpg", image or make_jpeg(900))(folder)
        put("odd.xml", content)(folder)

    return edit


def add_bytes(
    content: bytes, suffix: str = ".jpg", size_px: tuple[int | None, int | None] = (WIDTH_PX, HEIGHT_PX)
) -> Edit:
    """Add odd.<suffix> of any bytes with a usual annotation."""

    def edit(folder: Path) -> None:
        put(f"odd{suffix}", content)(folder)
        put("odd.xml", make_xml(filename=f"odd{suffix}", size_px=size_px))(folder)

    return edit


def lists(root: str = "ImageSets/Main", **names: str | bytes) -> Edit:
    """Write lists of ImageSets."""

    def edit(folder: Path) -> None:
        for name, text in names.items():
            put(f"{root}/{name}.txt", text)(folder)

    return edit


def encode_xml(encoding: str, label: str = "кот", declared: str | None = None) -> bytes:
    """Return an annotation in an encoding, with the encoding declared."""
    text = make_xml([make_object(label)], filename="odd.jpg").decode()
    return text.replace("utf-8", declared or encoding).encode(encoding)


def save(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def picture(mode: str = "RGB", image_format: str = "PNG", *, seed: int = 900, **options: Any) -> bytes:
    """Return a picture of the usual size in a mode and format."""
    return save(Image.fromarray(make_pixels(seed)).convert(mode), image_format, **options)


def deep_picture(highest: int, image_format: str = "PNG") -> bytes:
    """Return 16-bit grey pixels from 0 to `highest`."""
    ramp = np.linspace(0, highest, WIDTH_PX * HEIGHT_PX).reshape(HEIGHT_PX, WIDTH_PX).astype(np.uint16)
    return save(Image.fromarray(ramp), image_format)


def float_picture(highest: float) -> bytes:
    ramp = np.linspace(0, highest, WIDTH_PX * HEIGHT_PX).reshape(HEIGHT_PX, WIDTH_PX).astype(np.float32)
    return save(Image.fromarray(ramp), "TIFF")


def animation(image_format: str) -> bytes:
    frames = [Image.fromarray(make_pixels(seed)) for seed in (900, 901)]
    return save(frames[0], image_format, save_all=True, append_images=frames[1:])


def oriented(orientation: int, image_format: str = "JPEG") -> bytes:
    return encode_image(make_pixels(900), image_format, orientation=orientation)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def huge_png(width_px: int, height_px: int) -> bytes:
    """Return a small PNG that declares a size, and has hardly any pixels."""
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(100)))


def cut(content: bytes, share: float, end: bytes = b"") -> bytes:
    return content[: int(len(content) * share)] + end


def with_byte(content: bytes, share: float, replacement: bytes) -> bytes:
    """Overwrite bytes of a JPEG's last scan."""
    start = content.rindex(b"\xff\xda") + 14
    at = start + int(share * (len(content) - 2 - start))
    return content[:at] + replacement + content[at + len(replacement) :]


LARGE_JPEG = make_jpeg(900, width_px=320, height_px=240)
LARGE_PROGRESSIVE = save(Image.fromarray(make_pixels(900, width_px=320, height_px=240)), "JPEG", progressive=True)
GZIP_OF_TEXT = gzip.compress(b"no tar")
