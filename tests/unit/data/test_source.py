from __future__ import annotations

from pathlib import Path

import pytest

from reefline.beam_options import BeamOptions
from reefline.data.source import check_reach, provide_data
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


FLINK = BeamOptions(("--runner=FlinkRunner", "--temp_location=s3://bucket/tmp"))


def test_workers_of_other_machines_cannot_read_a_folder() -> None:
    message = (
        r"^photos: the workers of FlinkRunner \(data\.beam_args\) cannot read this folder; use data at s3:// or gs://"
    )
    with pytest.raises(DataError, match=message):
        check_reach(FLINK, "photos")


@pytest.mark.parametrize(
    ("options", "data"),
    [
        pytest.param(FLINK, "s3://bucket/data", id="store"),
        pytest.param(BeamOptions(()), "photos", id="no-runner"),
        pytest.param(BeamOptions(("--runner=DirectRunner",)), "photos", id="this-machine"),
    ],
)
def test_data_that_the_workers_can_read(options: BeamOptions, data: str) -> None:
    check_reach(options, data)
