"""Draws the pictures of docs/data-preparation.md that show commands, by running them on generated images.

    python docs/images/data_preparation.py [NAME ...]

NAME is download, prepare, convert, labels or spans; all by default. Needs Chromium, as `make browser` does.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES_DIR = Path(__file__).resolve().parent
REPO_DIR = PICTURES_DIR.parents[1]
sys.path.insert(0, str(REPO_DIR))

from reefline.data.demo import draw_demo_image, generate_demo_data  # noqa: E402
from reefline.system.terminal import say  # noqa: E402
from tests.image_server import Reply, serve_images  # noqa: E402

# Flat pictures keep their looks, and a quarter of their bytes.
_PALETTE = 96
_WIDTH_COLUMNS = 110
_PAGE_WIDTH_PX = 1100
_SPANS_MARGIN_PX = 12
_LITTLE_TRAINING = (
    "trainer.num_steps=2",
    "trainer.steps_per_eval=1",
    "trainer.warmup_steps=1",
    "trainer.batch_size=8",
    "trainer.input_size=96",
    "exporter.calibration_images=2",
)


def main() -> None:
    """Draw the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*_DRAWINGS, []], metavar="NAME")
    names = parser.parse_args().names or [*_DRAWINGS]
    with tempfile.TemporaryDirectory() as scratch, _open_page() as page:
        for name in names:
            folder = Path(scratch) / name
            folder.mkdir()
            image = Image.open(io.BytesIO(_DRAWINGS[name](folder, page)))
            target = PICTURES_DIR / f"{name}.png"
            image.convert("RGB").quantize(_PALETTE, dither=Image.Dither.NONE).save(target, optimize=True)
            say(f"{target.relative_to(REPO_DIR)}: {target.stat().st_size / 1000:.0f} kB")


@contextlib.contextmanager
def _open_page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not start as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield browser.new_page(viewport={"width": _PAGE_WIDTH_PX, "height": 900})
        browser.close()


def _draw_download(folder: Path, page: Page) -> bytes:
    images = {f"/{index}.jpg": draw_demo_image(0, index) for index in range(40)}
    replies = {path: Reply(content) for path, (content, _) in images.items()} | {"/39.jpg": Reply(b"<html>gone</html>")}
    with serve_images(replies) as site:
        lines = [f"{site.url(path)},{objects[0].label}" for path, (_, objects) in images.items()]
        (folder / "shapes.csv").write_text("\n".join(["url,label", *lines, f"{site.url('/40.jpg')},disc"]))
        command = ["reefline", "download", "--from-urls", "shapes.csv", "--out", "pictures", "--delay", "0"]
        return _draw_terminal(page, folder, [[*command, "--allow-private"]])


def _draw_prepare(folder: Path, page: Page) -> bytes:
    for index in range(40):
        content, objects = draw_demo_image(0, index)
        image = folder / "pictures" / objects[0].label / f"{index}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(content if index != 4 else b"<html>gone</html>")
    command = ["reefline", "prepare", "pictures", "--out", "prepared", "--min-dimension", "200"]
    split = [*command, "--eval-fraction", "0.2"]
    return _draw_terminal(page, folder, [split, [*split, "--resume"]])


def _draw_convert(folder: Path, page: Page) -> bytes:
    _write_data(folder / "data")
    to_coco = ["reefline", "convert", "data", "--to", "coco", "--out", "coco"]
    to_yolo = ["reefline", "convert", "coco", "--to", "yolo", "--out", "yolo"]
    return _draw_terminal(page, folder, [to_coco, to_yolo])


def _draw_labels(folder: Path, page: Page) -> bytes:
    _write_data(folder / "data")
    for name, old, new in (("00", "disc", "Disc"), ("07", "square", "sqaure")):
        annotation = folder / "data" / "Annotations" / f"demo_000{name}.xml"
        annotation.write_text(annotation.read_text().replace(f"<name>{old}</name>", f"<name>{new}</name>"))
    renames = ["--rename", "Disc=disc", "--rename", "sqaure=square"]
    renaming = ["reefline", "labels", "data", *renames, "--out", "clean"]
    return _draw_terminal(page, folder, [["reefline", "labels", "data"], renaming])


def _write_data(folder: Path) -> None:
    generate_demo_data(folder, images=60)
    (folder / "demo.json").unlink()


def _draw_spans(folder: Path, page: Page) -> bytes:
    """Draw the section of a run's page; the run trains as little as it can."""
    generate_demo_data(folder / "spring", images=120)
    generate_demo_data(folder / "summer", images=120, seed=1)
    for annotation in (folder / "summer" / "Annotations").glob("*.xml"):
        annotation.write_text(annotation.read_text().replace("<name>triangle</name>", "<name>disc</name>"))
    options = [
        "--config",
        str(REPO_DIR / "configs" / "demo.yaml"),
        *(f"--set={setting}" for setting in _LITTLE_TRAINING),
    ]
    command = [sys.executable, str(REPO_DIR / "local_runner.py"), "--data", "spring", "--data", "summer", *options]
    subprocess.run(command, cwd=folder, check=False)
    page.goto((folder / "workspace" / "reports" / "latest" / "index.html").as_uri())
    heading = page.locator("h3", has_text="Spans").bounding_box()
    last = page.get_by_label("Differences of the newest span").bounding_box()
    assert heading is not None and last is not None
    area = {
        "x": heading["x"] - _SPANS_MARGIN_PX,
        "y": heading["y"] - _SPANS_MARGIN_PX,
        "width": last["width"] + 2 * _SPANS_MARGIN_PX,
        "height": last["y"] + last["height"] - heading["y"] + 2 * _SPANS_MARGIN_PX,
    }
    return page.screenshot(clip=area, full_page=True)


def _draw_terminal(page: Page, folder: Path, commands: list[list[str]]) -> bytes:
    """Run commands in a folder, and draw them with their output as a terminal shows them."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=_WIDTH_COLUMNS, file=io.StringIO())
    environment = {**os.environ, "PYTHONPATH": str(REPO_DIR)}
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        console.print(Text(f"$ {shlex.join(command)}", style="bold"))
        console.print(Text(done.stdout.rstrip()))
    page.set_content(console.export_svg(title=f"reefline {commands[0][1]}"))
    return page.locator("svg").screenshot()


_DRAWINGS: dict[str, Callable[[Path, Page], bytes]] = {
    "download": _draw_download,
    "prepare": _draw_prepare,
    "convert": _draw_convert,
    "labels": _draw_labels,
    "spans": _draw_spans,
}


if __name__ == "__main__":
    main()
