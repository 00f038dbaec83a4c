"""The Trainer component."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Config, Examples, ModelRun

from components.trainer.driver import WARM_START_PROPERTY, TrainerDriver
from reefline.settings import DistributionStrategy, EdgeTpuTarget, TrainerSettings
from reefline.system.files import cache_directory
from reefline.training.job import CONFIG_FILE, JOB_FILE, TrainingJob, run_job, run_job_in_child
from reefline.training.report import REPORT_FILE
from reefline.training.resumable_folder import hand_over, open_unfinished

MAX_BOXES_PROPERTY = "max_boxes_per_image"


@component
def Trainer(
    examples: InputArtifact[Examples],
    label_map: InputArtifact[Config],
    model_run: OutputArtifact[ModelRun],
    settings: Parameter[str],
    edge_tpu: Parameter[str],
    code: Parameter[str],
    warm_start_from: Parameter[str] = "",
    warm_start_checkpoint: Parameter[str] = "",
) -> None:
    """Train a detector and keep its best checkpoint.

    `settings` is a TrainerSettings as JSON, `edge_tpu` an EdgeTpuTarget. `code` only keys the cache.
    `warm_start_from` is the folder of the bundles that serve, "" where training shall not start from their model;
    `warm_start_checkpoint` comes from the driver, "" says that there is none. The output holds
    pipeline.config, best/ckpt-*, checkpoints/ckpt-*, training.json and TensorBoard's logs/. A run that was stopped, in
    whatever way, is gone on with: its work lies beside the outputs.
    """
    from reefline.od_api import compat

    compat.apply()
    from reefline.od_api import model_config
    from reefline.od_api.label_map_file import read_label_map

    trainer_settings = TrainerSettings.from_json(settings)
    output, records = Path(model_run.uri), Path(examples.uri)
    template = model_config.load_template(trainer_settings.model)
    model_config.check_edge_tpu(template, EdgeTpuTarget(edge_tpu))
    files = model_config.TrainingFiles(
        train_records=(str(records / "Split-train" / "*"),),
        eval_records=(str(records / "Split-eval" / "*"),),
        label_map=Path(label_map.uri) / "label_map.pbtxt",
        max_boxes_per_image=max(1, examples.get_int_custom_property(MAX_BOXES_PROPERTY)),
    )
    config = model_config.build_pipeline_config(template, trainer_settings, files)
    model_config.verify_pipeline_config(config, read_label_map(files.label_map))
    # All that the cache key holds: a run that was stopped is gone on with only where nothing has changed.
    directory = open_unfinished(output, (settings, edge_tpu, code, examples.uri, label_map.uri, warm_start_checkpoint))
    model_config.write_pipeline_config(config, directory / CONFIG_FILE)
    TrainingJob(trainer_settings, warm_start_checkpoint, cache_directory() / "checkpoints").write(directory / JOB_FILE)
    if trainer_settings.strategy is DistributionStrategy.MULTI_WORKER:
        report = run_job_in_child(directory)
    else:
        report = run_job(directory)
    hand_over(directory, output, finished_file=REPORT_FILE)
    model_run.set_int_custom_property("best_step", report.best_step)
    model_run.set_string_custom_property(WARM_START_PROPERTY, warm_start_checkpoint)


Trainer.DRIVER_CLASS = TrainerDriver
