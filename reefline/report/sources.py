"""Where the facts of a review page come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

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

if TYPE_CHECKING:
    from typing_extensions import Self

_Folder = TypeVar("_Folder")


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

    @classmethod
    def from_roots(
        cls,
        config: str,
        *,
        report: Path | None = None,
        label_map: Path | None = None,
        statistics: Path | None = None,
        findings: Path | None = None,
        preflight: Path | None = None,
        model_run: Path | None = None,
        model: Path | None = None,
        scores: Path | None = None,
        evaluation: Path | None = None,
    ) -> Self:
        """Return the sources in the folders of artifacts, by the names that the components' outputs have."""
        return cls(
            config=config,
            ingestion=_wrap(IngestionFolder, report),
            label_map=_wrap(LabelMapFolder, label_map),
            statistics=statistics,
            findings=_wrap(FindingsFolder, findings),
            preflight=_wrap(PreflightFolder, preflight),
            model_run=_wrap(ModelRunFolder, model_run),
            model=_wrap(ModelFolder, model),
            scores=_wrap(ScoresFolder, scores),
            evaluation=_wrap(EvaluationFolder, evaluation),
        )


def _wrap(kind: Callable[[Path], _Folder], root: Path | None) -> _Folder | None:
    return None if root is None else kind(root)
