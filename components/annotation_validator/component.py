"""The AnnotationValidator component."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import ExampleAnomalies

from reefline.data.anomalies import read_anomalies
from reefline.data.image_record import read_records
from reefline.data.reports import IngestionReport
from reefline.data.validation import validate_data_set
from reefline.settings import ValidationSettings
from reefline.structures.artifacts import FindingsFolder, IngestionFolder


@component
def AnnotationValidator(
    report: InputArtifact[ExampleAnomalies],
    anomalies: InputArtifact[ExampleAnomalies],
    findings: OutputArtifact[ExampleAnomalies],
    settings: Parameter[str],
    code: Parameter[str],
) -> None:
    """Judge the ingested data, and stop the pipeline where a finding is an error.

    `report` is VocExampleGen's, `anomalies` ExampleValidator's on the same data; `settings` is a
    ValidationSettings as JSON; `code` only keys the cache. `findings` is a FindingsFolder.
    """
    folder = IngestionFolder(Path(report.uri))
    validation = validate_data_set(
        records=read_records(folder.records),
        report=IngestionReport.read(folder.report),
        anomalies=read_anomalies(Path(anomalies.uri)),
        settings=ValidationSettings.from_json(settings),
    )
    validation.write(FindingsFolder(Path(findings.uri)).validation)
    findings.set_int_custom_property("findings", len(validation.findings))
