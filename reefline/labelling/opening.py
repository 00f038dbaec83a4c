"""From the value of --model to a loaded detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.bundle.checking import verify_bundle
from reefline.bundle.home import CURRENT_FILE
from reefline.bundle.manifest import MANIFEST_FILE
from reefline.bundle.remote_bundle import open_bundle
from reefline.bundle.store import read_current
from reefline.errors import BundleError, DownloadError, UsageError
from reefline.inference.detect.runtime import load_model
from reefline.inference.detector import PLAIN_PIXELS, TfliteDetector
from reefline.inference.saved_model_detector import SavedModelDetector
from reefline.labelling.box_source import BoxSource
from reefline.labelling.label_names import ClassNames, fit_names, guess_names, parse_label_lines, read_label_map
from reefline.od_api.model_config import list_templates, load_template
from reefline.storage.location import Location
from reefline.structures.coco_labels import COCO_LABELS
from reefline.structures.detections import Detections
from reefline.system.cores import count_cores
from reefline.system.files import hash_file
from reefline.tflite.metadata import find_embedded_labels, find_normalization
from reefline.tflite.postprocess import read_postprocess_op
from reefline.tflite.reader import is_tflite, naming_damage
from reefline.training.start_files import StartCache

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# The template whose published COCO weights are used without --model: they are 4 MB and fast on a CPU.
DEFAULT_MODEL = "ssd_mobilenet_v1_300"
_SAVED_MODEL_FILE = "saved_model.pb"
# Label maps that lie next to a SavedModel, as Reefline and the OD API name them.
_LABEL_FILES = ("label_map.pbtxt", "labels.txt")
_BATCH = 8
_EXPECTED = (
    "expected a .tflite detector, a SavedModel's folder, a Reefline bundle (a folder or s3://…), or a model whose "
    "published weights detect COCO's classes"
)


def open_box_source(model: str | None, label_map: str | None = None) -> BoxSource:
    """Load a detector: a TFLite file, a SavedModel's folder, a bundle, or published weights by their template's name.

    `label_map` overrides the names of the classes (see `read_label_map`). TensorFlow is imported for a SavedModel only.

    Raises:
        UsageError: `model` is none of them, or the label map does not fit.
        ConfigError: the label map cannot be read.
        DownloadError: published weights cannot be downloaded.
        BundleError, StorageError: the model is damaged, or cannot be read.
    """
    names = None if label_map is None else read_label_map(label_map)
    if model is None:
        return _open_published(DEFAULT_MODEL, names)
    location = Location.parse(model)
    if location.is_remote:
        return _open_bundle(open_bundle(location), names)
    path = location.local_path
    if path.is_file():
        return _open_file(path, names)
    if (path / CURRENT_FILE).is_file():
        path /= str(read_current(path.parent, path.name))
    if (path / MANIFEST_FILE).is_file():
        return _open_bundle(path, names)
    for folder in (path, path / "saved_model"):
        if (folder / _SAVED_MODEL_FILE).is_file():
            return _open_saved_model(folder, names)
    if not path.exists() and model in list_templates():
        return _open_published(model, names)
    problem = "holds no model" if path.is_dir() else "not found"
    raise UsageError(f"--model {model}: {problem}; {_EXPECTED}: {', '.join(_list_published())}")


def _list_published() -> list[str]:
    templates = (load_template(name) for name in list_templates())
    return [each.name for each in templates if each.published is not None and each.published.knows.startswith("COCO")]


def _open_published(template: str, names: ClassNames | None) -> BoxSource:
    published = load_template(template).published
    if published is None or template not in _list_published():
        raise UsageError(
            f"--model {template}: its published weights are no detector; use one of {', '.join(_list_published())}"
        )
    cache = StartCache()
    try:
        path = cache.fetch_pinned(published.url, published.sha256)
    except DownloadError as error:
        folder = next(iter(cache.local_folders), cache.folder)
        raise DownloadError(
            f"--model {template}: {error}. Without network, put the file with sha256 {published.sha256} into {folder}, "
            "under any name, or pass another --model"
        ) from error
    return _load_tflite(path, names or COCO_LABELS, f"{template}, {published.knows}")


def _open_file(path: Path, names: ClassNames | None) -> BoxSource:
    try:
        if not is_tflite(path):
            raise UsageError(f"--model {path}: not a TFLite file; {_EXPECTED}: {', '.join(_list_published())}")
    except OSError as error:
        raise BundleError(f"{path}: cannot read it ({error.strerror}); pass a TFLite file") from error
    if names is None:
        text = find_embedded_labels(path.read_bytes())
        names = None if text is None else parse_label_lines(text)
    if names is None:
        names = guess_names(read_postprocess_op(path).num_classes)
    return _load_tflite(path, names, path.name)


def _load_tflite(path: Path, names: ClassNames, shown: str) -> BoxSource:
    with naming_damage(path):
        normalization = find_normalization(path.read_bytes())
    detector = TfliteDetector(path, count_cores(), normalization=normalization or PLAIN_PIXELS)
    labels = fit_names(names, detector.num_classes, shown) if names else ()
    return BoxSource(shown, hash_file(path), labels, 1, _OneByOne(detector))


class _OneByOne:
    """Runs a detector for single images on several."""

    def __init__(self, detector: TfliteDetector) -> None:
        self._detector = detector

    def __call__(self, images_rgb: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        return [self._detector.detect(image) for image in images_rgb]


def _open_bundle(path: Path, names: ClassNames | None) -> BoxSource:
    manifest = verify_bundle(path)
    loaded = load_model(path, manifest)
    scores = {label: score for label, score in manifest.facts.evaluation.thresholds.items() if score is not None}
    return BoxSource(
        name=f"{manifest.facts.model} version {manifest.version}",
        identity=manifest.shipped_file.sha256,
        labels=fit_names(names, len(loaded.labels), "--label-map") if names else loaded.labels,
        batch_size=1,
        detect=_OneByOne(loaded.detector),
        suggested_scores=scores,
    )


def _open_saved_model(folder: Path, names: ClassNames | None) -> BoxSource:
    detector = SavedModelDetector(folder)
    if names is None:
        places = (place / file for place in (folder, folder.parent) for file in _LABEL_FILES)
        found = next((path for path in places if path.is_file()), None)
        # With the background's column, or without.
        names = guess_names(detector.score_columns) if found is None else read_label_map(str(found))
    return BoxSource(
        name=folder.parent.name if folder.name == "saved_model" else folder.name,
        identity=hash_file(folder / _SAVED_MODEL_FILE),
        labels=names,
        batch_size=detector.batch_size or _BATCH,
        detect=detector.detect_batch,
    )
