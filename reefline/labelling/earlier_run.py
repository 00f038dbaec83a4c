"""What an earlier run wrote: what of it is out of date, and what people have changed in it since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from reefline.curation.data_folder import DataFolder, FolderImage
from reefline.errors import DataError
from reefline.formats.voc import AnnotationSyntaxError, parse_voc_annotation
from reefline.labelling.journal import read_outcomes
from reefline.labelling.placement import ANNOTATIONS, IMAGES, REVIEW, annotation_of
from reefline.labelling.records import ImageOutcome
from reefline.structures.annotation import Annotation
from reefline.structures.output_marker import MARKER_FILE, OutputMarker
from reefline.system.files import hash_file, show_path


class InputHashes(NamedTuple):
    """The sha256 of an image and of its annotation in the input; "" for a file that is missing or unreadable."""

    image: str
    annotation: str


@dataclass(frozen=True)
class InputChanges:
    """What changed in the input since the earlier run.

    `outdated` names images to label again, `gone` has the outcomes to remove. `kept` has a line for each image that
    changed or is gone, but whose labels a person has changed in the output.
    """

    outdated: frozenset[str]
    gone: tuple[ImageOutcome, ...]
    kept: tuple[str, ...]


def is_machine_made(annotation: Annotation) -> bool:
    """Return whether autolabel wrote an annotation, and nobody has changed it since.

    verified="no" alone is not enough: other tools write it for whatever a person has not marked as verified.
    """
    has_scores = all(item.score is not None for item in annotation.objects)
    return annotation.verified is False and bool(annotation.objects) and has_scores


def hash_inputs(folder: DataFolder, image: FolderImage) -> InputHashes:
    """Return the hashes of what an image's labels are made from."""
    return InputHashes(_hash(folder.path_of(image)), "" if image.xml is None else _hash(folder.root / image.xml))


def find_input_changes(out: Path, folder: DataFolder, outcomes: Sequence[ImageOutcome]) -> InputChanges:
    """Compare the input with the outcomes of an earlier run; reads every image that has one."""
    images = {image.image: image for image in folder.images}
    outdated, gone, kept = set(), [], []
    for outcome in outcomes:
        image = images.get(outcome.image)
        if image is not None and hash_inputs(folder, image) == (outcome.image_sha256, outcome.annotation_sha256):
            continue
        is_untouched = _is_untouched(out, outcome)
        if image is None and is_untouched:
            gone.append(outcome)
        elif is_untouched:
            outdated.add(outcome.image)
        else:
            kept.append(_describe_kept(outcome, is_gone=image is None))
    return InputChanges(frozenset(outdated), tuple(gone), tuple(kept))


def remove_outcome_files(out: Path, outcome: ImageOutcome, *, replaced_by: ImageOutcome | None = None) -> None:
    """Delete an image and its annotation from the output, except the files of the outcome that replaces it.

    Raises:
        OSError: a file cannot be deleted.
    """
    for name in set(_files_of(outcome)) - set(_files_of(replaced_by)):
        (out / name).unlink(missing_ok=True)


def check_nothing_lost(out: Path, command: str) -> None:
    """Refuse to overwrite annotations that people changed or added in an output folder of `command`.

    Raises:
        DataError: the folder holds some, or one cannot be read.
    """
    marker = out / MARKER_FILE
    # Other folders are refused by claim_output_folder.
    if not marker.is_file() or OutputMarker.read(marker).command != command:
        return
    try:
        changed = tuple(_find_changed(out))
    except OSError as error:
        raise DataError(f"{error.filename}: cannot read it ({error.strerror}); fix its permissions") from error
    if changed:
        were = "annotation was" if len(changed) == 1 else "annotations were"
        raise DataError(
            f"--out {out}: {len(changed)} {were} changed or added since the last run (first: {show_path(changed[0])}), "
            "so --overwrite is refused: move them elsewhere, or delete the folder yourself"
        )


def _find_changed(out: Path) -> Iterator[str]:
    written = {annotation_of(each.saved_as): each.written_sha256 for each in read_outcomes(out) if each.written_sha256}
    for path in sorted(out.rglob("*")):
        if path.suffix.lower() == ".xml" and path.is_file():
            name = path.relative_to(out).as_posix()
            # A run that was killed may have written an annotation without noting it.
            if _hash(path) != written[name] if name in written else not _holds_machine_made(path):
                yield name


def _holds_machine_made(path: Path) -> bool:
    try:
        return is_machine_made(parse_voc_annotation(path.read_bytes()))
    except (OSError, AnnotationSyntaxError):
        return False


def _is_untouched(out: Path, outcome: ImageOutcome) -> bool:
    """Return whether deleting an outcome's files loses nothing that a person has made.

    A person may have added an annotation where there was none, in either folder, or next to the image.
    """
    if not outcome.saved_as:
        return True
    name = PurePosixPath(outcome.saved_as)
    folders = [PurePosixPath(part, kind) for part in ("", REVIEW) for kind in (ANNOTATIONS, IMAGES)]
    annotations = [f"{folder / name.stem}.xml" for folder in folders]
    found = {each: _hash(out / each) for each in annotations if (out / each).exists()}
    if not (out / name).exists():
        return not found
    written = {annotation_of(outcome.saved_as): outcome.written_sha256} if outcome.written_sha256 else {}
    return found == written and _hash(out / name) == outcome.image_sha256


def _describe_kept(outcome: ImageOutcome, *, is_gone: bool) -> str:
    what = "no longer in the input" if is_gone else "changed in the input"
    return (
        f"{outcome.image}: {what}, but its labels were changed in the output, so they stay; to discard them, delete "
        f"{outcome.saved_as} and its annotation there and use --resume"
    )


def _files_of(outcome: ImageOutcome | None) -> tuple[str, ...]:
    if outcome is None or not outcome.saved_as:
        return ()
    return (outcome.saved_as, annotation_of(outcome.saved_as)) if outcome.written_sha256 else (outcome.saved_as,)


def _hash(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError:
        return ""
