"""Workspaces of several runs, made without running anything."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reefline.bundle.store import push_bundle, read_current
from reefline.data.image_record import write_records
from reefline.evaluation.report import EvaluationReport
from reefline.lineage.records import ArtifactRecord, ExecutionState, RunRecord
from reefline.report.image_list import keep_image_list
from reefline.report.summary import Summary
from reefline.training.job import identify_training
from reefline.training.resumable_folder import open_unfinished
from tests.factories import make_record
from tests.factories_evaluation import make_facts, make_metrics, make_scores, write_candidate
from tests.factories_lineage import START, make_artifact, make_execution
from tests.factories_summary import make_blessed, make_failed, write_run

_PROPERTIES = {"settings": "{}", "edge_tpu": "required", "start": ""}


class WorkspaceFactory:
    """Adds runs to a workspace; `runs` is what ML Metadata would hold, newest first."""

    def __init__(self, root: Path) -> None:
        """Start with an empty workspace."""
        self.root = root
        self.runs: tuple[RunRecord, ...] = ()
        (root / "reports").mkdir(parents=True)

    def add(
        self, *, reused: RunRecord | None = None, pushes: bytes | None = None, stopped: bool = False, images: str = "a"
    ) -> RunRecord:
        """Add a run a second after the last one.

        It ingests and trains, or finds both in the cache if it has `reused` an earlier run. `pushes` is the content of
        the model that it pushes. A run that is `stopped` leaves an unfinished training.
        """
        number = len(self.runs) + 1
        run_id = f"20260301T1200{number:02}"
        summary = make_failed(run_id) if stopped else make_blessed(run_id)
        self._report(summary, images)
        ingestion = reused.executions[0] if reused else None
        examples = ingestion.outputs["examples"] if ingestion else self._make("VocExampleGen/examples", number)
        label_map = ingestion.outputs["label_map"] if ingestion else self._make("VocExampleGen/label_map", number)
        state = ExecutionState.CACHED if reused else ExecutionState.DONE
        executions = [
            make_execution("VocExampleGen", state, outputs={"examples": examples, "label_map": label_map}),
            self._train(number, examples, label_map, reused, stopped=stopped),
        ]
        if pushes is not None:
            executions.append(make_execution("Pusher", outputs={"pushed_model": self._push(number, run_id, pushes)}))
        run = RunRecord(run_id, START + datetime.timedelta(seconds=number), tuple(executions))
        self.runs = (run, *self.runs)
        return run

    def _report(self, summary: Summary, images: str) -> None:
        folder = write_run(self.root / "reports", summary)
        records = self.root / "records.jsonl"
        write_records(records, [make_record(f"{images}.jpg")])
        keep_image_list(folder, records)
        latest = self.root / "reports" / "latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(folder.name)

    def _train(
        self,
        number: int,
        examples: ArtifactRecord,
        label_map: ArtifactRecord,
        reused: RunRecord | None,
        *,
        stopped: bool,
    ):  # type: ignore[no-untyped-def]
        inputs = {"examples": examples, "label_map": label_map}
        properties = {**_PROPERTIES, "code": str(number)}
        if stopped:
            identity = identify_training("{}", "required", str(number), examples.uri, label_map.uri, "")
            with open_unfinished(self.root / "artifacts" / "Trainer" / "model_run" / str(number), identity) as work:
                (work / "ckpt-1.index").write_bytes(b"work")
            # The files are as old as the run.
            after_s = datetime.datetime.now(datetime.timezone.utc) - START
            return replace(
                make_execution("Trainer", ExecutionState.FAILED, properties=properties, inputs=inputs),
                ended=START + after_s,
            )
        if reused:
            return make_execution("Trainer", ExecutionState.CACHED, inputs=inputs, outputs=reused.executions[1].outputs)
        model_run = self._make("Trainer/model_run", number)
        return make_execution("Trainer", properties=properties, inputs=inputs, outputs={"model_run": model_run})

    def _push(self, number: int, run_id: str, content: bytes) -> ArtifactRecord:
        serving = self.root / "serving"
        scores = make_scores(baseline=make_metrics(), baseline_version=read_current(serving, "detector") or 0)
        checkpoint = self.root / "artifacts" / "Trainer" / "model_run" / str(number) / "best" / "ckpt-1"
        facts = make_facts(evaluation=EvaluationReport(scores, ()), run_id=run_id, checkpoint=str(checkpoint))
        record = push_bundle(write_candidate(self.root / "candidate", content), facts, serving)
        pushed = self._make("Pusher/pushed_model", number)
        return replace(pushed, properties={"pushed": 1, "version": record.version, "path": str(record.path)})

    def _make(self, output: str, number: int) -> ArtifactRecord:
        folder = self.root / "artifacts" / output / str(number)
        folder.mkdir(parents=True)
        (folder / "content.bin").write_bytes(b"x" * 1000)
        return make_artifact(folder)

    def list_artifacts(self) -> Sequence[str]:
        """Return the folders of artifacts, unfinished trainings excluded."""
        found = (self.root / "artifacts").glob("*/*/*/")
        return sorted(path.relative_to(self.root / "artifacts").as_posix() for path in found if path.name.isdigit())
