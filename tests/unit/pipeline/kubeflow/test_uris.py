"""URIs and the pod's paths: exact ones, what lies within, and what belongs to nobody here."""

from __future__ import annotations

import pytest

from pipeline.kubeflow.uris import UriMap, to_local_path

MAP = UriMap.of([("s3://b/run/model", "/s3/b/run/model"), ("s3://b/run/model_run", "/s3/b/run/model_run")])


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        pytest.param("s3://b/a", "/s3/b/a", id="s3"),
        pytest.param("minio://b/a", "/minio/b/a", id="minio"),
        pytest.param("gs://b/a", "/gcs/b/a", id="gcs"),
        pytest.param("/data/a", "/data/a", id="path"),
    ],
)
def test_where_the_launcher_puts_an_artifact(uri: str, path: str) -> None:
    assert to_local_path(uri) == path


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        pytest.param("s3://b/run/model", "/s3/b/run/model", id="exact"),
        pytest.param("s3://b/run/model_run/best/ckpt-2", "/s3/b/run/model_run/best/ckpt-2", id="within"),
        pytest.param("s3://b/serving/demo/1", "s3://b/serving/demo/1", id="no-artifact-of-this-task"),
        pytest.param("s3://b/run/model_2", "s3://b/run/model_2", id="same-beginning"),
        pytest.param("published", "published", id="text"),
    ],
)
def test_facts_are_mapped_both_ways(uri: str, path: str) -> None:
    assert MAP.to_path(uri) == path
    assert MAP.to_uri(path) == uri
