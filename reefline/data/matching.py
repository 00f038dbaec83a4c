"""Which annotation belongs to which image.

Only images found inside the data folder are matched: <filename> is compared with their names and never opened, and
<path>, a place on the annotator's computer, is ignored.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from reefline.data.annotation_file import read_annotation, split_path
from reefline.data.image_record import TRAIN_OR_EVAL, UNASSIGNED
from reefline.data.layouts import DataFiles
from reefline.data.spans import group_by_span
from reefline.data.split_folders import SplitFolders, find_split_folders
from reefline.data.split_lists import SplitLists, list_keys, read_split_lists
from reefline.findings import Action, Finding
from reefline.structures.annotation import Annotation
from reefline.structures.image_origin import ImageOrigin, join_origins


class Candidate(NamedTuple):
    """An image and its annotation, to be inspected; `split` is UNASSIGNED or TRAIN_OR_EVAL where the content decides.

    `annotation` is what the XML holds where matching had to read it, else None.
    """

    image: str
    xml: str
    split: str
    annotation: Annotation | None = None


@dataclass(frozen=True)
class Discovery:
    """The candidates in the order of their images, the findings on other files, and whether the data names its splits.

    A data set names its splits by lists or by folders. `origins` is where images come from, by their paths.
    """

    candidates: tuple[Candidate, ...]
    findings: tuple[Finding, ...]
    names_splits: bool
    origins: Mapping[str, ImageOrigin] = field(default_factory=dict)


@dataclass(frozen=True)
class _Match:
    """An annotation and the image it belongs to; `annotation` as in Candidate."""

    xml: str
    image: str
    annotation: Annotation | None


def discover(data_dir: Path, files: DataFiles, *, split_folders: bool = True) -> Discovery:
    """Match annotations with images and give each pair its split, from ImageSets or from the names of folders.

    `split_folders` is whether folder names count; lists win over them. Each span has its own lists or folders.
    """
    index = _ImageIndex(files.images)
    matches: dict[str, list[_Match]] = defaultdict(list)
    findings = list(files.findings)
    for xml in files.annotations:
        match = _match(data_dir, xml, index)
        if isinstance(match, Finding):
            findings.append(match)
        else:
            matches[match.image].append(match)
    pairs = {}
    for image, found in matches.items():
        pairs[image], *others = (
            found if len(found) == 1 else sorted(found, key=lambda each: _nearness(each.xml, image), reverse=True)
        )
        findings += [_report_duplicate(other.xml, image, pairs[image].xml) for other in others]
    findings += _report_far_pairs(pairs)
    candidates: list[Candidate] = []
    names_splits = False
    for span in group_by_span(files):
        splits = _find_splits(data_dir, span, split_folders=split_folders)
        names_splits = names_splits or splits is not None
        found_candidates, more = _assign_splits(span, pairs, splits)
        candidates += found_candidates
        findings += more
    candidates.sort(key=lambda each: each.image)
    origins = join_origins(data_dir, files.origins)
    return Discovery(tuple(candidates), tuple(findings), names_splits, origins)


def list_read_by_discovery(files: DataFiles) -> tuple[str, ...]:
    """Return what `discover` opens: split lists, origins, and annotations whose own name does not decide."""
    index = _ImageIndex(files.images)
    unclear = [xml for xml in files.annotations if len(_find_by_own_name(xml, index)) != 1]
    return (*files.split_lists, *files.origins, *unclear)


class _ImageIndex:
    """The images by name and by stem.

    Letter case and Unicode form are ignored, which Windows tools and macOS vary, unless a name fits exactly.
    """

    def __init__(self, images: Iterable[str]) -> None:
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for image in images:
            name = posixpath.basename(image)
            self._by_name[_fold(name)].append(image)
            self._by_stem[_fold(_stem(name))].append(image)

    def with_stem(self, stem: str) -> Sequence[str]:
        found = self._by_stem.get(_fold(stem), ())
        return found if len(found) < 2 else [image for image in found if _stem(image) == stem] or found

    def with_name(self, name: str) -> Sequence[str]:
        found = self._by_name.get(_fold(name), ())
        return found if len(found) < 2 else [image for image in found if posixpath.basename(image) == name] or found


def _match(data_dir: Path, xml: str, index: _ImageIndex) -> _Match | Finding:
    """Return the image of an annotation, or why it has none; the XML is read only where its own name is not enough.

    Its own stem comes before <filename>: people who rename a pair of files rarely edit the XML.
    """
    nearest = _find_by_own_name(xml, index)
    if len(nearest) == 1:
        return _Match(xml, nearest[0], None)
    annotation = read_annotation(data_dir, xml)
    if isinstance(annotation, Finding):
        return annotation
    name = (split_path(annotation.filename) or ("",))[-1]
    for named in (index.with_name(name), index.with_stem(_stem(name))):
        found = _nearest(xml, [image for image in named if not nearest or image in nearest])
        if len(found) == 1:
            return _Match(xml, found[0], annotation)
        nearest = nearest or (found if len(found) > 1 else [])
    if nearest:
        message = f"{len(nearest)} images match equally well ({', '.join(nearest)}): name one of them in <filename>"
    else:
        tried = f"is called {name!r} (from <filename>) or" if name else "(<filename> is empty)"
        message = f"no image {tried} has the XML's own name: add the image, or delete the XML"
    return Finding(xml, None, "image_missing", message, Action.DROPPED_IMAGE)


def _find_by_own_name(xml: str, index: _ImageIndex) -> list[str]:
    return _nearest(xml, index.with_stem(_stem(xml)))


def _fold(name: str) -> str:
    # The Unicode form only matters for characters outside ASCII, and takes longer.
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def _stem(path: str) -> str:
    """Return the file's name without its last suffix; PurePosixPath takes five times as long."""
    return posixpath.splitext(posixpath.basename(path))[0]


def _nearest(xml: str, images: Sequence[str]) -> list[str]:
    """Return the images nearest to the XML's folder: more than one where the folders do not decide."""
    if len(images) < 2:
        return list(images)
    ranked = [(_nearness(xml, image)[:4], image) for image in images]
    best = max(rank for rank, _ in ranked)
    return [image for rank, image in ranked if rank == best]


def _nearness(xml: str, image: str) -> tuple[bool, int, int, int, bool]:
    """Return how near two files are: same folder, common leading folders, common trailing ones, depth, same stem.

    The depth counts where a data set lies in the root of another: the files of the outer one have equal depths.
    """
    xml_path, image_path = PurePosixPath(xml), PurePosixPath(image)
    xml_folders, image_folders = xml_path.parts[:-1], image_path.parts[:-1]
    return (
        xml_folders == image_folders,
        _common_length(xml_folders, image_folders),
        _common_length(xml_folders[::-1], image_folders[::-1]),
        -abs(len(xml_folders) - len(image_folders)),
        _fold(xml_path.stem) == _fold(image_path.stem),
    )


def _common_length(first: Sequence[str], second: Sequence[str]) -> int:
    for length, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return length
    return min(len(first), len(second))


def _report_duplicate(xml: str, image: str, winner: str) -> Finding:
    message = f"{image} has two annotations and {winner} is used: delete the wrong one"
    return Finding(xml, None, "annotation_duplicate", message, Action.FIXED)


def _report_far_pairs(pairs: dict[str, _Match]) -> list[Finding]:
    """Report pairs across folders that otherwise pair with others: equal names may be a coincidence."""
    folders = {image: (posixpath.dirname(match.xml), posixpath.dirname(image)) for image, match in pairs.items()}
    together = Counter(folders.values())
    most_of_xmls: dict[str, int] = defaultdict(int)
    most_of_images: dict[str, int] = defaultdict(int)
    for (xml_folder, image_folder), count in together.items():
        most_of_xmls[xml_folder] = max(most_of_xmls[xml_folder], count)
        most_of_images[image_folder] = max(most_of_images[image_folder], count)
    rare = {
        pair for pair, count in together.items() if count < most_of_xmls[pair[0]] and count < most_of_images[pair[1]]
    }
    return [
        Finding(
            pairs[image].xml,
            None,
            "match_doubtful",
            f"matches {image} by name, but most annotations and images of these folders match other folders: check it",
            Action.KEPT,
        )
        for image, pair in folders.items()
        if pair in rare
    ]


def _find_splits(data_dir: Path, files: DataFiles, *, split_folders: bool) -> SplitLists | SplitFolders | None:
    everything = (*files.images, *files.annotations)
    lists = read_split_lists(data_dir, files.split_lists, everything)
    return find_split_folders(everything) if lists is None and split_folders else lists


def _assign_splits(
    files: DataFiles, pairs: dict[str, _Match], splits: SplitLists | SplitFolders | None
) -> tuple[list[Candidate], list[Finding]]:
    candidates, findings, unassigned = [], [], 0
    for image in files.images:
        match = pairs.get(image)
        split = UNASSIGNED if splits is None else splits.split_of(image, *([match.xml] if match else []))
        if splits is not None and split == UNASSIGNED:
            split = TRAIN_OR_EVAL
        if split is None:
            unassigned += 1
        elif match is None:
            message = "the image has no annotation: annotate it, or save an empty annotation if it shows nothing"
            findings.append(Finding(image, None, "image_not_annotated", message, Action.DROPPED_IMAGE))
        else:
            candidates.append(Candidate(image, match.xml, split, match.annotation))
    if unassigned:
        where = "no split folder contains" if isinstance(splits, SplitFolders) else "no list in ImageSets names"
        message = f"{unassigned} images are left out: {where} them"
        findings.append(Finding("", None, "image_not_listed", message, Action.KEPT))
    if isinstance(splits, SplitLists):
        findings += _check_lists(files, splits)
    elif splits is not None:
        message = f"folder names decide the splits: {splits.describe()}; data.split_folders: false turns this off"
        findings.append(Finding("", None, "split_by_folder", message, Action.KEPT))
    return candidates, findings


def _report_unknown_name(split_list: str, image_id: str, is_elsewhere: bool) -> Finding:
    """Report a name in a list that names no image; `is_elsewhere` is whether a folder with its own lists has one."""
    if is_elsewhere:
        message = f"{image_id!r} only exists in a folder with its own lists, which count there: remove the name"
        return Finding(split_list, None, "image_missing", message, Action.KEPT)
    message = f"the list names {image_id!r}, but no such image exists: add the image, or remove the name"
    return Finding(split_list, None, "image_missing", message, Action.DROPPED_IMAGE)


def _check_lists(files: DataFiles, lists: SplitLists) -> list[Finding]:
    paths = (*files.images, *files.annotations)
    exist = {key for path in paths for key in list_keys(path)}
    named = {key for path in paths for key in lists.keys_of(path)}
    findings = [_report_unknown_name(lists.sources[key], key[1], key in exist) for key in lists.splits.keys() - named]
    for path, image_id in lists.repeated:
        message = f"{image_id!r} is also in another list, which wins: keep it in one list"
        findings.append(Finding(path, None, "listed_twice", message, Action.FIXED))
    return findings
