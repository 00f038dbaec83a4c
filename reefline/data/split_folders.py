"""Splits by the names of folders: train/, valid/ and test/ next to each other, as in Roboflow exports and tutorials."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from reefline.data.image_record import EVAL, SPLIT_WORDS, TEST, TRAIN, UNASSIGNED


@dataclass(frozen=True)
class SplitFolders:
    """The folders whose names give the splits: path → split; UNASSIGNED is divided by hash."""

    splits: dict[str, str]

    def split_of(self, *paths: str) -> str | None:
        """Return the split of the first of `paths` in such a folder, the outermost one; None where there is none."""
        for path in paths:
            position = path.find("/")
            while position > 0:
                split = self.splits.get(path[:position])
                if split is not None:
                    return split
                position = path.find("/", position + 1)
        return None

    def describe(self) -> str:
        """Return the folders as one line for people."""
        words = {TRAIN: "train", EVAL: "eval", TEST: "test", UNASSIGNED: "train and eval, by data.eval_fraction"}
        return ", ".join(f"{folder}/ ({words[split]})" for folder, split in sorted(self.splits.items()))


def find_split_folders(files: Iterable[str]) -> SplitFolders | None:
    """Return the folders that give splits to the files (images and annotations) inside; None where there are none.

    A folder `train` counts only with a sibling for eval or test, since it may also hold the pictures of a class. Where
    no folder holds eval images, the train folders are divided and `test` stays unseen, as with lists.
    """
    folders: set[str] = set()
    for path in files:
        folder = posixpath.dirname(path)
        while folder and folder not in folders:
            folders.add(folder)
            folder = posixpath.dirname(folder)
    siblings: dict[str, dict[str, str]] = {}
    for folder in folders:
        parent, name = posixpath.split(folder)
        if (split := SPLIT_WORDS.get(name.casefold())) is not None:
            siblings.setdefault(parent, {})[folder] = split
    splits: dict[str, str] = {}
    for family in siblings.values():
        if TRAIN in family.values() and len(set(family.values())) > 1:
            splits.update(family)
    if not splits:
        return None
    if EVAL not in splits.values():
        splits = {folder: UNASSIGNED if split == TRAIN else split for folder, split in splits.items()}
    return SplitFolders(splits)
