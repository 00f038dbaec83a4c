"""Checkpoints to start from: paths, folders, archives, and a real server on the loopback."""

import dataclasses
import hashlib
import resource
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reefline.bundle.store import push_bundle
from reefline.errors import BundleError, CheckpointError
from reefline.od_api.model_config import load_template
from reefline.od_api.published_start import PublishedStart
from reefline.settings import CheckpointType, Start, TrainerSettings
from reefline.training import starting_point
from reefline.training.start_files import StartCache
from reefline.training.start_identity import StartIdentity
from reefline.training.starting_point import StartingPoint, choose_start, fetch_start, identify_start
from tests.factories_evaluation import make_facts, write_candidate
from tests.factories_tflite import EDGE_TPU, OpSpec, TensorSpec, build_model, write_quantized_detector
from tests.web_server import Site, serve


def make_model_of(operator: str) -> bytes:
    """Return a TFLite file of one operator."""
    return build_model([TensorSpec("a"), TensorSpec("b")], [OpSpec(operator, ("a",), ("b",))], ["a"], ["b"])


@pytest.fixture
def zoo_folder(tmp_path: Path) -> Path:
    checkpoint = tmp_path / "zoo" / "ssd_something" / "checkpoint"
    checkpoint.mkdir(parents=True)
    (checkpoint / "ckpt-0.index").write_bytes(b"index")
    (checkpoint / "ckpt-0.data-00000-of-00001").write_bytes(b"data")
    return tmp_path / "zoo"


@pytest.fixture
def archive(zoo_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "served" / "ssd_something.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as file:
        file.add(zoo_folder / "ssd_something", "ssd_something")
    return path


@pytest.fixture
def site(archive: Path) -> Iterator[Site]:
    with serve(Site(archive.read_bytes(), etag='"v1"')) as served:
        yield served


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def settings(**changes: object) -> TrainerSettings:
    return TrainerSettings.model_validate({"model": "ssd_mobilenet_v2_tiny", **changes})


def cache(tmp_path: Path) -> StartCache:
    return StartCache(tmp_path / "cache", local_folders=())


def resolve(source: object, tmp_path: Path, digest: str | None = None) -> str:
    return str(choose_start(settings(start={"source": str(source), "sha256": digest}), "", cache(tmp_path)).prefix)


def test_a_prefix_is_used_unchanged(zoo_folder: Path, tmp_path: Path) -> None:
    prefix = zoo_folder / "ssd_something" / "checkpoint" / "ckpt-0"
    assert resolve(prefix, tmp_path) == str(prefix)


def test_the_checkpoint_in_a_zoo_folder_is_found(zoo_folder: Path, tmp_path: Path) -> None:
    assert resolve(zoo_folder, tmp_path).endswith("checkpoint/ckpt-0")


def test_archive_is_unpacked_once(archive: Path, tmp_path: Path) -> None:
    prefix = resolve(archive, tmp_path, sha256(archive))
    assert Path(f"{prefix}.index").read_bytes() == b"index"
    stamp = Path(f"{prefix}.index").stat().st_mtime_ns
    assert resolve(archive, tmp_path) == prefix
    assert Path(f"{prefix}.index").stat().st_mtime_ns == stamp


def test_url_is_downloaded_and_kept(site: Site, archive: Path, tmp_path: Path) -> None:
    prefix = resolve(site.url, tmp_path, sha256(archive))
    assert Path(f"{prefix}.data-00000-of-00001").read_bytes() == b"data"
    assert resolve(site.url, tmp_path, sha256(archive)) == prefix
    assert len(site.requests) == 1


def test_a_cut_download_is_resumed(site: Site, archive: Path, tmp_path: Path) -> None:
    site.cuts = [50]
    assert resolve(site.url, tmp_path, sha256(archive)).endswith("ckpt-0")
    assert site.asked_ranges == [None, "bytes=50-"]


def test_wrong_hash_leaves_nothing_behind(site: Site, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"^trainer\.start: .* has sha256 {sha256(archive)}, expected"):
        resolve(site.url, tmp_path, "0" * 64)
    assert list((tmp_path / "cache").iterdir()) == []


def test_missing_url_leaves_nothing_behind(site: Site, tmp_path: Path) -> None:
    site.statuses = [404]
    with pytest.raises(CheckpointError, match=r"cannot be downloaded: .*404"):
        resolve(site.url, tmp_path, "0" * 64)
    assert list((tmp_path / "cache").iterdir()) == []


def test_file_url_needs_no_hash(archive: Path, tmp_path: Path) -> None:
    assert resolve(archive.as_uri(), tmp_path).endswith("ckpt-0")


def test_file_url_with_a_hash_is_checked(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"has sha256 {sha256(archive)}, expected 0000"):
        resolve(archive.as_uri(), tmp_path, "0" * 64)


def test_a_bundle_in_an_object_store_is_a_start(tmp_path: Path, s3_folder: str) -> None:
    candidate = tmp_path / "candidate"
    write_candidate(candidate)
    write_quantized_detector(candidate / "model_int8.tflite")
    push_bundle(candidate, make_facts(), s3_folder)
    uri = f"{s3_folder}/detector/1"
    cache = StartCache(tmp_path / "cache", local_folders=())
    identity = identify_start(Start(source=uri), load_template("ssd_mobilenet_v2_tiny"), cache)
    assert identity == StartIdentity(sha256=sha256(candidate / "model_int8.tflite"))
    found = choose_start(settings(start=uri), str(identity), cache)
    assert found.tflite is not None and sha256(found.tflite) == identity.sha256
    with pytest.raises(BundleError, match=r"/9/manifest\.json: missing; name the folder of one version"):
        choose_start(settings(start=f"{s3_folder}/detector/9"), "", cache)


def test_file_url_means_a_path(zoo_folder: Path, tmp_path: Path) -> None:
    spaced = tmp_path / "with space"
    zoo_folder.rename(spaced)
    assert "%20" in spaced.as_uri()
    assert resolve(spaced.as_uri(), tmp_path).endswith("with space/ssd_something/checkpoint/ckpt-0")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param("hdfs://host/a.tar.gz", "hdfs:// is not supported; use a path, a file://", id="scheme"),
        pytest.param("http://host/a.tar.gz", "an http:// URL needs its sha256", id="no-hash"),
    ],
)
def test_settings_refuse_what_cannot_be_fetched_safely(source: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Start(source=source)


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing.tar.gz does not exist; expected"):
        resolve(tmp_path / "nothing.tar.gz", tmp_path)


def test_a_file_that_is_not_an_archive(tmp_path: Path) -> None:
    (tmp_path / "notes.tar.gz").write_text("not an archive")
    with pytest.raises(CheckpointError, match=r"notes.tar.gz is not a readable tar archive"):
        resolve(tmp_path / "notes.tar.gz", tmp_path)
    assert not any((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("cut", [pytest.param(-20, id="end-missing"), pytest.param(30, id="start-only")])
def test_archive_that_is_cut(archive: Path, tmp_path: Path, cut: int) -> None:
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=r"ssd_something.tar.gz is not a readable tar archive"):
        resolve(archive, tmp_path)
    assert not any((tmp_path / "cache").iterdir())


def test_a_full_disk_is_not_reported_as_a_bad_archive(zoo_folder: Path, tmp_path: Path) -> None:
    (zoo_folder / "ssd_something" / "checkpoint" / "ckpt-0.data-00000-of-00001").write_bytes(bytes(1_000_000))
    path = tmp_path / "large.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(zoo_folder / "ssd_something", "ssd_something")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(
            CheckpointError, match=r"cannot unpack large.tar.gz \(File too large\); free space in .*cache"
        ):
            resolve(path, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not any((tmp_path / "cache").iterdir())


def test_folder_without_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        resolve(tmp_path / "empty", tmp_path)


def test_folder_with_several_checkpoints_lists_them(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    for name in ("ckpt-1", "ckpt-2"):
        (tmp_path / "two" / f"{name}.index").write_bytes(b"")
    with pytest.raises(CheckpointError, match="pick one: ckpt-1, ckpt-2"):
        resolve(tmp_path / "two", tmp_path)


def test_archive_that_reaches_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil.txt").write_text("x")
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(tmp_path / "evil.txt", "../../outside.txt")
    with pytest.raises(CheckpointError, match="outside"):
        resolve(path, tmp_path)
    assert not (tmp_path.parent / "outside.txt").exists()


def test_by_default_training_starts_from_new_weights(tmp_path: Path) -> None:
    assert choose_start(settings(), "", cache(tmp_path)) == StartingPoint()


def test_a_checkpoint_keeps_its_type(zoo_folder: Path, tmp_path: Path) -> None:
    start = choose_start(settings(start={"source": str(zoo_folder), "type": "classification"}), "", cache(tmp_path))
    assert start.prefix is not None
    assert start.prefix.endswith("checkpoint/ckpt-0")
    assert (start.type, start.note) == (CheckpointType.CLASSIFICATION, "")


def test_the_serving_model_comes_before_otherwise(zoo_folder: Path, tmp_path: Path) -> None:
    prefix = str(zoo_folder / "ssd_something" / "checkpoint" / "ckpt-0")
    wish = {"source": "serving", "otherwise": str(tmp_path / "nowhere"), "type": "classification"}
    start = choose_start(settings(start=wish), f"serving:{prefix}", cache(tmp_path))
    assert start == StartingPoint(prefix, CheckpointType.DETECTION, note="Starting from the serving model.")


def test_without_a_serving_model_training_starts_from_new_weights(tmp_path: Path) -> None:
    start = choose_start(settings(start="serving"), "", cache(tmp_path))
    assert start == StartingPoint(note="trainer.start: no model is serving yet; starting from new weights.")


def test_without_a_serving_model_training_starts_where_otherwise_says(zoo_folder: Path, tmp_path: Path) -> None:
    wish = {"source": "serving", "otherwise": str(zoo_folder), "type": "classification"}
    start = choose_start(settings(start=wish), "", cache(tmp_path))
    assert str(start.prefix).endswith("ckpt-0")
    assert start.type is CheckpointType.CLASSIFICATION
    assert start.note == f"trainer.start: no model is serving yet; starting from {zoo_folder}."


def test_a_serving_model_without_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"/gone/ckpt-3, the checkpoint .* no longer exists; restore it, or"):
        choose_start(settings(start="serving"), "serving:/gone/ckpt-3", cache(tmp_path))


def push_bundle_of(content: bytes, root: Path, name: str = "model_int8.tflite") -> Path:
    """Push a bundle whose TFLite file holds `content`, and return its folder."""
    candidate = write_candidate(root / "candidate", content, name=name)
    push_bundle(candidate, make_facts(height_px=96, width_px=128), root / "serving")
    return root / "serving" / "detector" / "1"


def test_a_tflite_file_is_recognized_by_its_content(tmp_path: Path) -> None:
    path = write_quantized_detector(tmp_path / "weights.bin")
    assert choose_start(settings(start=str(path)), "", cache(tmp_path)) == StartingPoint(tflite=path)


def test_a_bundle_means_its_int8_file(tmp_path: Path) -> None:
    bundle = push_bundle_of(write_quantized_detector(tmp_path / "m.tflite").read_bytes(), tmp_path)
    for source in (str(bundle), bundle.as_uri()):
        start = choose_start(settings(start=source), "", cache(tmp_path))
        assert start == StartingPoint(tflite=bundle / "model_int8.tflite", size_px=(96, 128))


def test_a_bundle_whose_file_was_changed_is_refused(tmp_path: Path) -> None:
    bundle = push_bundle_of(b"model", tmp_path)
    (bundle / "model_int8.tflite").write_bytes(b"truncated")
    with pytest.raises(BundleError, match=r"model_int8.tflite: missing, or not the file that manifest.json describes"):
        choose_start(settings(start=str(bundle)), "", cache(tmp_path))


def test_a_float_bundle_is_refused(tmp_path: Path) -> None:
    bundle = push_bundle_of(b"model", tmp_path, "model_float.tflite")
    with pytest.raises(BundleError, match="holds a float model only, whose weights cannot be read back"):
        choose_start(settings(start=str(bundle)), "", cache(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"no model", "not a TFLite model", id="text"),
        pytest.param(make_model_of(EDGE_TPU), "compiled for the Edge TPU", id="compiled"),
        pytest.param(make_model_of("FlexConv2D"), "contains TensorFlow operators", id="flex"),
        pytest.param(make_model_of("RELU"), "contains no convolution", id="no-detector"),
        pytest.param(make_model_of("RELU")[:60], "damaged or truncated", id="truncated"),
    ],
)
def test_a_tflite_file_without_readable_weights_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.tflite").write_bytes(content)
    with pytest.raises(BundleError, match=rf"^trainer\.start: .*m\.tflite: .*{message}"):
        choose_start(settings(start=str(tmp_path / "m.tflite")), "", cache(tmp_path))


def test_published_weights_are_found_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    path = write_quantized_detector(tmp_path / "models" / "mine.tflite")
    pinned = PublishedStart("https://host.invalid/w.tflite", sha256(path), "Apache-2.0", "COCO 2017 (90 classes)")
    template = dataclasses.replace(load_template("ssd_mobilenet_v1_300"), published=pinned)
    monkeypatch.setattr(starting_point, "load_template", lambda _: template)
    stocked = StartCache(tmp_path / "cache", local_folders=(tmp_path / "models",))
    start = choose_start(settings(start="published"), "", stocked)
    assert start == StartingPoint(tflite=path, note="Published weights: COCO 2017 (90 classes), Apache-2.0.")
    start = choose_start(settings(start="serving"), "", stocked)
    assert start.note == "trainer.start: no model is serving yet; starting from the published weights."


def test_a_zoo_name_is_an_archive_whose_template_is_known(archive: Path, tmp_path: Path) -> None:
    name, digest = "ssd_mobilenet_v2_320x320_coco17_tpu-8", sha256(archive)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "zoo.tar.gz").write_bytes(archive.read_bytes())
    start = choose_start(settings(start=f"zoo:{name}"), f"sha256:{digest}", cache(tmp_path))
    assert str(start.prefix).endswith("ssd_something/checkpoint/ckpt-0")
    assert start.template == "ssd_mobilenet_v2_320"


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param("scratch", "", id="scratch"),
        pytest.param("published", "sha256:e4b118e5", id="published"),
        pytest.param({"source": "https://host.invalid/a", "sha256": "7" * 64}, "sha256:7777", id="pinned"),
    ],
)
def test_what_is_pinned_is_identified_without_network(tmp_path: Path, start: object, expected: str) -> None:
    template = load_template("ssd_mobilenet_v1_300")
    identity = str(identify_start(settings(start=start).start, template, cache(tmp_path)))
    assert identity.startswith(expected) and bool(identity) == bool(expected)


def test_files_are_identified_by_their_content(zoo_folder: Path, archive: Path, tmp_path: Path) -> None:
    template = load_template("ssd_mobilenet_v1_300")
    tflite = write_quantized_detector(tmp_path / "m.tflite")
    bundle = push_bundle_of(tflite.read_bytes(), tmp_path)
    index = sha256(zoo_folder / "ssd_something" / "checkpoint" / "ckpt-0.index")
    prefix = zoo_folder / "ssd_something" / "checkpoint" / "ckpt-0"
    for source, expected in (
        (tflite, StartIdentity(sha256=sha256(tflite))),
        (bundle, StartIdentity(sha256=sha256(tflite))),
        (archive, StartIdentity(sha256=sha256(archive))),
        (zoo_folder, StartIdentity(checkpoint=index)),
        (prefix, StartIdentity(checkpoint=index)),
    ):
        assert identify_start(settings(start=str(source)).start, template, cache(tmp_path)) == expected


def test_a_url_without_a_hash_is_identified_by_one_download(site: Site, archive: Path, tmp_path: Path) -> None:
    template = load_template("ssd_mobilenet_v1_300")
    wish = Start(source="https://host/a.tar.gz").model_copy(update={"source": site.url})
    identity = identify_start(wish, template, cache(tmp_path))
    assert identity == StartIdentity(sha256=sha256(archive))
    wished = settings().model_copy(update={"start": wish})
    assert choose_start(wished, str(identity), cache(tmp_path)).prefix is not None
    assert len(site.requests) == 1


def test_training_stops_where_a_url_has_changed_since_the_driver_looked(site: Site, tmp_path: Path) -> None:
    wish = Start(source="https://host/a.tar.gz").model_copy(update={"source": site.url})
    with pytest.raises(CheckpointError, match=f"has changed: sha256 [0-9a-f]{{64}} found, {'7' * 64} remembered"):
        choose_start(settings().model_copy(update={"start": wish}), f"sha256:{'7' * 64}", cache(tmp_path))


def test_a_start_is_fetched_before_the_run_and_only_once(site: Site, archive: Path, tmp_path: Path) -> None:
    wish = settings(start={"source": site.url, "sha256": sha256(archive)})
    fetch_start(wish, cache(tmp_path))
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".gz"]  # nothing is unpacked yet
    assert choose_start(wish, "", cache(tmp_path)).prefix is not None
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    ("start", "message"),
    [
        pytest.param("nothing.tflite", r"trainer\.start: nothing\.tflite does not exist", id="missing-path"),
        pytest.param({"source": "URL", "sha256": "0" * 64}, r"put the file with sha256 0000", id="missing-url"),
        pytest.param({"source": "serving", "otherwise": "no"}, r"trainer\.start: no does not exist", id="otherwise"),
    ],
)
def test_a_start_that_cannot_be_fetched(site: Site, tmp_path: Path, start: object, message: str) -> None:
    site.statuses = [404]
    wish = {**start, "source": start["source"].replace("URL", site.url)} if isinstance(start, dict) else start
    with pytest.raises(CheckpointError, match=message):
        fetch_start(settings(start=wish), StartCache(tmp_path / "cache", local_folders=(tmp_path,)))


def test_new_weights_need_no_file(tmp_path: Path) -> None:
    fetch_start(settings(), cache(tmp_path))
    fetch_start(settings(start="serving"), cache(tmp_path))
    assert not (tmp_path / "cache").exists()
