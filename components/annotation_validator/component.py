"""The AnnotationValidator component."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import ExampleAnomalies, Examples

from reefline.data.image_record import read_records
from reefline.data.reports import IngestionReport
from reefline.data.validation import validate_data_set
from reefline.settings import ValidationSettings


@component
def AnnotationValidator(
    examples: InputArtifact[Examples],
    report: InputArtifact[ExampleAnomalies],
    anomalies: InputArtifact[ExampleAnomalies],
    findings: OutputArtifact[ExampleAnomalies],
    settings: Parameter[str],
    code: Parameter[str],
) -> None:
    """Judge what was ingested, and stop the pipeline where a finding is an error.

    `report` is VocExampleGen's, `anomalies` ExampleValidator's on the same `examples`; `settings` is a
    ValidationSettings as JSON; `code` only keys the cache. `findings` holds validation.json, a ValidationReport.
    """
    from components.annotation_validator.anomalies import read_anomalies

    folder = Path(report.uri)
    ingestion = IngestionReport.from_json(json.loads((folder / "report.json").read_text(encoding="utf-8")))
    validation = validate_data_set(
        records=read_records(folder / "records.jsonl"),
        report=ingestion,
        anomalies=read_anomalies(anomalies),
        settings=ValidationSettings.from_json(settings),
    )
    target = Path(findings.uri) / "validation.json"
    target.write_text(json.dumps(validation.to_json(), indent=1), encoding="utf-8")
    findings.set_int_custom_property("findings", len(validation.findings))
