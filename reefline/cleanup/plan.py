"""What can be removed from a workspace, by kind, with sizes."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.bundle.store import list_models
from reefline.bundle.superseded import SupersededBundle, find_superseded
from reefline.cleanup.kept_runs import KeptRuns, choose_runs, is_run_id, name_folder
from reefline.lineage.store import read_runs
from reefline.report.image_list import list_image_lists
from reefline.report.run_facts import read_all_runs
from reefline.report.run_folder import list_run_folders
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.resumable_folder import UNFINISHED_FOLDER


class Kind(str, enum.Enum):
    """What a workspace has more of with every run."""

    ARTIFACTS = "artifacts"
    TRAININGS = "unfinished trainings"
    BUNDLES = "bundles"
    REPORTS = "reports"


@dataclass(frozen=True)
class Share:
    """How many of a kind are removed, and the bytes that this frees."""

    kind: Kind
    number: int
    bytes: int


@dataclass(frozen=True)
class CleanupPlan:
    """What can be removed from a workspace with this number of runs.

    `artifacts` include the links to a finished training that a run keeps until the next one finishes. `image_lists` are
    those that only removed reports point to. `gone_artifacts` maps the ids of artifacts without a kept run to their
    folders.
    """

    workspace: Path
    runs: int
    artifacts: tuple[Path, ...]
    unfinished: tuple[Path, ...]
    bundles: tuple[SupersededBundle, ...]
    reports: tuple[Path, ...]
    image_lists: tuple[Path, ...]
    gone_artifacts: Mapping[int, Path]

    def measure(self) -> tuple[Share, ...]:
        """Return what each kind frees; a file with links frees its bytes once, and only if all of them are removed."""
        groups = {
            Kind.ARTIFACTS: self.artifacts,
            Kind.TRAININGS: self.unfinished,
            Kind.REPORTS: (*self.reports, *self.image_lists),
        }
        sizes = _measure(groups)
        sizes[Kind.BUNDLES] = sum(bundle.bytes for bundle in self.bundles)
        numbers = {
            Kind.ARTIFACTS: len(self.artifacts),
            Kind.TRAININGS: len(self.unfinished),
            Kind.BUNDLES: len(self.bundles),
            Kind.REPORTS: len(self.reports),
        }
        return tuple(Share(kind, numbers[kind], sizes[kind]) for kind in Kind)


def plan_cleanup(workspace: Path, keep: int) -> CleanupPlan:
    """Return what can be removed so that the `keep` newest runs, and what serves, lack nothing.

    Raises:
        BundleError: CURRENT or the serving bundle's manifest is missing or damaged.
        RecordError: metadata.db is damaged.
        OSError: a folder cannot be read.
    """
    artifacts, reports, serving = workspace / "artifacts", workspace / "reports", workspace / "serving"
    runs = read_runs(workspace / "metadata.db")
    facts, _ = read_all_runs(reports)
    kept = choose_runs(workspace, runs, facts, keep)
    folders = [folder for folder in list_run_folders(reports) if is_run_id(folder.name)]
    trainings = list(_find_old_trainings(artifacts, kept))
    lists = {one.image_list for one in facts if one.run_id in kept.ids or not is_run_id(one.run_id)}
    return CleanupPlan(
        workspace=workspace,
        runs=len(folders),
        artifacts=(*_find_old_artifacts(artifacts, kept), *(work for work in trainings if _is_finished(work))),
        unfinished=tuple(work for work in trainings if not _is_finished(work)),
        bundles=tuple(
            bundle
            for model in list_models(serving)
            for bundle in find_superseded(serving, model, also_needed=kept.pushed.get(model, ()))
        ),
        reports=tuple(folder for folder in folders if folder.name not in kept.ids),
        image_lists=tuple(path for digest, path in list_image_lists(reports).items() if digest not in lists),
        gone_artifacts={
            artifact.id: artifact.folder
            for run in runs
            for artifact in run.outputs.values()
            if name_folder(artifact.folder) not in kept.folders
        },
    )


def _find_old_artifacts(artifacts: Path, kept: KeptRuns) -> Iterator[Path]:
    # Python 3.10 yields files for a pattern that ends with a slash, too.
    for folder in sorted(path for path in artifacts.glob("*/*/*") if path.is_dir()):
        is_hidden = any(part.startswith(".") for part in folder.relative_to(artifacts).parts)
        is_ours = folder.name.isdigit() and not is_hidden and not folder.is_symlink()
        if is_ours and name_folder(folder) not in kept.folders:
            yield folder


def _find_old_trainings(artifacts: Path, kept: KeptRuns) -> Iterator[Path]:
    """Yield the work of trainings that is neither resumed nor, as links, part of an artifact that stays."""
    resumed = {os.path.realpath(folder) for folder in kept.unfinished}
    reports = [ModelRunFolder(artifacts / name).report for name in kept.folders]
    # Next to the folders are the files that lock them.
    for folder in sorted(path for path in artifacts.glob(f"*/*/{UNFINISHED_FOLDER}/*") if path.is_dir()):
        own = ModelRunFolder(folder).report
        is_linked = own.is_file() and any(other.is_file() and own.samefile(other) for other in reports)
        if not (folder.name.startswith(".") or os.path.realpath(folder) in resumed or is_linked):
            yield folder


def _is_finished(work: Path) -> bool:
    return ModelRunFolder(work).report.is_file()


def _measure(groups: Mapping[Kind, Sequence[Path]]) -> dict[Kind, int]:
    """Return the bytes that removing all groups frees, each file's for the first group that has it."""
    sizes = dict.fromkeys(Kind, 0)
    links: dict[tuple[int, int], int] = {}
    for kind, paths in groups.items():
        for status in (status for path in paths for status in _walk(path)):
            identity = (status.st_dev, status.st_ino)
            links[identity] = links.get(identity, 0) + 1
            if links[identity] == status.st_nlink:
                sizes[kind] += status.st_size
    return sizes


def _walk(path: Path) -> Iterator[os.stat_result]:
    """Yield the status of a file, or of every file in a folder; links are not followed."""
    if path.is_file():
        yield path.lstat()
    for folder, _, names in os.walk(path):
        yield from (os.lstat(os.path.join(folder, name)) for name in names)  # noqa: PTH118 (many files)
