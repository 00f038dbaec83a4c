from __future__ import annotations

from pathlib import Path

import pytest

from reefline.data.source import provide_data
from reefline.errors import DataError


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        pytest.param("s3://bucket/data", "s3:/bucket/data: a URI; --data expects a folder on this machine", id="uri"),
        pytest.param(
            "no/such/folder", "no/such/folder: no such folder; --data expects a folder of images", id="missing"
        ),
    ],
)
def test_data_that_is_no_folder_of_this_machine(tmp_path: Path, argument: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        provide_data(Path(argument), None, tmp_path / "demo", lambda _: None)


def test_a_folder_is_used_as_it_is(tmp_path: Path) -> None:
    assert provide_data(tmp_path, None, tmp_path / "demo", lambda _: None) == tmp_path
