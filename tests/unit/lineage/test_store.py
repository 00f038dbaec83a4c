from __future__ import annotations

from pathlib import Path

import pytest

from reefline.errors import RecordError
from reefline.lineage.store import read_run, read_runs


@pytest.mark.parametrize(
    "content", [pytest.param(b"not a database", id="text"), pytest.param(b"", id="empty-database")]
)
def test_a_file_that_is_not_ml_metadata_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metadata.db").write_bytes(content)
    with pytest.raises(RecordError, match=r"metadata\.db: cannot read ML Metadata \(Error when executing query: "):
        read_runs(tmp_path / "metadata.db")
    with pytest.raises(RecordError, match=r"metadata\.db: cannot read ML Metadata"):
        read_run(tmp_path / "metadata.db", "20260301T120000")
    assert (tmp_path / "metadata.db").read_bytes() == content
