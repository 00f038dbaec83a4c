"""Ingestion on Beam runners gives the files of a local run, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest

from components.voc_example_gen.beam_engine import BeamEngine, RunTaskDoFn
from reefline.data.data_parts import DataPart
from reefline.data.inspection import ImageLimits
from reefline.data.matching import Candidate
from reefline.data.shards import Shard
from reefline.data.tasks import InspectTask, WriteTask
from reefline.errors import ConfigError, DataError, StorageError
from reefline.settings import IngestionSettings
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.storage.transfer import upload_tree
from reefline.structures.label_map import LabelMap
from tests.beam_cluster import BeamCluster, find_unshare, run_beam_cluster
from tests.factories import add_image, make_data_set, make_jpeg, make_object
from tests.factories_ingestion import IngestionRun, ingest
from tests.s3_server import S3Server

WORKERS = 2
SETTINGS = {"images_per_shard": 5, "max_rejected_fraction": 0.2}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a data set with a bit of everything that the passes hand on: findings, pictures, clipped boxes."""
    folder = make_data_set(tmp_path / "data", images=14)
    (folder / "image_003.jpg").write_text("not an image")
    add_image(folder, "turned", seed=90, image_bytes=make_jpeg(90, orientation=6))
    add_image(folder, "over_the_edge", seed=91, objects=[make_object(box=(3, 3, 65.5, 20))])
    add_image(folder / "other", "tiny", seed=92, objects=[make_object(box=(3, 3, 4, 20))])
    (folder / "other" / "tiny.xml").rename(folder / "other" / "renamed.xml")
    return folder


@pytest.fixture
def cluster(tmp_path: Path, s3_server: S3Server) -> Iterator[BeamCluster]:
    if find_unshare() is None:
        pytest.skip("this machine has no mount namespaces")
    with run_beam_cluster(WORKERS, hidden=tmp_path, environment=s3_server.environment) as running:
        yield running


def _outputs(run: IngestionRun) -> dict[str, bytes]:
    folders = {kind: run.folder(kind, "VocExampleGen") for kind in ("Examples", "File", "ExampleAnomalies")}
    return {
        f"{kind}/{path.relative_to(folder)}": path.read_bytes()
        for kind, folder in folders.items()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_workers_without_a_common_disk_write_the_same_files(
    data: Path, tmp_path: Path, s3_folder: str, cluster: BeamCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_tree(data, open_storage(f"{s3_folder}/data"))
    local = _outputs(ingest(data, tmp_path / "local", settings=IngestionSettings(**SETTINGS)))
    # So that both passes have work for every worker.
    monkeypatch.setattr("reefline.data.ingestion._CANDIDATES_PER_TASK", 4)
    assert len([name for name in local if name.endswith(".gz")]) > 3
    settings = IngestionSettings(beam_args=(*cluster.beam_args, f"--temp_location={s3_folder}/tmp"), **SETTINGS)
    assert _outputs(ingest(f"{s3_folder}/data", tmp_path / "remote", settings=settings)) == local
    # Each pass is a job, and each of its workers has a disk to itself.
    namespaces = cluster.namespaces()
    assert len(namespaces) == 2 * WORKERS and len(set(namespaces)) >= WORKERS
    assert str(Path("/proc/self/ns/mnt").readlink()) not in namespaces
    assert not open_storage(f"{s3_folder}/tmp").list_objects()


def test_directrunner_writes_the_same_files(data: Path, tmp_path: Path) -> None:
    local = _outputs(ingest(data, tmp_path / "local", settings=IngestionSettings(**SETTINGS)))
    settings = IngestionSettings(beam_args=("--runner=DirectRunner",), **SETTINGS)
    assert _outputs(ingest(data, tmp_path / "beam", settings=settings)) == local


def test_other_options_of_beam_find_the_result_in_the_cache(data: Path, tmp_path: Path) -> None:
    runs = [("--runner=DirectRunner",), ("--runner=DirectRunner", "--direct_num_workers=1"), ()]
    for beam_args in runs:
        run = ingest(data, tmp_path / "ws", settings=IngestionSettings(beam_args=beam_args, **SETTINGS))
    assert run.states("VocExampleGen") == ["COMPLETE", "CACHED", "CACHED"]


def _make_write_task(data: Path, out: Path) -> WriteTask:
    part = DataPart(str(data))
    inspect = InspectTask(part, (Candidate("image_000.jpg", "image_000.xml", ""),), ImageLimits(10**8), None)
    record = inspect.run().inspections[0].record
    assert record is not None
    return WriteTask(part, Shard("train", 0, 1, (record,)), LabelMap(("cat", "dog")), str(out))


def test_what_a_task_cannot_do_is_an_error_of_the_run(data: Path, tmp_path: Path) -> None:
    task = _make_write_task(data, tmp_path / "out")
    (data / "image_000.jpg").write_bytes(make_jpeg(seed=77))
    engine = BeamEngine(lambda: beam.Pipeline(argv=[]), Location.parse(tmp_path / "exchange"))
    with pytest.raises(DataError, match=r"^image_000\.jpg: changed since it was inspected: run again$"):
        list(engine.run([task]))


def test_deleted_task_stops_the_job(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"tasks/000000003\.json: missing; do not delete a run's temporary files"):
        RunTaskDoFn(WriteTask, str(tmp_path)).process(3)


def test_service_that_does_not_answer(data: Path, tmp_path: Path) -> None:
    args = ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--environment_type=LOOPBACK"]
    engine = BeamEngine(
        lambda: beam.Pipeline(argv=[*args, "--job_server_timeout=1"]), Location.parse(tmp_path / "exchange")
    )
    with pytest.raises(ConfigError, match=r"data\.beam_args: cannot use the runner's service .*; start it, or fix its"):
        list(engine.run([_make_write_task(data, tmp_path / "out")]))
