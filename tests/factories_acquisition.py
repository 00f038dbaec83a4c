"""Builders for downloads: origins of images, and what search services answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reefline.structures.image_origin import ImageOrigin


def make_origin(file: str = "a.jpg", **facts: Any) -> ImageOrigin:
    origin = ImageOrigin(
        file=file,
        url="https://images.example/a.jpg",
        source="openverse",
        sha256="a" * 64,
        bytes=1000,
        width_px=64,
        height_px=48,
        time="2026-01-02T03:04:05Z",
        page="https://images.example/a",
        license="CC BY 4.0",
        license_url="https://creativecommons.org/licenses/by/4.0/",
        author="Ada",
    )
    return replace(origin, **facts)
