"""Weights from another model's checkpoint: restores everything that fits and reports what does not.

Relies on `DetectionModel.restore_from_objects` and `model_lib_v2.is_object_based_checkpoint`. The OD API's own
`model_lib_v2.load_fine_tune_checkpoint` restores only the feature extractor, and fails at the first differing shape.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reefline.errors import ArchitectureError, CheckpointError
from reefline.settings import CheckpointType

if TYPE_CHECKING:
    import tensorflow as tf

_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE_ATTRIBUTE = "VARIABLE_VALUE"
_BACKBONE, _FEATURE_LAYERS, _CLASS_HEAD, _BOX_HEAD = "backbone", "feature layers", "class head", "box head"
_MISSING = "not in the checkpoint"


@dataclass(frozen=True)
class LeftOut:
    """One part of the model with variables that keep their new weights, and why."""

    part: str
    variables: int
    reason: str


@dataclass(frozen=True)
class TransferReport:
    """How much of a model came from a checkpoint: counts of variables and of the values in them."""

    checkpoint: str
    restored_variables: int
    total_variables: int
    restored_values: int
    total_values: int
    not_restored: tuple[LeftOut, ...] = ()

    def describe(self) -> str:
        """Return the report as a line for the terminal."""
        share = 100 * self.restored_values / self.total_values
        restored = (
            f"Starting from {self.checkpoint}: {self.restored_variables} of {self.total_variables} variables restored "
            f"({share:.1f} % of {self.total_values:,} values)."
        )
        left_out = [f"{left.part} ({left.variables} variables; {left.reason})" for left in self.not_restored]
        return f"{restored} New: {', '.join(left_out)}." if left_out else restored


@dataclass(frozen=True)
class _Match:
    """A variable of the model and the key and shape of its counterpart in the checkpoint."""

    variable: tf.Variable
    key: str
    shape: tuple[int, ...]

    @property
    def fits(self) -> bool:
        return tuple(self.variable.shape) == self.shape


def restore_what_fits(model: Any, prefix: str, checkpoint_type: CheckpointType) -> TransferReport:
    """Set every variable of a built detection model that has a counterpart of equal place and shape in the checkpoint.

    A detection checkpoint restores the feature extractor and the box predictor (`restore_from_objects("full")`): with
    an equal class count the class head too, with another count all but that. A classification checkpoint restores the
    backbone (`restore_from_objects("classification")`). Places are compared as in `tf.train.Checkpoint.restore`: along
    the edges of both object graphs.

    Raises:
        CheckpointError: the checkpoint cannot be read, or is TensorFlow 1's.
        ArchitectureError: it lacks part of the model's backbone.
    """
    reader = _open(prefix)
    matches = _match(model, prefix, reader, checkpoint_type)
    fitting = {id(match.variable): match for match in matches.values() if match.fits}
    _check_backbone(model, fitting, prefix, checkpoint_type)
    for match in fitting.values():
        match.variable.assign(reader.get_tensor(match.key))
    return TransferReport(
        checkpoint=prefix,
        restored_variables=len(fitting),
        total_variables=len(model.variables),
        restored_values=sum(_count_values(match.variable) for match in fitting.values()),
        total_values=sum(_count_values(variable) for variable in model.variables),
        not_restored=_explain_rest(model, matches, fitting.keys()),
    )


def _open(prefix: str) -> Any:
    import tensorflow as tf
    from object_detection import model_lib_v2

    try:
        if model_lib_v2.is_object_based_checkpoint(prefix):
            return tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{prefix}: cannot read the checkpoint ({_first_line(error)}); use another") from error
    raise CheckpointError(f"{prefix}: a TensorFlow 1 checkpoint, without an object graph; use one from TensorFlow 2")


def _match(model: Any, prefix: str, reader: Any, checkpoint_type: CheckpointType) -> dict[int, _Match]:
    """Return the model's variables that have a counterpart in the checkpoint, by the id of the variable."""
    import tensorflow as tf
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    part = "full" if checkpoint_type is CheckpointType.DETECTION else checkpoint_type.value
    root = tf.train.Checkpoint(**model.restore_from_objects(fine_tune_checkpoint_type=part))
    graph = TrackableObjectGraph.FromString(reader.get_tensor(_GRAPH_KEY))
    shapes = reader.get_variable_to_shape_map()
    matches = {}
    for node_id, trackable in tf.train.CheckpointView(prefix).match(root).items():
        keys = [a.checkpoint_key for a in graph.nodes[node_id].attributes if a.name == _VALUE_ATTRIBUTE]
        if keys and isinstance(trackable, tf.Variable):
            matches[id(trackable)] = _Match(trackable, keys[0], tuple(shapes[keys[0]]))
    return matches


def _check_backbone(model: Any, fitting: dict[int, _Match], prefix: str, checkpoint_type: CheckpointType) -> None:
    """Refuse a checkpoint of another backbone, even if a few of its layers happen to fit."""
    backbone = model._feature_extractor.classification_backbone.variables
    found = sum(id(variable) in fitting for variable in backbone)
    if found < len(backbone):
        raise ArchitectureError(
            f"{prefix}: another architecture: only {found} of the backbone's {len(backbone)} variables fit; "
            f"use a {checkpoint_type.value} checkpoint of the model in trainer.model, or set trainer.start to scratch"
        )


def _explain_rest(model: Any, matches: dict[int, _Match], restored: Any) -> tuple[LeftOut, ...]:
    """Return what was not restored: one record per part of the model and reason."""
    backbone = {id(variable) for variable in model._feature_extractor.classification_backbone.variables}
    features = {id(variable) for variable in model._feature_extractor.variables}
    found: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for variable in model.variables:
        if id(variable) in restored:
            continue
        part = _name_part(variable, backbone, features)
        match = matches.get(id(variable))
        kind = _MISSING if match is None else "different shape"
        found[part, kind] += 1
        if match is not None:
            examples.setdefault((part, kind), _explain_shape(model, match, part))
    return tuple(LeftOut(part, count, examples.get((part, kind), kind)) for (part, kind), count in found.items())


def _name_part(variable: tf.Variable, backbone: set[int], features: set[int]) -> str:
    if id(variable) in backbone:
        return _BACKBONE
    if id(variable) in features:
        return _FEATURE_LAYERS
    if "ClassHead" in variable.name:
        return _CLASS_HEAD
    return _BOX_HEAD if "BoxHead" in variable.name else "prediction tower"


def _explain_shape(model: Any, match: _Match, part: str) -> str:
    """Explain a shape mismatch, a class head's in classes: its last dimension is anchors times class slots."""
    here, there = tuple(match.variable.shape), match.shape
    background = int(model._add_background_class)
    anchors, rest = divmod(here[-1], model.num_classes + background)
    if part == _CLASS_HEAD and not rest and here[:-1] == there[:-1] and there[-1] % anchors == 0:
        return f"{model.num_classes} classes here, {there[-1] // anchors - background} in the checkpoint"
    return f"shape {list(here)} here, {list(there)} in the checkpoint"


def _count_values(variable: tf.Variable) -> int:
    return int(variable.shape.num_elements())


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
