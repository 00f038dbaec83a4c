"""A run under way, as far as the live view sees one: it holds the lock, and its Trainer writes steps.

Arguments: the workspace and the run's id. Each line on standard input is a command: `evaluate`, `finish`.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2

from pipeline.local.workspace import hold_lock, open_workspace
from reefline.settings import TrainerSettings
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.history import TrainingHistory, TrainingPoint
from reefline.training.job import TrainingJob, identify_training
from reefline.training.report import EvaluationPoint, TrainingState
from reefline.training.resumable_folder import locate_unfinished
from tests.factories_summary import make_blessed

EVERY_S = 0.05
STEPS_PER_POINT = 20
TOTAL_STEPS = 100_000


def open_store(metadata_db: Path) -> metadata_store.MetadataStore:
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(metadata_db)
    return metadata_store.MetadataStore(config)


def record_run(workspace: Path, run_id: str) -> metadata_store_pb2.Execution:
    """Record a run whose VocExampleGen is done and whose Trainer runs; return the Trainer's execution."""
    store = open_store(workspace / "metadata.db")
    context = metadata_store_pb2.Context(
        name=run_id, type_id=store.put_context_type(metadata_store_pb2.ContextType(name="pipeline_run"))
    )
    artifact_type = store.put_artifact_type(metadata_store_pb2.ArtifactType(name="Examples"))
    trainer_execution = None
    for component, state in (
        ("VocExampleGen", metadata_store_pb2.Execution.COMPLETE),
        ("Trainer", metadata_store_pb2.Execution.RUNNING),
    ):
        type_id = store.put_execution_type(metadata_store_pb2.ExecutionType(name=f"components.{component}"))
        execution = metadata_store_pb2.Execution(type_id=type_id, last_known_state=state)
        kind = metadata_store_pb2.Event.INPUT if component == "Trainer" else metadata_store_pb2.Event.OUTPUT
        pairs = []
        for key in ("examples", "label_map"):
            uri = str(workspace / "artifacts" / "VocExampleGen" / key / "1")
            known = [one for one in store.get_artifacts() if one.uri == uri]
            artifact = known[0] if known else metadata_store_pb2.Artifact(type_id=artifact_type, uri=uri)
            event = metadata_store_pb2.Event(type=kind)
            event.path.steps.add().key = key
            pairs.append((artifact, event))
        execution_id, _, _ = store.put_execution(execution, pairs, [context])
        (trainer_execution,) = store.get_executions_by_id([execution_id])
        context = store.get_context_by_type_and_name("pipeline_run", run_id)
    return trainer_execution


def main(root: Path, run_id: str) -> None:
    workspace = open_workspace(root)
    with hold_lock(workspace, run_id):
        folder = workspace.reports / run_id
        folder.mkdir()
        execution = record_run(root, run_id)
        uris = [str(root / "artifacts" / "VocExampleGen" / key / "1") for key in ("examples", "label_map")]
        output = root / "artifacts" / "Trainer" / "model_run" / str(execution.id)
        run = ModelRunFolder(locate_unfinished(output, identify_training("", "", "", *uris, "")))
        run.root.mkdir(parents=True)
        TrainingJob(TrainerSettings(model="m", num_steps=TOTAL_STEPS), "", root).write(run.job)
        finished = threading.Event()
        writer = threading.Thread(target=_write_steps, args=(run, finished))
        writer.start()
        print("ready", flush=True)
        for line in sys.stdin:
            if line.strip() == "evaluate":
                TrainingState(20, 1.0, (EvaluationPoint(20, 0.25, 0.5, 1.5),)).write(run.state)
            else:
                break
            print("done", flush=True)
        finished.set()
        writer.join()
        execution.last_known_state = metadata_store_pb2.Execution.COMPLETE
        open_store(workspace.metadata_db).put_executions([execution])
        make_blessed(run_id).write(folder / "summary.json")
    print("done", flush=True)


def _write_steps(run: ModelRunFolder, finished: threading.Event) -> None:
    history = TrainingHistory(run.history, resumed_step=0)
    number = 1
    while not finished.is_set():
        history.append(TrainingPoint(number, 4.0 / number, 0.01))
        number += STEPS_PER_POINT - (number == 1)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
