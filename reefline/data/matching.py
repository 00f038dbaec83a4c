"""Which annotation belongs to which image.

Only images that were found inside the data folder are ever matched: a <filename> is compared with their names, never
opened, and <path>, which leads into the annotator's computer, is not looked at.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reefline.data.image_record import UNASSIGNED
from reefline.data.layouts import DataFiles, SplitLists, read_split_lists
from reefline.findings import Action, Finding
from reefline.formats.voc import AnnotationSyntaxError, parse_voc_annotation


@dataclass(frozen=True)
class Candidate:
    """An image and its annotation, to be looked into; `split` is UNASSIGNED where the content's hash decides."""

    image: str
    xml: str
    split: str


@dataclass(frozen=True)
class Discovery:
    """The candidates in the order of their images, what else was found, and whether lists name the splits."""

    candidates: tuple[Candidate, ...]
    findings: tuple[Finding, ...]
    has_split_lists: bool


def discover(data_dir: Path, files: DataFiles) -> Discovery:
    """Match annotations with images and give each pair the split that ImageSets names."""
    index = _ImageIndex(files.images)
    matches: dict[str, list[str]] = defaultdict(list)
    findings = []
    for xml in files.annotations:
        match = _match(data_dir, xml, index)
        if isinstance(match, Finding):
            findings.append(match)
        else:
            matches[match].append(xml)
    pairs = {}
    for image, xmls in matches.items():
        pairs[image], *others = (
            xmls if len(xmls) == 1 else sorted(xmls, key=lambda xml: _nearness(xml, image), reverse=True)
        )
        findings += [_report_duplicate(other, image, pairs[image]) for other in others]
    lists = read_split_lists(data_dir, files.split_lists)
    candidates, more = _assign_listed_splits(files, pairs, lists)
    return Discovery(tuple(candidates), (*findings, *more), lists is not None)


def is_unsafe_filename(filename: str) -> bool:
    """True where a <filename> climbs out of its folder; a plain folder before the name is common, and harmless."""
    return ".." in _split_path(filename)


class _ImageIndex:
    """The images by name and by stem, case folded: Windows tools write names as they please."""

    def __init__(self, images: Iterable[str]) -> None:
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for image in images:
            name = posixpath.basename(image)
            self._by_name[name.casefold()].append(image)
            self._by_stem[_stem(name).casefold()].append(image)

    def with_stem(self, stem: str) -> Sequence[str]:
        return self._by_stem.get(stem.casefold(), ())

    def with_name(self, name: str) -> Sequence[str]:
        return self._by_name.get(name.casefold(), ())


def _match(data_dir: Path, xml: str, index: _ImageIndex) -> str | Finding:
    """Return the image of an annotation, or why there is none; the XML is read only where its own name does not tell.

    Its own stem comes before <filename>: who renames a pair of files rarely edits the XML.
    """
    nearest = _nearest(xml, index.with_stem(_stem(xml)))
    if len(nearest) == 1:
        return nearest[0]
    try:
        filename = parse_voc_annotation((data_dir / xml).read_bytes()).filename
    except (AnnotationSyntaxError, OSError) as error:
        return Finding(xml, None, "xml_unreadable", str(error), Action.DROPPED_IMAGE)
    if is_unsafe_filename(filename):
        return report_unsafe_filename(xml, filename)
    name = (_split_path(filename) or ("",))[-1]
    for named in (index.with_name(name), index.with_stem(_stem(name))):
        found = _nearest(xml, [image for image in named if not nearest or image in nearest])
        if len(found) == 1:
            return found[0]
        nearest = nearest or (found if len(found) > 1 else [])
    if nearest:
        message = f"{len(nearest)} images fit equally well ({', '.join(nearest)}): let <filename> name one of them"
    else:
        message = f"there is no image for it: neither {name or 'a <filename>'!r} nor an image of the XML's own name"
    return Finding(xml, None, "image_missing", message, Action.DROPPED_IMAGE)


def report_unsafe_filename(xml: str, filename: str) -> Finding:
    """Return the finding of rule filename_unsafe."""
    message = f"<filename> {filename!r} leads out of the data folder and is not followed: write the image's name alone"
    return Finding(xml, None, "filename_unsafe", message, Action.DROPPED_IMAGE)


def _stem(path: str) -> str:
    """Return the file's name without its last suffix; PurePosixPath takes five times as long to say so."""
    return posixpath.splitext(posixpath.basename(path))[0]


def _split_path(filename: str) -> tuple[str, ...]:
    return tuple(part for part in filename.replace("\\", "/").split("/") if part)


def _nearest(xml: str, images: Sequence[str]) -> list[str]:
    """Return the images that lie nearest to the XML's folder: more than one where the folders do not tell."""
    if len(images) < 2:
        return list(images)
    ranked = [(_nearness(xml, image)[:3], image) for image in images]
    best = max(rank for rank, _ in ranked)
    return [image for rank, image in ranked if rank == best]


def _nearness(xml: str, image: str) -> tuple[bool, int, int, bool]:
    """Return how near two files are: same folder, common leading folders, common trailing ones, same stem."""
    xml_path, image_path = PurePosixPath(xml), PurePosixPath(image)
    xml_folders, image_folders = xml_path.parts[:-1], image_path.parts[:-1]
    return (
        xml_folders == image_folders,
        _common_length(xml_folders, image_folders),
        _common_length(xml_folders[::-1], image_folders[::-1]),
        xml_path.stem.casefold() == image_path.stem.casefold(),
    )


def _common_length(first: Sequence[str], second: Sequence[str]) -> int:
    for length, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return length
    return min(len(first), len(second))


def _report_duplicate(xml: str, image: str, winner: str) -> Finding:
    message = f"{image} has two annotations; {winner} is used: delete the wrong one"
    return Finding(xml, None, "annotation_duplicate", message, Action.FIXED)


def _assign_listed_splits(
    files: DataFiles, pairs: dict[str, str], lists: SplitLists | None
) -> tuple[list[Candidate], list[Finding]]:
    candidates, findings, unlisted = [], [], 0
    for image in files.images:
        xml = pairs.get(image)
        split = UNASSIGNED if lists is None else lists.split_of(image, *([xml] if xml else []))
        if split is None:
            unlisted += 1
        elif xml is None:
            message = "the image has no annotation: annotate it, or save an empty annotation if it shows nothing"
            findings.append(Finding(image, None, "image_not_annotated", message, Action.DROPPED_IMAGE))
        else:
            candidates.append(Candidate(image, xml, split))
    if unlisted:
        message = f"{unlisted} images are in none of the lists of ImageSets/Main and are left out"
        findings.append(Finding("", None, "image_not_listed", message, Action.KEPT))
    return candidates, findings + (_check_lists(files, lists) if lists else [])


def _check_lists(files: DataFiles, lists: SplitLists) -> list[Finding]:
    known = {
        ("" if str(folder) == "." else str(folder), PurePosixPath(path).stem)
        for path in (*files.images, *files.annotations)
        for folder in PurePosixPath(path).parents
    }
    findings = [
        Finding(
            lists.sources[key],
            None,
            "image_missing",
            f"the list names {key[1]!r}, and there is no such image: copy it there, or take it off the list",
            Action.DROPPED_IMAGE,
        )
        for key in lists.splits
        if key not in known
    ]
    for path, image_id in lists.repeated:
        message = f"{image_id!r} is in another list too, which counts: keep it in one list"
        findings.append(Finding(path, None, "listed_twice", message, Action.FIXED))
    return findings
