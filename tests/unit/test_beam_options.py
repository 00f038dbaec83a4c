from __future__ import annotations

import pytest

from reefline.beam_options import BeamOptions, BeamRunner

TEMP = "--temp_location=s3://bucket/tmp"


@pytest.mark.parametrize(
    ("arguments", "runner", "shares_disk", "exchange"),
    [
        pytest.param((), BeamRunner.DIRECT, True, "", id="none"),
        pytest.param(("--runner=DirectRunner", TEMP), BeamRunner.DIRECT, True, "", id="direct"),
        pytest.param(("--runner=FlinkRunner", TEMP), BeamRunner.FLINK, False, "s3://bucket/tmp", id="flink"),
        pytest.param(
            ("--runner=PortableRunner", "--environment_type=LOOPBACK"), BeamRunner.PORTABLE, True, "", id="loopback"
        ),
        pytest.param(
            (TEMP, "--streaming", "--temp_location=gs://b/t", "--runner=DataflowRunner"),
            BeamRunner.DATAFLOW,
            False,
            "gs://b/t",
            id="last-value",
        ),
    ],
)
def test_what_the_workers_share(
    arguments: tuple[str, ...], runner: BeamRunner, shares_disk: bool, exchange: str
) -> None:
    options = BeamOptions(arguments)
    options.check()
    assert (options.runner, options.shares_disk, options.exchange) == (runner, shares_disk, exchange)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ("--runner", "FlinkRunner"), "'FlinkRunner' is not an option of Beam; write --name=value", id="two"
        ),
        pytest.param(("-runner=FlinkRunner",), "'-runner=FlinkRunner' is not an option", id="one-dash"),
        pytest.param(("--runner=FlinkRuner", TEMP), "'FlinkRuner'; did you mean FlinkRunner", id="typo"),
        pytest.param(("--runner",), "unknown runner ''; expected one of DirectRunner, Portable", id="no-runner"),
        pytest.param(("--runner=SparkRunner",), "SparkRunner needs --temp_location=.*; none is set", id="no-exchange"),
        pytest.param(
            ("--runner=SparkRunner", "--temp_location=/tmp"), "write to; found '/tmp'", id="exchange-on-a-disk"
        ),
    ],
)
def test_what_beam_would_report_late_or_never(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BeamOptions(arguments).check()
