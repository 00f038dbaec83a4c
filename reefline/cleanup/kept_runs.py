"""Which runs of a workspace stay, and what they need."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.bundle.home import BundleHome
from reefline.bundle.store import list_models, open_home
from reefline.errors import BundleError
from reefline.lineage.records import ArtifactRecord, RunRecord
from reefline.report.run_artifacts import find_unfinished_training
from reefline.report.run_facts import RunFacts
from reefline.report.run_folder import run_order
from reefline.report.summary import Verdict
from reefline.storage.location import Location

# As make_run_folder names them; other folders in reports/ are somebody else's.
_RUN_ID = re.compile(r"\d{8}T\d{6}(-\d+)?")


@dataclass(frozen=True)
class KeptRuns:
    """The runs that stay, and what they need.

    `ids` are all of them, those unknown to ML Metadata included. `folders` are artifacts as the last three parts of
    their path, <component>/<output>/<execution>, which are unique in a workspace wherever it was moved. `pushed` are
    the versions of each model that they pushed. `unfinished` are the folders of trainings that can be resumed.
    """

    ids: frozenset[str]
    folders: frozenset[str]
    pushed: Mapping[str, frozenset[int]]
    unfinished: frozenset[Path]


def name_folder(artifact: Path) -> str:
    """Return what `KeptRuns.folders` calls an artifact's folder."""
    return "/".join(artifact.parts[-3:])


def is_run_id(name: str) -> bool:
    """Return whether a folder's name is that of a run."""
    return _RUN_ID.fullmatch(name) is not None


def choose_runs(workspace: Path, runs: Sequence[RunRecord], facts: Sequence[RunFacts], keep: int) -> KeptRuns:
    """Return the runs that stay; `runs` are ML Metadata's, `facts` what the reports hold.

    These are the `keep` newest runs, and the `keep` newest with a verdict: runs that failed at once, on a typing
    error for example, must not displace what the next run needs. Besides, what pushed the serving bundle and the one
    that a rollback goes back to, the newest training that can be resumed, and the run that reports/latest shows.

    Raises:
        BundleError: CURRENT or the serving bundle's manifest is missing or damaged.
    """
    known = {run.run_id: run for run in runs}
    ids = sorted({*known, *filter(is_run_id, (one.run_id for one in facts))}, key=run_order, reverse=True)
    judged = {one.run_id for one in facts if one.summary and one.summary.verdict is not Verdict.FAILED}
    latest = workspace / "reports" / "latest"
    kept = {
        *ids[:keep],
        *[run_id for run_id in ids if run_id in judged][:keep],
        *([latest.readlink().name] if latest.is_symlink() else []),
        *_find_newest_unfinished(ids, known),
    }
    checkpoints = set()
    for model in list_models(workspace / "serving"):
        for run_id, checkpoint in _find_origins(open_home(workspace / "serving", model)):
            kept.add(run_id)
            checkpoints.add(checkpoint)
    records = [run for run in runs if run.run_id in kept]
    unfinished = (find_unfinished_training(run) for run in records)
    return KeptRuns(
        frozenset(kept & {*ids}),
        frozenset(name_folder(artifact.folder) for artifact in _list_artifacts(records)) | checkpoints,
        _list_pushed(records),
        frozenset(work.root for work in unfinished if work is not None),
    )


def _find_newest_unfinished(ids: Sequence[str], known: Mapping[str, RunRecord]) -> Iterator[str]:
    """Yield the newest run whose training can be resumed, if there is one."""
    for run_id in ids:
        if find_unfinished_training(known.get(run_id)) is not None:
            yield run_id
            return


def _find_origins(home: BundleHome) -> Iterator[tuple[str, str]]:
    """Yield the run of the serving bundle and of the one it replaced, each with its training's folder."""
    current = home.read_current()
    if current is None:
        return
    serving = home.read_manifest(current.version)
    manifests = [serving]
    with contextlib.suppress(BundleError):  # the bundle itself stays, damaged or not
        manifests += [home.read_manifest(serving.replaces)] if serving.replaces is not None else []
    for facts in (manifest.facts for manifest in manifests):
        training = Location.parse(facts.checkpoint).parent.parent if facts.checkpoint else ""
        yield facts.run_id, name_folder(Path(str(training)))


def _list_artifacts(runs: Sequence[RunRecord]) -> Iterator[ArtifactRecord]:
    for execution in (execution for run in runs for execution in run.executions):
        yield from execution.inputs.values()
        yield from execution.outputs.values()


def _list_pushed(runs: Sequence[RunRecord]) -> dict[str, frozenset[int]]:
    """Return the versions that runs pushed, by model."""
    found: dict[str, frozenset[int]] = {}
    for push in (run.outputs.get("Pusher.pushed_model") for run in runs):
        if push is not None and push.properties.get("pushed") == 1:
            bundle = Location.parse(str(push.properties["path"]))
            found[bundle.parent.name] = found.get(bundle.parent.name, frozenset()) | {int(bundle.name)}
    return found
