"""From a bundle to the folder of files that another program reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reefline.bundle.checking import verify_for_use
from reefline.bundle.layout import EDGE_TPU_FILE, read_labels
from reefline.bundle.manifest import MANIFEST_FILE, Manifest
from reefline.deployment.config_files import FRIGATE_ATTRIBUTES, DeployedModel, format_config
from reefline.deployment.label_file import format_labels_for
from reefline.deployment.model_check import check_model
from reefline.deployment.programs import Contract, Program, get_contract
from reefline.errors import BundleError, UsageError
from reefline.inference.detect.detect_objects import choose_min_scores
from reefline.inference.detect.records import Device
from reefline.system.files import write_whole
from reefline.tflite.labels import LABELS_FILE


@dataclass(frozen=True)
class DeployRequest:
    """Which bundle is deployed for which program, where to, and the public key that must have signed it, if any.

    `device` AUTO is the Edge TPU if the bundle is compiled for it, otherwise the CPU.
    """

    bundle: Path
    program: Program
    out: Path
    device: Device = Device.AUTO
    public_key: Path | None = None


@dataclass(frozen=True)
class Deployment:
    """What was written: the configuration, the model and the labels in `folder`, and what to know about them."""

    folder: Path
    title: str
    config_file: str
    model_file: str
    hints: tuple[str, ...]


def deploy_bundle(request: DeployRequest) -> Deployment:
    """Check a bundle against what a program reads, and write the files that it reads.

    Raises:
        BundleError: the bundle is missing, damaged or not signed, or not what the program reads; one problem each.
        UsageError: the bundle has no compiled file but one is requested, or the folder cannot be written.
    """
    contract = get_contract(request.program)
    manifest = verify_for_use(request.bundle, request.public_key)
    name = _choose_file(request, manifest, contract)
    labels = read_labels(request.bundle)
    model_input = check_model(request.bundle / name, contract, len(labels))
    suggested = choose_min_scores(None, manifest, labels)
    model = DeployedModel(
        name=f"{manifest.facts.model} version {manifest.version}",
        file=name,
        input=model_input,
        is_compiled=name == EDGE_TPU_FILE,
        min_scores={label: max(score, contract.lowest_score) for label, score in suggested.items()},
    )
    config_file, config = format_config(request.program, model)
    contents = {
        name: (request.bundle / name).read_bytes(),
        LABELS_FILE: format_labels_for(contract.labels, labels, contract.title).encode(),
        config_file: config.encode(),
    }
    _write_files(request.out, contents)
    hints = tuple(_find_hints(manifest, model, contract, request.program))
    return Deployment(request.out, contract.title, config_file, name, hints)


def _choose_file(request: DeployRequest, manifest: Manifest, contract: Contract) -> str:
    if request.device is Device.CPU:
        return manifest.shipped_file.name
    if any(file.name == EDGE_TPU_FILE for file in manifest.files):
        return EDGE_TPU_FILE
    if request.device is Device.EDGETPU:
        raise BundleError(
            f"{request.bundle}: no {EDGE_TPU_FILE}, which {contract.title} needs on an Edge TPU; "
            "run the pipeline on a machine with edgetpu_compiler (docs/edge-tpu.md), or use --device cpu"
        )
    return manifest.shipped_file.name


def _write_files(out: Path, contents: dict[str, bytes]) -> None:
    if (out / MANIFEST_FILE).exists():
        raise UsageError(f"--out {out}: a bundle, which holds only what its manifest lists; name another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_whole(out / name, content)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot write to it ({error.strerror}); name another folder") from error


def _find_hints(manifest: Manifest, model: DeployedModel, contract: Contract, program: Program) -> Iterator[str]:
    """Return what the program does differently than `reefline detect`."""
    thresholds = manifest.facts.evaluation.thresholds
    lower = [
        f"{label} {score:g}"
        for label in model.min_scores
        if (score := thresholds.get(label)) is not None and score < contract.lowest_score
    ]
    if lower:
        yield (
            f"{contract.title} never reports scores below {contract.lowest_score:g}; the bundle suggests "
            f"{', '.join(lower)}. Expect more missed objects than in the evaluation"
        )
    if contract.most_detections is not None and model.input.max_detections > contract.most_detections:
        yield (
            f"{contract.title} reads the best {contract.most_detections} detections of an image; "
            f"the model returns up to {model.input.max_detections}"
        )
    if not model.is_compiled:
        needs = ", and detect_image.py needs an Edge TPU anyway" if program is Program.CORAL_EXAMPLE else ""
        yield f"the model runs on the CPU: it is not compiled for the Edge TPU{needs}"
    attributes = sorted(FRIGATE_ATTRIBUTES & set(model.min_scores))
    if program is Program.FRIGATE and attributes:
        yield (
            f"Frigate treats {', '.join(attributes)} as attributes of other objects; attributes_map: {{}} in "
            "frigate.yml makes it track them"
        )
