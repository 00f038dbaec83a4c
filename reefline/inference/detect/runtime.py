"""Where a bundle runs: the Edge TPU if one exists and the bundle is compiled for it, the CPU otherwise."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reefline.bundle.layout import EDGE_TPU_FILE, read_labels
from reefline.bundle.manifest import Manifest
from reefline.errors import BundleError, UsageError
from reefline.inference.detect.records import Device, Runtime
from reefline.inference.detector import TfliteDetector
from reefline.system.cores import count_cores

# The soname of every libedgetpu build for Linux.
EDGE_TPU_LIBRARY = "libedgetpu.so.1"
DEFAULT_THREADS = 2


@dataclass(frozen=True)
class LoadedModel:
    """A loaded detector, the names of its 0-based classes, and where it runs."""

    detector: TfliteDetector
    labels: tuple[str, ...]
    runtime: Runtime


class _NoEdgeTpuError(Exception):
    """Why the Edge TPU cannot be used."""


def load_model(
    bundle: Path, manifest: Manifest, device: Device = Device.AUTO, num_threads: int = DEFAULT_THREADS
) -> LoadedModel:
    """Load a verified bundle's model on the requested device; on the CPU it runs in `num_threads` threads.

    Raises:
        BundleError: the model cannot be run, or has another number of classes than labels.txt.
        UsageError: the Edge TPU is requested but cannot be used.
    """
    detector, runtime = _load_detector(bundle, manifest, device, num_threads)
    labels = read_labels(bundle)
    if detector.num_classes != len(labels):
        raise BundleError(
            f"{bundle}: {detector.num_classes} classes in {runtime.model_file}, {len(labels)} lines in labels.txt; "
            "push the model again"
        )
    return LoadedModel(detector, labels, runtime)


def load_models(bundle: Path, manifest: Manifest, device: Device, count: int) -> tuple[LoadedModel, ...]:
    """Load a verified bundle's model `count` times, to run on as many images at a time; they share the cores.

    Raises:
        BundleError, UsageError: as `load_model`.
    """
    threads = DEFAULT_THREADS if count == 1 else max(1, count_cores() // count)
    return tuple(load_model(bundle, manifest, device, threads) for _ in range(count))


def _load_detector(
    bundle: Path, manifest: Manifest, device: Device, num_threads: int
) -> tuple[TfliteDetector, Runtime]:
    reason = "asked for"
    if device is not Device.CPU:
        try:
            detector = _load_on_edge_tpu(bundle, manifest)
        except _NoEdgeTpuError as error:
            if device is Device.EDGETPU:
                raise UsageError(f"--device edgetpu: {error}; fix this, or use --device cpu") from error
            reason = str(error)
        else:
            return detector, Runtime(Device.EDGETPU, EDGE_TPU_FILE, f"{EDGE_TPU_LIBRARY} found an Edge TPU")
    name = manifest.shipped_file.name
    detector = TfliteDetector(bundle / name, num_threads)
    if not detector.uses_xnnpack:
        reason = f"{reason}; slower without XNNPACK, which cannot run this model"
    return detector, Runtime(Device.CPU, name, reason, detector.uses_xnnpack, num_threads)


def _load_on_edge_tpu(bundle: Path, manifest: Manifest) -> TfliteDetector:
    if not any(file.name == EDGE_TPU_FILE for file in manifest.files):
        raise _NoEdgeTpuError("the bundle holds no compiled model")
    delegate = _load_delegate()
    try:
        return TfliteDetector(bundle / EDGE_TPU_FILE, delegates=[delegate])
    except BundleError as error:
        raise _NoEdgeTpuError(f"{EDGE_TPU_LIBRARY} is installed, but {error}") from error


def _load_delegate() -> Any:
    from ai_edge_litert.interpreter import load_delegate

    try:
        # First by itself: on failure load_delegate leaves a half-made object behind, whose destructor raises.
        ctypes.CDLL(EDGE_TPU_LIBRARY)
    except OSError as error:
        raise _NoEdgeTpuError(f"cannot load {EDGE_TPU_LIBRARY} ({error})") from error
    try:
        return load_delegate(EDGE_TPU_LIBRARY)
    except (ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise _NoEdgeTpuError(f"{EDGE_TPU_LIBRARY} finds no usable Edge TPU ({reason})") from error
