"""Bundles that are really pushed, and a real OD API model without a training: what detection runs on."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping
from pathlib import Path

from reefline.bundle.store import push_bundle
from reefline.export.export_model import ExportInputs, export_model
from reefline.settings import EdgeTpuTarget, ExporterSettings, TrainerSettings
from reefline.structures.artifacts import ExamplesFolder, LabelMapFolder, ModelFolder, ModelRunFolder
from tests.factories_evaluation import build_tflite, make_facts, write_candidate
from tests.factories_training import LABELS, write_labels, write_records


def push_small_bundle(
    directory: Path,
    labels: tuple[str, ...] = ("cat", "dog"),
    *,
    quantized: bool = True,
    compiled: bytes | None = None,
    old_order: bool = False,
    thresholds: Mapping[str, float | None] | None = None,
    content: bytes | None = None,
) -> Path:
    """Push the two-anchor model of factories_evaluation and return its bundle; `compiled` is what the compiler made."""
    name = "model_int8.tflite" if quantized else "model_float.tflite"
    content = content or build_tflite(quantized=quantized, old_order=old_order)
    candidate = write_candidate(directory / "candidate", content, labels, name)
    if compiled is not None:
        (candidate / "model_int8_edgetpu.tflite").write_bytes(compiled)
    evaluation = dataclasses.replace(make_facts().evaluation, thresholds=thresholds or {})
    return push_bundle(candidate, make_facts(classes=labels, evaluation=evaluation), directory / "serving").path


def export_untrained(
    directory: Path, *, model: str = "ssd_mobilenet_v2_tiny", input_size: int = 96, target: EdgeTpuTarget
) -> Path:
    """Export a template with random weights; return the folder of saved_model/ and bundle/."""
    import tensorflow as tf

    from reefline.od_api import compat, model_config

    compat.apply()
    from reefline.od_api.train_step import TrainStep

    records = write_records(directory / "Split-train" / "data_tfrecord-00000-of-00001.gz", 4)
    label_map = write_labels(directory / "label_map.pbtxt")
    files = model_config.TrainingFiles(train_records=(str(records),), eval_records=(str(records),), label_map=label_map)
    settings = TrainerSettings(model=model, input_size=input_size, batch_size=1, num_steps=2, steps_per_eval=1)
    config = model_config.build_pipeline_config(model_config.load_template(model), settings, files)
    run = directory / "model_run"
    run.mkdir()
    model_config.write_pipeline_config(config, run / "pipeline.config")
    step = TrainStep(config)
    tf.train.CheckpointManager(step.checkpoint(), str(run / "best"), max_to_keep=1).save(0)
    inputs = ExportInputs(ModelRunFolder(run), ExamplesFolder(directory), LabelMapFolder(directory))
    export_model(inputs, ExporterSettings(calibration_images=4), target, ModelFolder(directory / "model"))
    return directory / "model"


def push_untrained_bundle(directory: Path) -> Path:
    """Push an OD API model with random weights, 96 px, int8, and return its bundle."""
    model = export_untrained(directory, target=EdgeTpuTarget.REQUIRED)
    facts = make_facts(classes=LABELS.names, height_px=96, width_px=96)
    return push_bundle(model / "bundle", facts, directory / "serving").path


# What an external delegate for the runtime is (external_delegate_interface.h), with an Edge TPU left out.
_DELEGATE_SOURCE = """
#include <stddef.h>
#include <stdint.h>

struct delegate {
  void *data;
  int (*prepare)(void *context, struct delegate *self);
  void *copy_from, *copy_to, *free_buffer;
  int64_t flags;
  void *opaque_builder;
};

static int prepare(void *context, struct delegate *self) { return PREPARE_STATUS; }
static struct delegate the_delegate = {.prepare = prepare};

void *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  if (HAS_DEVICE) return &the_delegate;
  report("no device");
  return NULL;
}
void tflite_plugin_destroy_delegate(void *delegate) {}
"""


def build_edge_tpu_library(directory: Path, *, has_device: bool = True, accepts_models: bool = True) -> Path:
    """Compile a libedgetpu.so.1 that the runtime loads and that leaves all operators to the CPU."""
    library = directory / "libedgetpu.so.1"
    defines = [f"-DHAS_DEVICE={int(has_device)}", f"-DPREPARE_STATUS={int(not accepts_models)}"]
    command = ["cc", "-shared", "-fPIC", *defines, "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=_DELEGATE_SOURCE, text=True, check=True)
    return library
