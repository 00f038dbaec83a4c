"""Weights from a quantized TFLite model: a classifier gives the backbone, a detector everything that fits.

TFLite folds batch normalization into the convolutions. It is unfolded here by measurement: with the folded weights in
place, mean m and variance v of each convolution's output on some training images become its moving statistics, gamma
becomes √(v + ε) and beta bias + m. Inference stays the same, and training starts from its own statistics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.errors import ArchitectureError
from reefline.od_api.convolutions import ModelConvolution, TracedConvolutions
from reefline.od_api.transfer import LeftOut, TransferReport
from reefline.structures.convolution_graph import match_convolutions
from reefline.tflite.convolutions import FoldedConvolution, read_convolutions
from reefline.training.class_columns import ClassColumns, find_labels, match_classes

if TYPE_CHECKING:
    import numpy as np

MEASURED_IMAGES = 64
# The size of a kernel before a batch normalization sets its effective learning rate: kernels as they come are large and
# learn slowly, at unit variance dead channels explode. This L2 norm per output channel trained best.
_KERNEL_NORM = 0.5
# Below this norm a channel is dead, and scaling it up would amplify rounding noise.
_DEAD_NORM = 1e-3


@dataclass(frozen=True, eq=False)
class _Pair:
    """A convolution of the model, and what its counterpart in the file says of it.

    Where several convolutions share a kernel, `kernel` is the first one's, and `scale` [channels] turns it into this
    one's: they differ in their normalization alone.
    """

    convolution: ModelConvolution
    kernel: np.ndarray
    bias: np.ndarray
    scale: np.ndarray


def load_tflite_weights(
    model: Any, path: Path, images: Sequence[np.ndarray], class_names: Sequence[str] = ()
) -> TransferReport:
    """Set the weights of a built model from a TFLite file.

    The class head stays new unless it has the same shape, except for classes that the file knows by name. `images` are
    training images, float32 [height, width, 3], 0..255, of the model's input size. `class_names` are the model's
    classes in the order of their ids, empty if no column is to be kept by name.

    Raises:
        BundleError: the file cannot be read, or is not an 8-bit model.
        ArchitectureError: the file holds another backbone.
    """
    height_px, width_px = images[0].shape[:2]
    traced = TracedConvolutions(model, height_px, width_px)
    folded = read_convolutions(path)
    matches = match_convolutions(
        [convolution.node for convolution in traced.convolutions],
        [convolution.node for convolution in folded],
        ignore_results=not any(convolution.node.results for convolution in folded),
    )
    _check_backbone(model, traced.convolutions, matches, path)
    pairs = _pair(traced.convolutions, folded, matches)
    for pair in pairs.values():
        _assign_folded(pair)
    columns = _match_columns(model, traced.convolutions, folded, path, class_names)
    if columns is not None:
        _keep_columns(columns, traced.convolutions, folded, matches)
    statistics = traced.measure(images)
    for shared in _group_by_kernel(pairs):
        _unfold({position: pairs[position] for position in shared}, statistics)
    return _report(model, traced.convolutions, folded, path, pairs, columns)


def _check_backbone(
    model: Any, convolutions: Sequence[ModelConvolution], matches: Mapping[int, int], path: Path
) -> None:
    """Refuse a file without this very backbone: a few layers that happen to fit are no start."""
    variables = {id(variable) for variable in model._feature_extractor.classification_backbone.variables}
    backbone = [at for at, convolution in enumerate(convolutions) if id(convolution.kernel) in variables]
    found = sum(at in matches for at in backbone)
    if found < len(backbone):
        raise ArchitectureError(
            f"{path}: another architecture: {found} of the backbone's {len(backbone)} convolutions match; "
            "use a file made from the model in trainer.model, or set trainer.start to scratch"
        )


def _pair(
    convolutions: Sequence[ModelConvolution], folded: Sequence[FoldedConvolution], matches: Mapping[int, int]
) -> dict[int, _Pair]:
    """Return the convolutions whose weights come from the file, by position: those of the same shape."""
    first: dict[int, np.ndarray] = {}
    pairs = {}
    for position, counterpart in matches.items():
        convolution, theirs = convolutions[position], folded[counterpart]
        if tuple(convolution.kernel.shape) == theirs.kernel.shape:
            shared = first.setdefault(id(convolution.kernel), theirs.kernel)
            pairs[position] = _Pair(convolution, shared, theirs.bias, _ratio(theirs.kernel, shared, convolution))
    return pairs


def _ratio(kernel: np.ndarray, shared: np.ndarray, convolution: ModelConvolution) -> np.ndarray:
    """Return the factor per output channel that turns `shared` into `kernel`, by least squares."""
    import numpy as np

    axes = _inner_axes(convolution)
    if kernel is shared or convolution.normalization is None:
        return np.ones(kernel.size // np.prod([kernel.shape[axis] for axis in axes]), np.float32)
    products, squares = (kernel * shared).sum(axes), (shared * shared).sum(axes)
    ratio: np.ndarray = (products / np.maximum(squares, _DEAD_NORM**2)).reshape(-1)
    return ratio


def _inner_axes(convolution: ModelConvolution) -> tuple[int, ...]:
    """Return the axes of a kernel other than its output channels."""
    return (0, 1, 3) if convolution.node.is_depthwise else (0, 1, 2)


def _assign_folded(pair: _Pair) -> None:
    """Put the folded weights in place; normalization is left with nothing to do but their scale and bias."""
    import numpy as np

    convolution, normalization = pair.convolution, pair.convolution.normalization
    convolution.kernel.assign(pair.kernel)
    if normalization is None:
        if convolution.bias is not None:
            convolution.bias.assign(pair.bias)
        return
    if convolution.bias is not None:
        convolution.bias.assign(np.zeros_like(pair.bias))
    if normalization.gamma is not None:
        normalization.gamma.assign(pair.scale)
    normalization.beta.assign(pair.bias)
    normalization.mean.assign(np.zeros_like(pair.bias))
    normalization.variance.assign(np.full_like(pair.bias, 1.0 - normalization.epsilon))


def _match_columns(
    model: Any,
    convolutions: Sequence[ModelConvolution],
    folded: Sequence[FoldedConvolution],
    path: Path,
    class_names: Sequence[str],
) -> ClassColumns | None:
    """Return the columns of the class head to keep by name; None if heads are equal or no class is known."""
    classes = _count_classes(model, convolutions, folded)
    if classes is None or classes == model.num_classes or not class_names:
        return None
    columns = match_classes(class_names, find_labels(path, classes), background=int(model._add_background_class))
    return columns if columns.slots else None


def _keep_columns(
    columns: ClassColumns,
    convolutions: Sequence[ModelConvolution],
    folded: Sequence[FoldedConvolution],
    matches: Mapping[int, int],
) -> None:
    """Overwrite the new class heads with the columns that the file has; a shared head comes from its first copy."""
    done: set[int] = set()
    for position, counterpart in matches.items():
        mine, theirs = convolutions[position], folded[counterpart]
        is_new = mine.node.is_class_head and id(mine.kernel) not in done and mine.normalization is None
        if is_new and columns.fits(int(mine.kernel.shape[-1]), theirs.kernel.shape[-1]):
            done.add(id(mine.kernel))
            mine.kernel.assign(columns.merge(mine.kernel.numpy(), theirs.kernel))
            if mine.bias is not None:
                mine.bias.assign(columns.merge(mine.bias.numpy(), theirs.bias))


def _group_by_kernel(pairs: Mapping[int, _Pair]) -> list[list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for position, pair in pairs.items():
        groups[id(pair.convolution.kernel)].append(position)
    return list(groups.values())


def _unfold(shared: Mapping[int, _Pair], statistics: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Give the convolutions that share a kernel their measured statistics, and the kernel the norm that trains well."""
    import numpy as np

    pair = next(iter(shared.values()))
    if any(member.convolution.gamma is None for member in shared.values()):
        return
    norms = np.sqrt((pair.kernel.astype(np.float64) ** 2).sum(_inner_axes(pair.convolution))).reshape(-1)
    factor = np.where(norms > _DEAD_NORM, _KERNEL_NORM / np.maximum(norms, _DEAD_NORM), 1.0)
    along_outputs = factor[:, np.newaxis] if pair.convolution.node.is_depthwise else factor
    pair.convolution.kernel.assign((pair.kernel * along_outputs).astype(np.float32))
    for position, member in shared.items():
        _set_statistics(member, *statistics[position], factor)


def _set_statistics(pair: _Pair, mean: np.ndarray, variance: np.ndarray, factor: np.ndarray) -> None:
    """Set the normalization of a convolution whose kernel is multiplied by `factor`; the result stays the same.

    `mean` and `variance` are those of the output before `factor`, [channels].
    """
    import numpy as np

    normalization = pair.convolution.normalization
    if normalization is None or normalization.gamma is None:
        raise ValueError("a convolution without a scale of its own cannot absorb a factor")
    normalization.mean.assign(mean * factor)
    normalization.variance.assign(variance * factor**2)
    normalization.gamma.assign(pair.scale * np.sqrt(variance * factor**2 + normalization.epsilon) / factor)
    normalization.beta.assign(pair.bias + pair.scale * mean)


def _report(
    model: Any,
    convolutions: Sequence[ModelConvolution],
    folded: Sequence[FoldedConvolution],
    path: Path,
    pairs: Mapping[int, _Pair],
    columns: ClassColumns | None,
) -> TransferReport:
    restored = {id(variable) for pair in pairs.values() for variable in pair.convolution.variables}
    left_out: dict[str, set[int]] = defaultdict(set)
    for position, convolution in enumerate(convolutions):
        if position not in pairs:
            part = "class head" if convolution.node.is_class_head else "other layers"
            left_out[part] |= {id(variable) for variable in convolution.variables} - restored
    values = {id(variable): int(variable.shape.num_elements()) for variable in model.variables}
    classes = _count_classes(model, convolutions, folded)
    class_head = "not in the file" if classes is None else f"{model.num_classes} classes here, {classes} in the file"
    if columns is not None:
        class_head += f"; kept by name: {', '.join(columns.names)}"
    reasons = {"class head": class_head, "other layers": "not in the file"}
    return TransferReport(
        checkpoint=str(path),
        restored_variables=len(restored),
        total_variables=len(values),
        restored_values=sum(values[key] for key in restored),
        total_values=sum(values.values()),
        not_restored=tuple(LeftOut(part, len(new), reasons[part]) for part, new in left_out.items() if new),
    )


def _count_classes(
    model: Any, convolutions: Sequence[ModelConvolution], folded: Sequence[FoldedConvolution]
) -> int | None:
    """Return the file's number of classes; None for a classifier, or a head with other anchors.

    A head's output channels are anchors times class slots, one of them for the background.
    """
    mine = [c.node.kernel_shape[3] for c in convolutions if c.node.is_class_head]
    theirs = [c.node.kernel_shape[3] for c in folded if c.node.is_class_head]
    background = int(model._add_background_class)
    anchors = mine[0] // (model.num_classes + background)
    if not theirs or theirs[0] % anchors:
        return None
    return int(theirs[0] // anchors - background)
