from __future__ import annotations

from reefline.lineage.records import ExecutionState
from tests.factories_lineage import make_artifact, make_execution, make_run


def test_what_an_artifact_was_made_from_is_named_once_and_nearest_first() -> None:
    images, labels, model, bundle = (make_artifact(name) for name in ("images", "labels", "model", "bundle"))
    run = make_run(
        make_execution("Gen", outputs={"images": images, "labels": labels}),
        make_execution("Trainer", inputs={"images": images}, outputs={"model": model}),
        make_execution("Pusher", inputs={"model": model, "images": images, "labels": labels}, outputs={"b": bundle}),
    )
    assert list(run.walk_back(bundle)) == [bundle, model, images, labels]
    assert list(run.walk_back(images)) == [images]
    assert run.outputs == {"Gen.images": images, "Gen.labels": labels, "Trainer.model": model, "Pusher.b": bundle}


def test_the_last_execution_of_a_component_counts() -> None:
    failed, done = make_execution("Trainer", ExecutionState.FAILED), make_execution("Trainer")
    run = make_run(failed, done)
    assert run.find("Trainer") is done
    assert run.find("Pusher") is None
