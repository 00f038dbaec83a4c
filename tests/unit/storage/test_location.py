from __future__ import annotations

from pathlib import Path

import pytest

from reefline.errors import StorageError
from reefline.storage.location import Location, Scheme


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        pytest.param("data/voc/", Location(Scheme.FILE, "", "data/voc"), "data/voc", id="relative"),
        pytest.param(Path("/data"), Location(Scheme.FILE, "", "/data"), "/data", id="path"),
        pytest.param("file:///data/a%20b", Location(Scheme.FILE, "", "/data/a b"), "/data/a b", id="file"),
        pytest.param("file://localhost/data", Location(Scheme.FILE, "", "/data"), "/data", id="file-of-this-host"),
        pytest.param("s3://bucket", Location(Scheme.S3, "bucket", ""), "s3://bucket", id="bucket"),
        pytest.param("s3://bucket/", Location(Scheme.S3, "bucket", ""), "s3://bucket", id="bucket-with-slash"),
        pytest.param("S3://bucket/a/b/", Location(Scheme.S3, "bucket", "a/b"), "s3://bucket/a/b", id="folder"),
        pytest.param("minio://b.c/a", Location(Scheme.MINIO, "b.c", "a"), "minio://b.c/a", id="minio"),
        pytest.param("gs://b_c/a é#", Location(Scheme.GCS, "b_c", "a é#"), "gs://b_c/a é#", id="gs"),
    ],
)
def test_paths_and_uris(text: str | Path, expected: Location, shown: str) -> None:
    assert Location.parse(text) == expected
    assert str(expected) == shown
    assert Location.parse(shown) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("hdfs://host/data", r"hdfs:// is not supported; use a local path, .*s3://.*gs://", id="hdfs"),
        pytest.param("https://host/data", r"https:// is not supported", id="web"),
        pytest.param("s3:/bucket/a", r"one slash found.*write s3://bucket/a", id="collapsed"),
        pytest.param(Path("gs://bucket/a"), r"one slash found.*write gs://bucket/a", id="collapsed-by-path"),
        pytest.param("s3:///a", r"'' is not a bucket's name", id="no-bucket"),
        pytest.param("s3://Bucket!/a", r"'Bucket!' is not a bucket's name", id="bad-bucket"),
        pytest.param("s3://bucket/a//b", r"empty parts", id="empty-part"),
        pytest.param("s3://bucket/../b", r"'\.\.' are not allowed", id="climbs"),
        pytest.param("file://host/data", r"three slashes", id="file-of-another-host"),
    ],
)
def test_what_is_refused(text: str | Path, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        Location.parse(text)


@pytest.mark.parametrize("root", ["/data", "s3://bucket", "s3://bucket/x", "gs://bucket/x"])
def test_parts(root: str) -> None:
    below = Location.parse(root) / "a" / "b/c"
    assert str(below) == f"{root}/a/b/c"
    assert below.name == "c"
    assert below.parent.parent == Location.parse(f"{root}/a")


def test_a_name_cannot_climb_out() -> None:
    with pytest.raises(StorageError, match=r"'\.\.' are not allowed"):
        Location.parse("s3://bucket/x") / "../y"


def test_only_local_locations_have_a_local_path() -> None:
    assert Location.parse("file:///data").local_path == Path("/data")
    with pytest.raises(StorageError, match="expected a local path, found a URI"):
        _ = Location.parse("s3://bucket/data").local_path
