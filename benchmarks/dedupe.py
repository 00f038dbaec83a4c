"""How many duplicates does `reefline dedupe` find, how many of its finds are wrong, and how long does it take?

    python benchmarks/dedupe.py [--source DIR] [--images 300] [--timed 10000]

Each image gets changed copies of seven kinds. Recall is the share of copies whose original is found, precision the
share of finds that are right, against all images of the same data set, which are of the same kind. pHash alone, at
several numbers of bits, is measured on the same images. Where ImageHash is installed, so are its whash and its hash for
crops, among 20 images. The images are generated, and those of a data set (--source). `--timed` images are searched by
two processes.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_DIR))

import numpy as np  # noqa: E402
from PIL import Image, ImageDraw, ImageEnhance  # noqa: E402

_PHASH_BITS = (4, 8, 12)
_LOOK_BITS = (4, 6, 8, 10)
# Of 64.
_WHASH_BITS = 4
# Its hash for crops takes up to seconds per image.
_PEER_IMAGES = 20
_DECODED_SIDE_PX = 64

# Yields the numbers of the originals that are found for each changed copy.
Find = Callable[[list[bytes]], Iterator[list[int]]]


def main() -> int:
    """Measure what the options ask for."""
    options = _parse_options()
    from reefline.data.demo import draw_demo_image

    sets = {"generated": [draw_demo_image(1, index)[0] for index in range(options.images)]}
    if options.source is not None:
        sets[options.source.name] = [path.read_bytes() for path in sorted(options.source.rglob("*.jpg"))]
    for name, originals in sets.items() if options.images else ():
        measure_quality(name, originals[: options.images])
    if options.timed:
        measure_speed(options.timed, None if options.source is None else sets[options.source.name])
    return 0


def measure_quality(name: str, originals: list[bytes]) -> None:
    """Print recall and precision of each method for each kind of change."""
    rng = random.Random(0)
    methods = _make_methods(originals)
    peers = ("whash", "crop-resistant")
    copies: dict[str, list[bytes]] = {}
    for content in originals:
        for kind, copy in _change(content, rng):
            copies.setdefault(kind, []).append(copy)
    print(f"\n{name}, {len(originals)} images: recall / precision")
    print(f"{'':24}" + "".join(f"{kind:>14}" for kind in copies) + f"{'unchanged':>14}")
    for method, find in methods.items():
        limit = _PEER_IMAGES if method.startswith(peers) else len(originals)
        cells = []
        for contents in copies.values():
            found = list(find(contents[:limit]))
            right = sum(number in numbers for number, numbers in enumerate(found))
            wrong = sum(len(set(numbers) - {number}) for number, numbers in enumerate(found))
            cells.append(f"{right / len(found):.3f} / {right / max(1, right + wrong):.3f}")
        pairs = sum(len(set(numbers) - {number}) for number, numbers in enumerate(find(originals))) // 2
        print(f"{method:24}" + "".join(f"{cell:>14}" for cell in cells) + f"{pairs:>8} pairs")


def measure_speed(count: int, photographs: list[bytes] | None) -> None:
    """Print the seconds of a search among `count` images by two processes, reading and comparing included."""
    from reefline.curation.duplicates import DedupeRequest, find_duplicates

    with tempfile.TemporaryDirectory() as folder:
        _write_distinct(Path(folder), count, photographs)
        started_s, started_cpu_s, own_cpu_s = time.monotonic(), _cpu_s(), time.process_time()
        search = find_duplicates(DedupeRequest(Path(folder), workers=2), lambda done, total: None)
        seconds, cpu_s, own_cpu_s = (
            time.monotonic() - started_s,
            _cpu_s() - started_cpu_s,
            time.process_time() - own_cpu_s,
        )
    print(
        f"\n{count:,} images, 2 processes: {seconds:.1f} s (target: 60 s for 10,000); {cpu_s:.1f} s of CPU, "
        f"{own_cpu_s:.1f} s of it comparing in one process; {len(search.duplicates)} duplicates"
    )


def _cpu_s() -> float:
    """Return the CPU seconds of this process and of those it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _write_distinct(folder: Path, count: int, photographs: list[bytes] | None) -> None:
    """Write images that differ: photographs turned, cut and coloured at random, or generated ones."""
    from reefline.data.demo import draw_demo_image

    rng = random.Random(1)
    for index in range(count):
        content = draw_demo_image(2, index)[0]
        if photographs is not None:
            image = Image.open(io.BytesIO(photographs[index % len(photographs)])).convert("RGB")
            width_px, height_px = image.size
            left, upper = rng.randrange(width_px // 2), rng.randrange(height_px // 2)
            part = image.crop((left, upper, left + width_px // 2, upper + height_px // 2))
            content = _encode(part.rotate(90 * rng.randrange(4)).resize(image.size))
        (folder / f"{index:06d}.jpg").write_bytes(content)


def _make_methods(originals: list[bytes]) -> dict[str, Find]:
    methods: dict[str, Find] = {}
    for bits in _PHASH_BITS:
        methods[f"pHash, {bits} bits"] = _by_phash(originals, bits)
    for bits in _LOOK_BITS:
        methods[f"dedupe, {bits} bits"] = _by_looks(originals, bits)
    try:
        import imagehash
    except ImportError:
        return methods
    methods[f"whash, {_WHASH_BITS} bits"] = _by_peer(
        originals[:_PEER_IMAGES], imagehash.whash, lambda a, b: a - b <= _WHASH_BITS
    )
    # matches() with its default cut-offs.
    methods["crop-resistant hash"] = _by_peer(
        originals[:_PEER_IMAGES], imagehash.crop_resistant_hash, lambda a, b: a.matches(b)
    )
    return methods


def _by_peer(originals: list[bytes], compute: Callable[[Any], Any], match: Callable[[Any, Any], bool]) -> Find:
    hashes = [compute(_decode(content)) for content in originals]

    def find(copies: list[bytes]) -> Iterator[list[int]]:
        for copy in copies:
            asked = compute(_decode(copy))
            yield [number for number, other in enumerate(hashes) if match(asked, other)]

    return find


def _by_phash(originals: list[bytes], bits: int) -> Find:
    from reefline.images.perceptual_hash import compute_perceptual_hash, find_near_pairs

    hashes = [compute_perceptual_hash(_decode(content)) for content in originals]

    def find(copies: list[bytes]) -> Iterator[list[int]]:
        for copy in copies:
            asked = [compute_perceptual_hash(_decode(copy))]
            yield [number for _, number, _ in find_near_pairs(asked, hashes, max_bits=bits)]

    return find


def _by_looks(originals: list[bytes], bits: int) -> Find:
    from reefline.images.look_alikes import LookIndex, Turns, make_look

    index = LookIndex([make_look(_decode(content), Turns()) for content in originals], turns=Turns(), max_bits=bits)
    nothing = np.zeros(len(originals), dtype=bool)

    def find(copies: list[bytes]) -> Iterator[list[int]]:
        for copy in copies:
            yield [number for number, _ in index.find(make_look(_decode(copy), Turns()), skip=nothing)]

    return find


def _change(content: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    width_px, height_px = image.size
    cut_x_px, cut_y_px = round(width_px * 0.05), round(height_px * 0.05)
    left, upper = rng.randint(0, cut_x_px), rng.randint(0, cut_y_px)
    yield "rescaled", _encode(image.resize((width_px // 2, height_px // 2), Image.Resampling.LANCZOS))
    yield "recompressed", _encode(image, quality=20)
    yield "cropped", _encode(image.crop((left, upper, left + width_px - cut_x_px, upper + height_px - cut_y_px)))
    yield "cropped round", _encode(image.crop((cut_x_px, cut_y_px, width_px - cut_x_px, height_px - cut_y_px)))
    yield "brightened", _encode(ImageEnhance.Brightness(image).enhance(1.3))
    yield "darkened", _encode(ImageEnhance.Brightness(image).enhance(0.7))
    marked = image.copy()
    draw: Any = ImageDraw.Draw(marked, "RGBA")
    draw.text((width_px * 0.5, height_px * 0.85), "example.org", fill=(255, 255, 255, 200), font_size=height_px // 14)
    yield "watermarked", _encode(marked)


def _encode(image: Image.Image, *, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _decode(content: bytes) -> Image.Image:
    """Decode as the command does."""
    from reefline.images.codec import decode_small

    return decode_small(content, apply_exif=True, max_image_pixels=10**8, side_px=_DECODED_SIDE_PX)[0]


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the search for duplicates.")
    parser.add_argument("--source", type=Path, help="a folder of JPEGs")
    parser.add_argument("--images", type=int, default=300, help="0: measure the speed only")
    parser.add_argument("--timed", type=int, default=10_000, help="0: measure the quality only")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
