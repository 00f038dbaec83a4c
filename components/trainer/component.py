"""The Trainer component."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.experimental.simple_artifacts import File
from tfx.types.standard_artifacts import Examples, ModelRun

from components.trainer.driver import START_PROPERTY, TrainerDriver
from reefline.settings import DistributionStrategy, EdgeTpuTarget, TrainerSettings
from reefline.structures.artifacts import ExamplesFolder, LabelMapFolder, ModelRunFolder
from reefline.training.job import TrainingJob, identify_training
from reefline.training.resumable_folder import hand_over, open_unfinished
from reefline.training.start_files import StartCache
from reefline.training.worker import train_in_child

MAX_BOXES_PROPERTY = "max_boxes_per_image"


@component
def Trainer(
    examples: InputArtifact[Examples],
    label_map: InputArtifact[File],
    model_run: OutputArtifact[ModelRun],
    settings: Parameter[str],
    edge_tpu: Parameter[str],
    code: Parameter[str],
    serving_home: Parameter[str] = "",
    start_memory: Parameter[str] = "",
    start: Parameter[str] = "",
    work_dir: Parameter[str] = "",
) -> None:
    """Train a detector and keep its best checkpoint.

    `settings` is a TrainerSettings as JSON, `edge_tpu` an EdgeTpuTarget. `code` only keys the cache.
    `serving_home` is the folder of the model's serving bundles, "" where training must not start from them.
    `start_memory` is a file that remembers the sha256 of downloads, "" for none. `start` comes from the driver: a
    StartIdentity as text. The output is a ModelRunFolder. A run that was stopped, for whatever reason, is resumed from
    its work, which lies in `work_dir`, by default next to the outputs.
    """
    from reefline.od_api import compat

    compat.apply()
    from reefline.od_api import model_config
    from reefline.od_api.label_map_file import read_label_map
    from reefline.training.loop import train_detector

    trainer_settings = TrainerSettings.from_json(settings)
    template = model_config.load_template(trainer_settings.model)
    model_config.check_edge_tpu(template, EdgeTpuTarget(edge_tpu))
    records = ExamplesFolder(Path(examples.uri))
    files = model_config.TrainingFiles(
        train_records=(str(records.split("train") / "*"),),
        eval_records=(str(records.split("eval") / "*"),),
        label_map=LabelMapFolder(Path(label_map.uri)).label_map,
        max_boxes_per_image=max(1, examples.get_int_custom_property(MAX_BOXES_PROPERTY)),
    )
    od_config = model_config.build_pipeline_config(template, trainer_settings, files)
    model_config.verify_pipeline_config(od_config, read_label_map(files.label_map))
    identity = identify_training(settings, edge_tpu, code, examples.uri, label_map.uri, start)
    output = Path(model_run.uri)
    with open_unfinished(output, identity, Path(work_dir) if work_dir else None) as folder:
        run = ModelRunFolder(folder)
        model_config.write_pipeline_config(od_config, run.pipeline_config)
        job = TrainingJob(trainer_settings, start, StartCache().folder)
        job.write(run.job)
        if trainer_settings.strategy is DistributionStrategy.MULTI_WORKER:
            train_in_child(run)
        else:
            train_detector(od_config, job, run)
        hand_over(run.root, output, finished_file=run.report.name)
    model_run.set_string_custom_property(START_PROPERTY, start)


Trainer.DRIVER_CLASS = TrainerDriver
