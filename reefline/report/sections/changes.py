"""The section on what changed in the data since the run before."""

from __future__ import annotations

import filecmp
from dataclasses import dataclass

from reefline.errors import RecordError
from reefline.report.ingested_images import read_ingested
from reefline.report.section import Section, render
from reefline.report.sections.changes_facts import Change, DataChanges, compare_data
from reefline.structures.artifacts import IngestionFolder

_MAX_LISTED = 50
_MAX_CLASSES = 20


@dataclass(frozen=True)
class _ChangeList:
    """One kind of change: `left_out` is how many are not listed."""

    title: str
    count: int
    listed: tuple[Change, ...]

    @property
    def left_out(self) -> int:
        """How many changes are not listed."""
        return self.count - len(self.listed)


def make_changes_section(current: IngestionFolder, previous: IngestionFolder, previous_run_id: str) -> Section | None:
    """Return the section; None where the records of either run are missing or damaged."""
    changes = None
    try:
        if not _are_same(current, previous):
            changes = compare_data(read_ingested(current.records), read_ingested(previous.records))
    except (OSError, RecordError):
        return None
    html = render(
        "changes.html",
        previous=previous_run_id,
        lists=_list_changes(changes) if changes else (),
        is_same=changes is None or changes.is_empty,
        splits=changes.splits if changes else (),
        classes=[delta for delta in changes.classes if delta.difference][:_MAX_CLASSES] if changes else (),
        changed_classes=sum(delta.difference != 0 for delta in changes.classes) if changes else 0,
    )
    return Section("changes", "Changes since the last run", html)


def _are_same(current: IngestionFolder, previous: IngestionFolder) -> bool:
    """Return whether both runs ingested the same; a cached run has the folder of the one before."""
    return current.root == previous.root or filecmp.cmp(current.records, previous.records, shallow=False)


def _list_changes(changes: DataChanges) -> tuple[_ChangeList, ...]:
    kinds = (
        ("added", changes.added),
        ("removed", changes.removed),
        ("relabelled", changes.relabelled),
        ("moved to another split", changes.moved),
        ("replaced by another image of the same name", changes.replaced),
        ("renamed", changes.renamed),
    )
    return tuple(_ChangeList(title, len(found), found[:_MAX_LISTED]) for title, found in kinds if found)
