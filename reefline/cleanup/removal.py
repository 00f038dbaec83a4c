"""Removes what a plan names; a kill at any moment leaves a workspace that runs, and the next clean-up does the rest.

Each folder disappears in one step, so TFX never finds half an artifact in its cache. ML Metadata comes after the
artifacts, because it may need the space, and because a deleted artifact must not be found by its folder. Bundles come
after ML Metadata: the Pusher would push a bundle again that is missing, but not marked.
"""

from __future__ import annotations

import shutil

from reefline.bundle.superseded import remove_superseded
from reefline.cleanup.plan import CleanupPlan
from reefline.lineage.deletion import mark_deleted
from reefline.report.index_page import write_index
from reefline.system.leftovers import remove_folder, remove_leftovers
from reefline.training.resumable_folder import UNFINISHED_FOLDER, remove_orphaned_locks


def remove_planned(plan: CleanupPlan) -> None:
    """Remove everything in a plan, and write the index of the runs that stay.

    Raises:
        BundleError: what serves has become unreadable.
        RecordError: metadata.db cannot be written.
        OSError: something cannot be removed or written; what was removed before stays removed.
    """
    remove_leftovers(plan.workspace)
    for folder in (*plan.artifacts, *plan.unfinished):
        remove_folder(folder)
    for unfinished in plan.workspace.glob(f"artifacts/*/*/{UNFINISHED_FOLDER}"):
        remove_orphaned_locks(unfinished)
    _remove_working_folders(plan)
    gone = [id_ for id_, folder in plan.gone_artifacts.items() if not folder.exists()]
    mark_deleted(plan.workspace / "metadata.db", gone)
    remove_superseded(plan.workspace / "serving", plan.bundles)
    for folder in plan.reports:
        remove_folder(folder)
    for path in plan.image_lists:
        path.unlink()
    write_index(plan.workspace / "reports", plan.workspace / "serving")


def _remove_working_folders(plan: CleanupPlan) -> None:
    """Remove TFX's own working folders: every execution leaves two or three, empty."""
    for path in plan.workspace.glob("artifacts/*/.system/*/*"):
        if path.is_dir():
            shutil.rmtree(path)
