"""The sections of a config: one validated, frozen model each.

A component receives only its own section, as one JSON string, so changing a gate threshold retrains nothing.
"""

from __future__ import annotations

import enum
import json
import urllib.parse
from typing import Annotated, Any, Optional

import pydantic
from typing_extensions import Self

from reefline.beam_options import BeamOptions
from reefline.findings import Severity

Fraction = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]
PositiveFloat = Annotated[float, pydantic.Field(gt=0, le=1e9, allow_inf_nan=False)]
# Maxima are far above anything useful; they turn a slip into a message, and keep numbers within int32.
Count = Annotated[int, pydantic.Field(gt=0, le=1_000_000)]
Steps = Annotated[int, pydantic.Field(gt=0, le=100_000_000)]
StepsOrNone = Annotated[int, pydantic.Field(ge=0, le=100_000_000)]
SizePx = Annotated[int, pydantic.Field(gt=0, le=65_535)]
Seed = Annotated[int, pydantic.Field(ge=0, le=2**31 - 1)]


class Section(pydantic.BaseModel):
    """A section: frozen, and an unknown key is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the section back from an exec property.

        Raises:
            pydantic.ValidationError: a value is missing, unknown or invalid.
        """
        return cls.model_validate_json(text)

    def to_json(self) -> str:
        """Return the section as one line with sorted keys, so equal settings give equal cache keys."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)


class DemoSettings(Section):
    """The data set that is generated if the command line names none."""

    images: Count = 360
    seed: Seed = 0


class IngestionSettings(Section):
    """How images and annotations are found, repaired and split.

    `split_folders` is whether folders named train, valid and test give the splits where ImageSets does not.
    `beam_args` are options of Beam, such as --runner=FlinkRunner; without any, ingestion uses `workers` processes, by
    default (None) one per core.
    """

    label_map: Optional[str] = None
    image_dir: Optional[str] = None
    annotation_dir: Optional[str] = None
    max_dimension: Optional[SizePx] = None
    max_rejected_fraction: Fraction = 0.02
    max_image_pixels: Annotated[int, pydantic.Field(gt=0, le=1_000_000_000)] = 100_000_000
    eval_fraction: Fraction = 0.2
    test_fraction: Fraction = 0.0
    split_folders: bool = True
    images_per_shard: Count = 500
    workers: Optional[Annotated[int, pydantic.Field(gt=0, le=1024)]] = None
    beam_args: tuple[str, ...] = ()

    @pydantic.field_validator("beam_args", mode="after")
    @classmethod
    def _check_beam_args(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        BeamOptions(value).check()
        return value

    @property
    def beam_options(self) -> BeamOptions:
        """The options of Beam."""
        return BeamOptions(self.beam_args)

    def without_engine(self) -> IngestionSettings:
        """Return the settings without `workers` and `beam_args`: who does the work keys no cache."""
        return self.model_copy(update={"workers": None, "beam_args": ()})


class ValidationSettings(Section):
    """Limits and severities of the data rules; `severities` overrides a rule's default."""

    severities: dict[str, Severity] = {}
    min_box_px: PositiveFloat = 2.0
    max_class_imbalance: PositiveFloat = 50.0
    near_duplicate_bits: Annotated[int, pydantic.Field(ge=0, le=64)] = 4
    max_class_drift: Fraction = 0.2
    max_numeric_drift: Fraction = 0.2


class EdgeTpuTarget(str, enum.Enum):
    """Whether the model must run on the Edge TPU."""

    REQUIRED = "required"
    NEVER = "never"


class CheckpointType(str, enum.Enum):
    """What a checkpoint to start from contains: a complete detector or a classification backbone."""

    DETECTION = "detection"
    CLASSIFICATION = "classification"


class StartKeyword(str, enum.Enum):
    """Starts without a path or URL: the template's pinned weights, new weights, or those of the serving model."""

    PUBLISHED = "published"
    SCRATCH = "scratch"
    SERVING = "serving"


class Start(Section):
    """Where training starts: a StartKeyword, a path or URL of weights, or `zoo:NAME`; a plain string is the source.

    `sha256` pins a file; an http:// URL needs it. `type` is what a checkpoint contains. `otherwise` replaces the source
    `serving` until a model serves; sha256 and type then belong to it.
    """

    source: Annotated[str, pydantic.Field(min_length=1)]
    sha256: Optional[Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")]] = None
    type: CheckpointType = CheckpointType.DETECTION
    otherwise: Optional[Annotated[str, pydantic.Field(min_length=1)]] = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _accept_a_plain_source(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _check(self) -> Start:
        if self.keyword is StartKeyword.SERVING:
            if self.otherwise == StartKeyword.SERVING.value:
                raise ValueError("otherwise cannot be serving too; use published, scratch, a path or a URL")
        elif self.otherwise is not None:
            raise ValueError("otherwise is for source: serving; remove it")
        named = self.otherwise if self.keyword is StartKeyword.SERVING else self.source
        if self.sha256 is not None and (named is None or find_keyword(named) is not None):
            raise ValueError(f"sha256 pins a file or a URL, not {named or self.source}; remove it")
        if named is not None:
            _check_scheme(named, self.sha256)
        return self

    @property
    def keyword(self) -> Optional[StartKeyword]:
        """The keyword that the source is; None for a path, a URL or a name of the zoo."""
        return find_keyword(self.source)

    @property
    def is_new_weights(self) -> bool:
        """Whether training starts from new weights."""
        return self.keyword is StartKeyword.SCRATCH


def find_keyword(source: str) -> Optional[StartKeyword]:
    """Return the keyword that a start's source is; None for a path, a URL or a name of the zoo."""
    return next((keyword for keyword in StartKeyword if keyword.value == source), None)


def _check_scheme(source: str, sha256: Optional[str]) -> None:
    scheme, separator, _ = source.partition("://")
    if separator:
        _check_url(source)
    if separator and scheme not in ("file", "http", "https", "s3", "minio", "gs"):
        raise ValueError(
            f"{scheme}:// is not supported; use a path, a file://, http:// or https:// URL, or a bundle at s3:// or gs://"
        )
    if separator and scheme == "http" and sha256 is None:
        raise ValueError("an http:// URL needs its sha256, as anyone on the way can change the file; add it")


def _check_url(source: str) -> None:
    try:
        urllib.parse.urlsplit(source).port  # noqa: B018 (reading it checks it)
    except ValueError as error:
        raise ValueError(f"{source[:100]} is not a valid URL ({error}); correct it") from None


class Augmentation(str, enum.Enum):
    """The augmentations to choose from; each is a preprocessing step of the OD API."""

    HORIZONTAL_FLIP = "horizontal_flip"
    VERTICAL_FLIP = "vertical_flip"
    ROTATION_90 = "rotation_90"
    RANDOM_CROP = "random_crop"
    SSD_RANDOM_CROP = "ssd_random_crop"
    SSD_RANDOM_CROP_PAD = "ssd_random_crop_pad"
    BRIGHTNESS = "brightness"
    CONTRAST = "contrast"
    SATURATION = "saturation"
    HUE = "hue"


class DistributionStrategy(str, enum.Enum):
    """How training is distributed over devices; these are TensorFlow's strategies."""

    NONE = "none"
    MIRRORED = "mirrored"
    MULTI_WORKER = "multi_worker"


class TrainerSettings(Section):
    """Which model is trained, for how long, and from which weights; without a patience it never stops early."""

    model: str
    input_size: Optional[SizePx] = None
    batch_size: Annotated[int, pydantic.Field(gt=0, le=65_536)] = 16
    num_steps: Steps = 10_000
    steps_per_eval: Steps = 1_000
    learning_rate: PositiveFloat = 0.08
    warmup_steps: StepsOrNone = 500
    augmentations: tuple[Augmentation, ...] = (Augmentation.HORIZONTAL_FLIP,)
    early_stopping_patience: Optional[Count] = 8
    start: Start = Start(source=StartKeyword.SCRATCH.value)
    isolate_evaluation: bool = False
    strategy: DistributionStrategy = DistributionStrategy.NONE
    sample_images: Annotated[int, pydantic.Field(ge=0, le=10_000)] = 4
    seed: Seed = 0


class CompilerSettings(Section):
    """How edgetpu_compiler runs: options of version 16.0, and a container image to use instead of the PATH.

    `timeout_s` limits the run and, as -t, each of the compiler's attempts. If the complete model does not compile,
    `search_delegate` (-d) retries with `delegate_search_step` (-k) fewer operators. `min_runtime_version` is -m.
    """

    image: Optional[Annotated[str, pydantic.Field(pattern=r"^[a-zA-Z0-9][\w.:/@-]*$")]] = None
    min_runtime_version: Optional[Annotated[int, pydantic.Field(ge=10, le=14)]] = None
    search_delegate: bool = False
    delegate_search_step: Count = 1
    timeout_s: PositiveFloat = 600.0


class ExporterSettings(Section):
    """How the trained model is converted to TFLite.

    `quantization_aware_steps` is how long the model is first fine-tuned with simulated int8 rounding; 0 skips this.
    """

    calibration_images: Count = 200
    quantization_aware_steps: StepsOrNone = 0
    max_detections: Annotated[int, pydantic.Field(gt=0, le=10_000)] = 100
    nms_score_threshold: Fraction = 0.01
    compiler: CompilerSettings = CompilerSettings()


class GateSettings(Section):
    """The thresholds of the gate; null turns a rule off."""

    min_map: Optional[Fraction] = None
    min_map_50: Optional[Fraction] = None
    min_class_ap: Optional[Fraction] = None
    max_quantization_drop: Optional[Fraction] = None
    max_regression: Optional[Fraction] = None
    min_improvement: Optional[Fraction] = None
    min_edgetpu_ops: Optional[Fraction] = None
    edgetpu_compiled: Optional[bool] = None


class PushSettings(Section):
    """How bundles are pushed; `signing_key` is the path of an Ed25519 key, or env:NAME of a variable that holds it."""

    signing_key: Optional[Annotated[str, pydantic.Field(min_length=1)]] = None


class ModelCardSettings(Section):
    """What only people know about a model, as plain text for the review page; "" is left to a default sentence."""

    intended_use: str = ""
    out_of_scope: str = ""
    limitations: str = ""
    owner: str = ""
    license: str = ""
    notes: str = ""
