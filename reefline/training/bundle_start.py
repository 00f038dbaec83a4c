"""A Reefline bundle to start from: its int8 file brings back a model whose checkpoints are lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reefline.bundle.layout import INT8_FILE
from reefline.bundle.manifest import MANIFEST_FILE, read_manifest
from reefline.errors import BundleError
from reefline.system.files import hash_file


@dataclass(frozen=True)
class BundleStart:
    """A bundle's int8 file, and (height, width) of its input in pixels."""

    int8_model: Path
    size_px: tuple[int, int]


def open_bundle(bundle: Path) -> BundleStart:
    """Return the int8 file of a bundle, after comparing it with its manifest.

    Raises:
        BundleError: the bundle is damaged, or has no int8 model.
    """
    manifest = read_manifest(bundle)
    recorded = {file.name: file.sha256 for file in manifest.files}
    if INT8_FILE not in recorded:
        raise BundleError(
            f"trainer.start: {bundle}: holds a float model only, whose weights cannot be read back; "
            "use a bundle with an int8 model, or the checkpoint that the manifest names"
        )
    path = bundle / INT8_FILE
    if not path.is_file() or hash_file(path) != recorded[INT8_FILE]:
        raise BundleError(
            f"trainer.start: {path}: missing, or not the file that {MANIFEST_FILE} describes; "
            "restore the bundle or use another start"
        )
    return BundleStart(path, (manifest.facts.height_px, manifest.facts.width_px))
