"""A Reefline bundle to start from: its int8 file brings back a model whose checkpoints are lost."""

from __future__ import annotations

from pathlib import Path

from reefline.bundle.layout import INT8_FILE
from reefline.bundle.manifest import MANIFEST_FILE, read_manifest
from reefline.errors import BundleError
from reefline.system.files import hash_file


def locate_int8_model(bundle: Path) -> Path:
    """Return the int8 file of a bundle, after comparing it with its manifest.

    Raises:
        BundleError: the bundle is damaged, or has no int8 model.
    """
    recorded = {file.name: file.sha256 for file in read_manifest(bundle).files}
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
    return path


def read_bundle_size(bundle: Path) -> tuple[int, int]:
    """Return (height, width) of a bundle's model in pixels.

    Raises:
        BundleError: the manifest is damaged.
    """
    facts = read_manifest(bundle).facts
    return facts.height_px, facts.width_px
