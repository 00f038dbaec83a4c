"""The splits that ImageSets names: lists of image ids, in the forms that people save them in."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reefline.data.image_record import EVAL, SPLIT_WORDS, TRAIN, UNASSIGNED
from reefline.images.codec import IMAGE_SUFFIXES

_LIST_SPLITS = {**SPLIT_WORDS, "trainval": UNASSIGNED}
_ORDER = tuple(_LIST_SPLITS)
# The lists of one class, such as cat_train.txt, have a second column: 1, 0 (difficult) or -1.
_CLASS_COLUMN = re.compile(r"\s+(?:-1|0|1)$")

# A root folder and an image id: the image's name without its suffix.
Key = tuple[str, str]


@dataclass(frozen=True)
class SplitLists:
    """The splits from ImageSets: (root folder, image id) → split; UNASSIGNED is divided by hash.

    `sources` maps the same keys to the list file; `repeated` holds each (list file, id) that an earlier list names too.
    `roots` are the folders with lists that name anything.
    """

    splits: dict[Key, str]
    sources: dict[Key, str]
    repeated: tuple[tuple[str, str], ...]
    roots: frozenset[str]

    def split_of(self, *paths: str) -> str | None:
        """Return the split of the first of `paths` that a list names; None where no list names any.

        Only the lists of the nearest root that has any count: a data set may lie in the root of another.
        """
        named = (key for path in paths for key in self.keys_of(path) if key in self.splits)
        return next((self.splits[key] for key in named), None)

    def keys_of(self, path: str) -> Iterator[Key]:
        """Yield every key by which the lists can name a file, up to the nearest root with lists."""
        for key in list_keys(path):
            yield key
            if key[0] in self.roots:
                return


def list_keys(path: str) -> Iterator[Key]:
    """Yield every key by which a list may name a file, the nearest root first."""
    folder, _, name = path.rpartition("/")
    stem = posixpath.splitext(name)[0]
    yield folder, stem
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder, stem


def is_split_list(path: str) -> bool:
    """Return whether a file is a list of ImageSets/Main or ImageSets, in any letter case."""
    return path.endswith((".txt", ".TXT", ".Txt")) and _root_of(path) is not None


def read_split_lists(data_dir: Path, split_lists: Iterable[str], files: Iterable[str]) -> SplitLists | None:
    """Read the lists of each ImageSets folder, named as in _LIST_SPLITS; None where all are missing or empty.

    train.txt, val.txt and test.txt win over trainval.txt. Where no list names eval images, train.txt is divided. The
    lists of a class (cat_train.txt) count where the folder has no other, and those next to Main where Main has none.
    `files` are the images and annotations: they decide what of a line is the id.
    """
    known = {key for path in files for key in list_keys(path)}
    splits: dict[Key, str] = {}
    sources: dict[Key, str] = {}
    repeated = []
    for path in sorted(_choose_lists(split_lists), key=lambda path: (_ORDER.index(_kind_of(path)), path)):
        kind = _kind_of(path)
        for key in _read_list(data_dir, path, known):
            if key not in splits:
                splits[key], sources[key] = _LIST_SPLITS[kind], path
            elif kind != "trainval" and splits[key] != _LIST_SPLITS[kind]:
                repeated.append((path, key[1]))
    if not splits:
        return None
    if EVAL not in splits.values():
        splits = {key: UNASSIGNED if split == TRAIN else split for key, split in splits.items()}
    return SplitLists(splits, sources, tuple(repeated), frozenset(root for root, _ in splits))


def _choose_lists(paths: Iterable[str]) -> Iterator[str]:
    """Yield the lists to read of each root: those of Main before others, plain ones before those of a class."""
    by_root: dict[str, dict[tuple[bool, bool], list[str]]] = {}
    for path in paths:
        rank = (posixpath.dirname(path).casefold().endswith("/main"), _stem(path) in _LIST_SPLITS)
        by_root.setdefault(_root_of(path) or "", {}).setdefault(rank, []).append(path)
    for ranked in by_root.values():
        yield from ranked[max(ranked)]


def shorten_list(data_dir: Path, path: str, gone: Iterable[str], files: Iterable[str]) -> bytes | None:
    """Return the content of a list without the lines that name files in `gone`, None if it names none.

    `files` are the images and annotations that are left.
    """
    root = _root_of(path) or ""
    left = {key for file in files for key in list_keys(file)}
    lost = {key for file in gone for key in list_keys(file)} - left
    text = (data_dir / path).read_text(encoding="utf-8", errors="surrogateescape")
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if _find_key(line.lstrip("\ufeff").strip(), root, left | lost) not in lost]
    if len(kept) == len(lines):
        return None
    return "".join(kept).encode("utf-8", "surrogateescape")


def _read_list(data_dir: Path, path: str, known: Collection[Key]) -> Iterator[Key]:
    root = _root_of(path) or ""
    # utf-8-sig: Windows editors start a file with a byte order mark.
    text = (data_dir / path).read_text(encoding="utf-8-sig", errors="replace")
    for line in filter(None, map(str.strip, text.splitlines())):
        yield _find_key(line, root, known)


def _find_key(line: str, root: str, known: Collection[Key]) -> Key:
    without_column = _CLASS_COLUMN.sub("", line)
    forms = [line, without_column]
    forms += [posixpath.splitext(form)[0] for form in forms if _has_image_suffix(form)]
    return next(((root, form) for form in forms if (root, form) in known), (root, without_column))


def _has_image_suffix(name: str) -> bool:
    return posixpath.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _root_of(path: str) -> str | None:
    """Return the folder that holds the ImageSets folder of a list; None for any other file."""
    parts = PurePosixPath(path).parts
    folders = [part.casefold() for part in parts[:-1]]
    depth = 2 if folders[-2:] == ["imagesets", "main"] else 1 if folders[-1:] == ["imagesets"] else 0
    return "/".join(parts[: -depth - 1]) if depth and _kind_of(path) in _LIST_SPLITS else None


def _kind_of(path: str) -> str:
    """Return the key of _LIST_SPLITS that a list's name is, or ends with after an underscore."""
    return _stem(path).rpartition("_")[2]


def _stem(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0].casefold()
