"""The folders that components hand to each other: one class per artifact, which names every file in it.

A component gets an artifact's URI and wraps it here; nobody else spells a file's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Next to a review page, which links to it by this name.
STATISTICS_PAGE = "statistics.html"


@dataclass(frozen=True)
class ArtifactFolder:
    """An artifact's folder."""

    root: Path


class ExamplesFolder(ArtifactFolder):
    """VocExampleGen's examples: one folder of gzip TFRecords per split."""

    def split(self, name: str) -> Path:
        """Return the folder of a split, as TFX names it."""
        return self.root / f"Split-{name}"

    def files(self, split: str) -> tuple[Path, ...]:
        """Return the TFRecord files of a split, sorted."""
        return tuple(sorted(self.split(split).iterdir()))


class LabelMapFolder(ArtifactFolder):
    """VocExampleGen's label map."""

    @property
    def label_map(self) -> Path:
        """A StringIntLabelMap text file."""
        return self.root / "label_map.pbtxt"


class IngestionFolder(ArtifactFolder):
    """VocExampleGen's report."""

    @property
    def report(self) -> Path:
        """An IngestionReport."""
        return self.root / "report.json"

    @property
    def records(self) -> Path:
        """One ImageRecord per line."""
        return self.root / "records.jsonl"

    @property
    def thumbnails(self) -> Path:
        """Thumbnails of images that findings name, by image; see `reefline.images.thumbnails`."""
        return self.root / "thumbnails.zip"

    @property
    def pictures(self) -> Path:
        """A FindingPictures: which thumbnail shows which file, and the boxes to draw there."""
        return self.root / "pictures.json"


class FindingsFolder(ArtifactFolder):
    """AnnotationValidator's findings."""

    @property
    def validation(self) -> Path:
        """A ValidationReport."""
        return self.root / "validation.json"


class PreflightFolder(ArtifactFolder):
    """EdgeTpuPreflight's answer."""

    @property
    def preflight(self) -> Path:
        """A Preflight."""
        return self.root / "preflight.json"


class ModelRunFolder(ArtifactFolder):
    """Trainer's run; several workers share it."""

    @property
    def pipeline_config(self) -> Path:
        """The OD API's pipeline.config of this training."""
        return self.root / "pipeline.config"

    @property
    def job(self) -> Path:
        """A TrainingJob."""
        return self.root / "job.json"

    @property
    def state(self) -> Path:
        """A TrainingState: what an interrupted training resumes from."""
        return self.root / "state.json"

    @property
    def report(self) -> Path:
        """A TrainingReport; it is written last, so where it exists the training is finished."""
        return self.root / "training.json"

    @property
    def history(self) -> Path:
        """Loss and learning rate over the steps; one TrainingPoint per line, appended while training runs."""
        return self.root / "history.jsonl"

    @property
    def errors(self) -> Path:
        """A WorkerErrors: why the training's own process failed; missing otherwise."""
        return self.root / "errors.json"

    @property
    def checkpoints(self) -> Path:
        """The newest checkpoints."""
        return self.root / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint with the highest COCO mAP."""
        return self.root / "best"

    @property
    def logs(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "logs"


class ModelFolder(ArtifactFolder):
    """EdgeTpuExporter's model."""

    @property
    def saved_model(self) -> Path:
        """The OD API's SavedModel in "image_tensor" form."""
        return self.root / "saved_model"

    @property
    def bundle(self) -> Path:
        """The files of a bundle before it is pushed; `reefline.bundle.layout` names them."""
        return self.root / "bundle"

    @property
    def placement(self) -> Path:
        """Where each operator of the shipped model runs, and why."""
        return self.root / "placement.json"

    @property
    def calibration(self) -> Path:
        """The encoded images that set the int8 model's ranges, in one zip; missing for a float model."""
        return self.root / "calibration.zip"

    @property
    def fine_tuned(self) -> Path:
        """The checkpoint of quantization-aware fine-tuning, where there was any."""
        return self.root / "fine_tuned"


class BaselineFolder(ArtifactFolder):
    """ServingBundle's copy of what serves; empty where nothing does."""

    @property
    def bundle(self) -> Path:
        """The serving bundle."""
        return self.root / "bundle"


class ScoresFolder(ArtifactFolder):
    """ModelScorer's scores."""

    @property
    def scores(self) -> Path:
        """A Scores record."""
        return self.root / "scores.json"

    @property
    def detections(self) -> Path:
        """The SplitDetections of every scored model."""
        return self.root / "detections.npz"

    @property
    def thumbnails(self) -> Path:
        """Thumbnails of the eval split, by image; see `reefline.images.thumbnails`."""
        return self.root / "thumbnails.zip"


class EvaluationFolder(ArtifactFolder):
    """Evaluator's answer."""

    @property
    def evaluation(self) -> Path:
        """An EvaluationReport."""
        return self.root / "evaluation.json"


class ReviewFolder(ArtifactFolder):
    """ReviewReport's page."""

    @property
    def page(self) -> Path:
        """The page, self-contained."""
        return self.root / "index.html"

    @property
    def statistics(self) -> Path:
        """TFDV's statistics as a page; missing if it could not be made."""
        return self.root / STATISTICS_PAGE

    @property
    def sections(self) -> Path:
        """A ReviewSections record: the parts of the page that follow from the artifacts alone."""
        return self.root / "sections.json"
