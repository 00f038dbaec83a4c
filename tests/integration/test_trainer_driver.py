"""Where training starts, asked of a real ML Metadata store and a real serving folder."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import data_types
from tfx.types.standard_artifacts import Examples

from components.trainer.driver import TrainerDriver
from reefline.bundle.store import push_bundle
from reefline.errors import CheckpointError
from reefline.settings import Start, TrainerSettings
from reefline.system.http_download import download
from reefline.training import start_files
from tests.factories_evaluation import make_facts, write_candidate
from tests.factories_tflite import write_quantized_detector
from tests.web_server import Site, serve

TRAINER = TrainerSettings(model="ssd_mobilenet_v2_tiny", start="serving")
SETTINGS = {"settings": TRAINER.to_json(), "edge_tpu": "required", "code": "c0de"}
OTHER_SETTINGS = TRAINER.model_copy(update={"seed": 7}).to_json()
Event = metadata_store_pb2.Event


class History:
    """A workspace in which one training was done, whose model serves."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.handle = metadata.Metadata(metadata.sqlite_metadata_connection_config(str(root / "metadata.db")))
        self.serving = root / "serving"
        self.model_run = root / "artifacts" / "6"
        self.prefix = str(self.model_run / "best" / "ckpt-3")

    def examples(self) -> int:
        """Record a data set and return its id."""
        with self.handle as connection:
            kind = connection.store.put_artifact_type(metadata_store_pb2.ArtifactType(name="Examples"))
            (identity,) = connection.store.put_artifacts([metadata_store_pb2.Artifact(type_id=kind, uri="/examples")])
        return identity

    def train(self, examples: int, started_from: str = "") -> None:
        """Record a training of `examples` and a later run that took it from the cache, and leave its checkpoint."""
        with self.handle as connection:
            store = connection.store
            kind = store.put_artifact_type(metadata_store_pb2.ArtifactType(name="ModelRun"))
            run = metadata_store_pb2.Artifact(type_id=kind, uri=str(self.model_run))
            run.custom_properties["start"].string_value = started_from
            (run_id,) = store.put_artifacts([run])
            kind = store.put_execution_type(metadata_store_pb2.ExecutionType(name="Trainer"))
            for properties in (SETTINGS, {**SETTINGS, "settings": "from the cache"}):
                execution = metadata_store_pb2.Execution(type_id=kind)
                for name, value in properties.items():
                    execution.custom_properties[name].string_value = value
                (execution_id,) = store.put_executions([execution])
                store.put_events(
                    [
                        Event(artifact_id=examples, execution_id=execution_id, type=Event.INPUT),
                        Event(artifact_id=run_id, execution_id=execution_id, type=Event.OUTPUT),
                    ]
                )
        Path(self.prefix).parent.mkdir(parents=True)
        Path(f"{self.prefix}.index").write_bytes(b"index")

    def push(self) -> None:
        push_bundle(write_candidate(self.root / "candidate"), make_facts(checkpoint=self.prefix), self.serving)

    def resolve(self, examples: int, **changes: str) -> str:
        """Run the driver and return the start that it resolved."""
        artifact = Examples()
        artifact.uri, artifact.id = "/examples", examples
        properties = {
            **SETTINGS,
            "serving_home": str(self.serving / "detector"),
            "start_memory": str(self.root / "start_hashes.json"),
            **changes,
        }
        info = data_types.ExecutionInfo(input_dict={"examples": [artifact]}, exec_properties=properties)
        output = TrainerDriver(self.handle).run(info)
        return str(data_types_utils.get_metadata_value(output.exec_properties["start"]))


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def test_without_the_wish_nothing_is_looked_at(history: History) -> None:
    examples = history.examples()
    history.train(examples)
    history.push()
    assert history.resolve(examples, serving_home="") == ""


def test_a_first_run_has_no_start(history: History) -> None:
    assert history.resolve(history.examples()) == ""


def test_what_serves_is_the_start_of_another_data_set(history: History) -> None:
    history.train(history.examples())
    history.push()
    assert history.resolve(history.examples()) == f"serving:{history.prefix}"


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in SETTINGS])
def test_what_serves_is_the_start_of_another_training(history: History, name: str) -> None:
    examples = history.examples()
    history.train(examples)
    history.push()
    assert (
        history.resolve(examples, **{name: OTHER_SETTINGS if name == "settings" else "another"})
        == f"serving:{history.prefix}"
    )


@pytest.mark.parametrize(
    "started_from",
    [
        pytest.param("", id="anew"),
        pytest.param("serving:/runs/2/best/ckpt-9", id="serving"),
        pytest.param("sha256:5d31", id="otherwise"),
    ],
)
def test_the_training_behind_what_serves_starts_where_it_did(history: History, started_from: str) -> None:
    examples = history.examples()
    history.train(examples, started_from)
    history.push()
    assert history.resolve(examples) == started_from


def test_a_model_of_another_workspace_is_a_start(history: History) -> None:
    """Its training is not in this ML Metadata; its checkpoint is what counts."""
    Path(history.prefix).parent.mkdir(parents=True)
    Path(f"{history.prefix}.index").write_bytes(b"index")
    history.push()
    assert history.resolve(history.examples()) == f"serving:{history.prefix}"


def test_a_start_that_is_gone_stops_the_run(history: History) -> None:
    history.train(history.examples())
    history.push()
    Path(f"{history.prefix}.index").unlink()
    with pytest.raises(CheckpointError, match=r"ckpt-3, which no longer exists; restore it, or set"):
        history.resolve(history.examples())


def test_a_start_that_is_gone_does_not_matter_to_its_own_training(history: History) -> None:
    examples = history.examples()
    history.train(examples)
    history.push()
    Path(f"{history.prefix}.index").unlink()
    assert history.resolve(examples) == ""


def test_before_the_first_push_the_start_is_what_otherwise_means(history: History) -> None:
    start = Start(source="serving", otherwise="published")
    settings = TrainerSettings(model="ssd_mobilenet_v1_300", start=start).to_json()
    assert history.resolve(history.examples(), settings=settings).startswith("sha256:e4b118e5")


def test_another_content_of_a_file_is_another_start(history: History) -> None:
    path = write_quantized_detector(history.root / "m.tflite")
    settings = TrainerSettings(model="ssd_mobilenet_v1_300", start=Start(source=str(path))).to_json()
    first = history.resolve(history.examples(), settings=settings, serving_home="")
    path.write_bytes(path.read_bytes() + b"more")
    assert history.resolve(history.examples(), settings=settings, serving_home="") != first


def test_the_workspace_remembers_a_url_without_a_hash(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even without the user's cache, what was trained is known without a request."""
    settings = TrainerSettings(model="ssd_mobilenet_v1_300", start=Start(source="https://host/m.tflite")).to_json()
    with serve(Site(b"weights")) as site:
        monkeypatch.setattr(start_files, "download", partial(_download_from, site.url))
        for cache in ("one", "two"):
            monkeypatch.setenv("XDG_CACHE_HOME", str(history.root / cache))
            found = history.resolve(history.examples(), settings=settings, serving_home="")
            assert found == f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
        assert len(site.requests) == 1


def _download_from(url: str, _: str, target: Path, *, sha256: str | None) -> None:
    download(url, target, sha256=sha256)
