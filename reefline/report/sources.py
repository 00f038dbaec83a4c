"""Where the facts of a review page come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reefline.structures.artifacts import (
    EvaluationFolder,
    FindingsFolder,
    IngestionFolder,
    LabelMapFolder,
    ModelFolder,
    ModelRunFolder,
    PreflightFolder,
    ScoresFolder,
)


@dataclass(frozen=True)
class RunSources:
    """The artifacts of one run; what the run did not reach is None.

    `statistics` is StatisticsGen's folder, `config` the effective RunConfig as JSON, "" if the run never had one.
    """

    config: str = ""
    ingestion: IngestionFolder | None = None
    label_map: LabelMapFolder | None = None
    statistics: Path | None = None
    findings: FindingsFolder | None = None
    preflight: PreflightFolder | None = None
    model_run: ModelRunFolder | None = None
    model: ModelFolder | None = None
    scores: ScoresFolder | None = None
    evaluation: EvaluationFolder | None = None
