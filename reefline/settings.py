"""What a config may say: one validated, frozen model per section.

A component receives its own section as one JSON string, so that changing a gate threshold retrains nothing.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any, Optional

import pydantic

from reefline.findings import Severity

Fraction = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]
PositiveInt = Annotated[int, pydantic.Field(gt=0)]
NonNegativeInt = Annotated[int, pydantic.Field(ge=0)]
PositiveFloat = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


class Section(pydantic.BaseModel):
    """A section: frozen, and an unknown key is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=True)

    @classmethod
    def from_json(cls, text: str) -> Any:
        """Read the section back from an exec property."""
        return cls.model_validate_json(text)

    def to_json(self) -> str:
        """Return the section as one line with sorted keys, so that equal settings give equal cache keys."""
        import json

        return json.dumps(self.model_dump(mode="json"), sort_keys=True)


class DemoSettings(Section):
    """The data set that is generated where the command line names none."""

    images: PositiveInt = 360
    seed: NonNegativeInt = 0


class IngestionSettings(Section):
    """How images and annotations are found, repaired and split."""

    label_map: Optional[str] = None
    image_dir: Optional[str] = None
    annotation_dir: Optional[str] = None
    max_dimension: Optional[PositiveInt] = None
    max_rejected_fraction: Fraction = 0.02
    max_image_pixels: PositiveInt = 100_000_000
    eval_fraction: Fraction = 0.2
    test_fraction: Fraction = 0.0
    images_per_shard: PositiveInt = 500
    workers: PositiveInt = 1


class ValidationSettings(Section):
    """What the annotation rules weigh; `severities` overrides a rule's own."""

    severities: dict[str, Severity] = {}
    min_box_px: PositiveFloat = 2.0
    max_class_imbalance: PositiveFloat = 50.0
    near_duplicate_bits: NonNegativeInt = 4


class EdgeTpuTarget(str, enum.Enum):
    """Whether the model has to fit the Edge TPU."""

    REQUIRED = "required"
    NEVER = "never"


class CheckpointType(str, enum.Enum):
    """What a fine-tune checkpoint holds: a whole detector or a classification backbone."""

    DETECTION = "detection"
    CLASSIFICATION = "classification"


class FineTuneCheckpoint(Section):
    """A checkpoint to start from: a path or URL, with the sha256 that an http(s) URL must have."""

    source: str
    sha256: Optional[Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")]] = None
    type: CheckpointType = CheckpointType.DETECTION

    @pydantic.model_validator(mode="after")
    def _check_url(self) -> FineTuneCheckpoint:
        scheme, separator, _ = self.source.partition("://")
        if separator and scheme not in ("file", "http", "https"):
            raise ValueError(f"{scheme}:// cannot be read; give a path or a file://, http:// or https:// URL")
        if scheme in ("http", "https") and separator and self.sha256 is None:
            raise ValueError("a checkpoint from a URL needs its sha256")
        return self


class Augmentation(str, enum.Enum):
    """The augmentations a config can name; each is one of the OD API's preprocessing steps."""

    HORIZONTAL_FLIP = "horizontal_flip"
    VERTICAL_FLIP = "vertical_flip"
    ROTATION_90 = "rotation_90"
    RANDOM_CROP = "random_crop"
    BRIGHTNESS = "brightness"
    CONTRAST = "contrast"
    SATURATION = "saturation"
    HUE = "hue"


class DistributionStrategy(str, enum.Enum):
    """How training is spread over devices: TensorFlow's own strategies."""

    NONE = "none"
    MIRRORED = "mirrored"
    MULTI_WORKER = "multi_worker"


class TrainerSettings(Section):
    """What is trained, for how long and from where."""

    model: str
    input_size: Optional[PositiveInt] = None
    batch_size: PositiveInt = 16
    num_steps: PositiveInt = 10_000
    steps_per_eval: PositiveInt = 1_000
    learning_rate: PositiveFloat = 0.08
    warmup_steps: NonNegativeInt = 500
    augmentations: tuple[Augmentation, ...] = (Augmentation.HORIZONTAL_FLIP,)
    early_stopping_patience: Optional[PositiveInt] = None
    fine_tune_checkpoint: Optional[FineTuneCheckpoint] = None
    warm_start: bool = False
    isolate_evaluation: bool = False
    strategy: DistributionStrategy = DistributionStrategy.NONE
    sample_images: NonNegativeInt = 4
    seed: NonNegativeInt = 0


class CompilerSettings(Section):
    """How edgetpu_compiler is run: options of version 16.0, and an image to run it from instead of the PATH.

    `timeout_s` bounds the whole run and, as -t, each of the compiler's attempts. `search_delegate` (-d) tries again
    with `delegate_search_step` (-k) operators less where the model does not compile whole. `min_runtime_version` is -m.
    """

    image: Optional[Annotated[str, pydantic.Field(pattern=r"^[a-zA-Z0-9][\w.:/@-]*$")]] = None
    min_runtime_version: Optional[Annotated[int, pydantic.Field(ge=10, le=14)]] = None
    search_delegate: bool = False
    delegate_search_step: PositiveInt = 1
    timeout_s: PositiveFloat = 600.0


class ExporterSettings(Section):
    """How the trained model becomes a TFLite file.

    `quantization_aware_steps` fine-tune it with int8's rounding simulated first; 0 converts it as it was trained.
    """

    calibration_images: PositiveInt = 200
    quantization_aware_steps: NonNegativeInt = 0
    max_detections: PositiveInt = 100
    nms_score_threshold: Fraction = 0.01
    compiler: CompilerSettings = CompilerSettings()


class GateSettings(Section):
    """The thresholds of the gate; a rule that is null does not take part."""

    min_map: Optional[Fraction] = None
    min_map_50: Optional[Fraction] = None
    min_class_ap: Optional[Fraction] = None
    max_quantization_drop: Optional[Fraction] = None
    max_regression: Optional[Fraction] = None
    min_improvement: Optional[Fraction] = None
    min_edgetpu_ops: Optional[Fraction] = None
    edgetpu_compiled: Optional[bool] = None
