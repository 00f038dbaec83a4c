"""What training.py measures, of both sides: Reefline and the OD API driven as its own scripts drive it.

A process of its own runs one method of `Sides` and prints the seconds that it took. Nothing here patches the OD API but
the compat shims and the reader of gzip records, so that both sides read the same files.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import time
from pathlib import Path
from typing import Any

TRAIN_IMAGES, EVAL_IMAGES = 240, 60
# The first training leaves the checkpoint that both sides evaluate and export.
MODEL_RUN = "reefline_first"


class Sides:
    """What each side does, in a process of its own; each method returns the seconds that it measured."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        import tensorflow as tf
        from object_detection import model_lib_v2

        from reefline.od_api import gzip_input, model_config

        gzip_input.install_gzip_reader()
        tf.config.set_soft_device_placement(True)
        self.folder, self.options = folder, options
        self.model_lib = model_lib_v2
        self.config_path = str(folder / "pipeline.config")
        self.config = model_config.read_pipeline_config(folder / "pipeline.config")
        self.best = folder / MODEL_RUN / "best"

    def reefline_train(self, name: str, last_step: int) -> dict[str, Any]:
        """Train and evaluate as the Trainer does; note when each step ends."""
        from reefline.od_api.train_step import TrainStep
        from reefline.structures.artifacts import ModelRunFolder
        from reefline.training.job import TrainingJob
        from reefline.training.loop import train_detector

        ends, run = [], TrainStep.run

        def run_and_note(step: TrainStep) -> Any:
            result = run(step)
            ends.append(time.perf_counter())
            return result

        TrainStep.run = run_and_note
        settings = make_settings(self.options).model_copy(update={"num_steps": last_step})
        started = time.perf_counter()
        job = TrainingJob(settings, "", self.folder / "cache")
        train_detector(self.config, job, ModelRunFolder(self.folder / name))
        return {
            "first_step": ends[0] - started,
            "steps": [after - before for before, after in itertools.pairwise(ends)],
        }

    def od_api_timed_train(self, name: str, last_step: int, steps_per_iteration: int) -> dict[str, Any]:
        """Train, and take the times that train_loop itself writes for TensorBoard."""
        started = time.time()
        self.od_api_train(name, last_step, steps_per_iteration)
        rates = read_step_rates(self.folder / name / "train")
        return {"first_step": rates[0][0] - started, "steps": [1 / rate for _, rate in rates[1:]]}

    def od_api_train(self, name: str, last_step: int, steps_per_iteration: int) -> dict[str, Any]:
        """Do what model_main_tf2.py does to train."""
        import tensorflow as tf

        with tf.distribute.MirroredStrategy().scope():
            self.model_lib.train_loop(
                pipeline_config_path=self.config_path,
                model_dir=str(self.folder / name),
                train_steps=last_step,
                use_tpu=False,
                checkpoint_every_n=self.options.steps,
                record_summaries=True,
                num_steps_per_iteration=steps_per_iteration,
            )
        return {}

    def od_api_evaluate(self, name: str, last_step: int) -> dict[str, Any]:
        """Do what model_main_tf2.py --checkpoint_dir does; it ends because the last step is reached."""
        self.model_lib.eval_continuously(
            pipeline_config_path=self.config_path,
            model_dir=str(self.folder / name),
            train_steps=last_step,
            checkpoint_dir=str(self.folder / name),
            wait_interval=300,
            timeout=3600,
        )
        return {}

    def reefline_warm_evaluation(self) -> dict[str, Any]:
        from reefline.od_api.evaluation import Evaluation
        from reefline.od_api.train_step import TrainStep

        step = TrainStep(self.config)
        step.checkpoint().restore(latest_checkpoint(self.best)).expect_partial()
        evaluation = Evaluation(self.config, step.model)
        return {"each": [measure(evaluation.run) for _ in range(2)]}

    def od_api_warm_evaluation(self) -> dict[str, Any]:
        """Do what eval_continuously does with one checkpoint, and evaluate again as it does with the next."""
        import tensorflow as tf
        from object_detection import inputs

        build = self.model_lib.MODEL_BUILD_UTIL_MAP
        configs = build["get_configs_from_pipeline_file"](self.config_path)
        strategy = tf.distribute.get_strategy()
        with strategy.scope():
            model = build["detection_model_fn_base"](model_config=configs["model"], is_training=True)
        dataset = strategy.experimental_distribute_dataset(
            inputs.eval_input(configs["eval_config"], configs["eval_input_config"], configs["model"], model=model)
        )
        step = tf.Variable(0, trainable=False, dtype=tf.int64)
        tf.train.Checkpoint(step=step, model=model).restore(latest_checkpoint(self.best)).expect_partial()
        with tf.summary.create_file_writer(str(self.folder / "od_api_eval")).as_default():
            loop = self.model_lib.eager_eval_loop
            return {"each": [measure(lambda: loop(model, configs, dataset, global_step=step)) for _ in range(2)]}

    def reefline_saved_model_export(self) -> dict[str, Any]:
        from reefline.od_api.export import export_saved_model

        importlib.import_module("object_detection.exporter_lib_v2")
        prefix, out = latest_checkpoint(self.best), self.folder / "reefline_saved_model"
        return {"each": [measure(lambda: export_saved_model(self.config, prefix, out))]}

    def od_api_saved_model_export(self) -> dict[str, Any]:
        """Do what exporter_main_v2.py does."""
        from object_detection import exporter_lib_v2

        export, out = exporter_lib_v2.export_inference_graph, str(self.folder / "od_api_saved_model")
        return {"each": [measure(lambda: export("image_tensor", self.config, str(self.best), out))]}

    def reefline_tflite_graph_export(self) -> dict[str, Any]:
        from reefline.od_api.export import export_tflite_graph
        from reefline.settings import ExporterSettings

        importlib.import_module("object_detection.export_tflite_graph_lib_tf2")
        prefix, out, settings = latest_checkpoint(self.best), self.folder / "reefline_tflite", ExporterSettings()
        return {"each": [measure(lambda: export_tflite_graph(self.config, prefix, settings, out, for_int8=True))]}

    def od_api_tflite_graph_export(self) -> dict[str, Any]:
        """Do what export_tflite_graph_tf2.py does."""
        from object_detection import export_tflite_graph_lib_tf2

        from reefline.settings import ExporterSettings

        out, detections = str(self.folder / "od_api_tflite"), ExporterSettings().max_detections
        export = export_tflite_graph_lib_tf2.export_tflite_model
        return {"each": [measure(lambda: export(self.config, str(self.best), out, detections, use_regular_nms=False))]}


def measure(function: Any) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def latest_checkpoint(directory: Path) -> str:
    import tensorflow as tf

    return tf.train.latest_checkpoint(str(directory))


def read_step_rates(logs: Path) -> list[tuple[float, float]]:
    """Return when each iteration of train_loop ended (seconds since 1970), and its steps per second."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs), size_guidance={"tensors": 0})
    events.Reload()
    return [(event.wall_time, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors("steps_per_sec")]


def make_settings(options: argparse.Namespace) -> Any:
    from reefline.settings import TrainerSettings

    return TrainerSettings(
        model=options.model,
        input_size=options.input_size,
        batch_size=options.batch_size,
        num_steps=options.cycles * options.steps,
        steps_per_eval=options.steps,
        warmup_steps=options.steps // 2,
        learning_rate=0.04,
    )


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """Write the records, the label map and the pipeline.config that both sides read."""
    from reefline.data.demo import DEMO_CLASSES, IMAGE_SIZE_PX, draw_demo_image
    from reefline.formats.tf_example import IngestedExample, IngestedObject, write_examples
    from reefline.od_api import model_config
    from reefline.od_api.label_map_file import write_label_map
    from reefline.structures.label_map import LabelMap

    def draw(index: int) -> IngestedExample:
        jpeg, objects = draw_demo_image(0, index)
        ingested = tuple(
            IngestedObject(each.box_xyxy_px, DEMO_CLASSES.index(each.label) + 1, each.label) for each in objects
        )
        return IngestedExample(str(index), f"{index}.jpg", jpeg, IMAGE_SIZE_PX, IMAGE_SIZE_PX, ingested)

    total = TRAIN_IMAGES + EVAL_IMAGES
    for split, indices in {"train": range(TRAIN_IMAGES), "eval": range(TRAIN_IMAGES, total)}.items():
        write_examples(folder / f"{split}.gz", map(draw, indices))
    write_label_map(folder / "label_map.pbtxt", LabelMap(DEMO_CLASSES))
    files = model_config.TrainingFiles(
        (str(folder / "train.gz"),), (str(folder / "eval.gz"),), folder / "label_map.pbtxt", max_boxes_per_image=4
    )
    template = model_config.load_template(options.model)
    config = model_config.build_pipeline_config(template, make_settings(options), files)
    model_config.write_pipeline_config(config, folder / "pipeline.config")
