"""The pipeline: which component gets which inputs."""

from __future__ import annotations

from dataclasses import dataclass

from tfx.components.example_validator.component import ExampleValidator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types.channel import BaseChannel

from components.annotation_validator.component import AnnotationValidator
from components.edge_tpu_exporter.component import EdgeTpuExporter
from components.edge_tpu_preflight.component import TEMPLATE_INPUT_SIZE, EdgeTpuPreflight
from components.evaluator.component import Evaluator
from components.model_scorer.component import ModelScorer
from components.pusher.component import Pusher
from components.review_report.component import ReviewReport
from components.serving_bundle.component import ServingBundle
from components.trainer.component import Trainer
from components.voc_example_gen.component import VocExampleGen
from pipeline.component_code import component_code
from reefline.config.kubeflow_settings import KubeflowSettings
from reefline.config.run_config import RunConfig
from reefline.edgetpu.compiler.identity import identify_compiler
from reefline.settings import EdgeTpuTarget, GateSettings, ModelCardSettings, PushSettings, StartKeyword
from reefline.storage.location import Location

# One name for all configs: it is part of every cache key, and the models in a workspace share their data.
PIPELINE_NAME = "reefline"


@dataclass(frozen=True)
class Places:
    """Where a run reads and writes: local paths, or the URIs of another orchestrator.

    "" for `metadata_db` where the orchestrator keeps the metadata, and for memories and folders that it lacks.
    """

    data_dir: str
    hash_memory: str
    schema_file: str
    serving: str
    artifacts: str
    metadata_db: str = ""
    start_memory: str = ""
    work_dir: str = ""


def create_pipeline(config: RunConfig, places: Places) -> Pipeline:
    """Return the pipeline of a config; each component gets only its own section, so that a change redoes little."""
    example_gen = VocExampleGen(
        data_dir=places.data_dir,
        settings=config.data.without_engine().to_json(),
        hash_memory=places.hash_memory,
        code=component_code("voc_example_gen"),
        workers=config.data.workers,
        beam_args=config.data.beam_args,
    )
    examples, label_map = example_gen.outputs["examples"], example_gen.outputs["label_map"]
    statistics_gen = StatisticsGen(examples=examples)
    schema_gen = ImportSchemaGen(schema_file=places.schema_file)
    # Only for the order: TFX runs independent nodes in any order, and the output of runs should look alike.
    schema_gen.add_upstream_node(statistics_gen)
    example_validator = ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]
    )
    annotation_validator = AnnotationValidator(
        report=example_gen.outputs["report"],
        anomalies=example_validator.outputs["anomalies"],
        settings=config.validation.to_json(),
        code=component_code("annotation_validator"),
    )
    starts_from_serving = config.trainer.start.keyword is StartKeyword.SERVING
    trainer = Trainer(
        examples=examples,
        label_map=label_map,
        settings=config.trainer.to_json(),
        edge_tpu=config.edgetpu.value,
        code=component_code("trainer", model=config.trainer.model),
        serving_home=str(Location.parse(places.serving) / config.model_name) if starts_from_serving else "",
        start_memory=places.start_memory,
        work_dir=places.work_dir,
    )
    # Only for the order: training waits for the checks of data and model, but a changed threshold retrains nothing.
    trainer.add_upstream_node(annotation_validator)
    # A new compiler redoes what depends on it.
    compiler = identify_compiler(config.exporter.compiler)
    preflights = _create_preflights(config, label_map, compiler)
    for preflight in preflights:
        preflight.add_upstream_node(annotation_validator)
        trainer.add_upstream_node(preflight)
    exporter = EdgeTpuExporter(
        examples=examples,
        label_map=label_map,
        model_run=trainer.outputs["model_run"],
        settings=config.exporter.to_json(),
        edge_tpu=config.edgetpu.value,
        code=component_code("edge_tpu_exporter", compiler=compiler),
    )
    serving_bundle = ServingBundle(
        model=exporter.outputs["model"],
        destination=places.serving,
        model_name=config.model_name,
        code=component_code("serving_bundle"),
    )
    model_scorer = ModelScorer(
        examples=examples,
        label_map=label_map,
        model=exporter.outputs["model"],
        baseline=serving_bundle.outputs["baseline"],
        code=component_code("model_scorer"),
    )
    evaluator = Evaluator(
        scores=model_scorer.outputs["scores"],
        model=exporter.outputs["model"],
        model_run=trainer.outputs["model_run"],
        settings=config.gate.to_json(),
        exporter_settings=config.exporter.to_json(),
        code=component_code("evaluator"),
    )
    pusher = Pusher(
        model=exporter.outputs["model"],
        blessing=evaluator.outputs["blessing"],
        baseline=serving_bundle.outputs["baseline"],
        evaluation=evaluator.outputs["evaluation"],
        report=example_gen.outputs["report"],
        destination=places.serving,
        model_name=config.model_name,
        signing_key=config.push.signing_key or "",
        code=component_code("pusher"),
    )
    review_report = ReviewReport(
        report=example_gen.outputs["report"],
        label_map=label_map,
        statistics=statistics_gen.outputs["statistics"],
        findings=annotation_validator.outputs["findings"],
        model_run=trainer.outputs["model_run"],
        model=exporter.outputs["model"],
        scores=model_scorer.outputs["scores"],
        evaluation=evaluator.outputs["evaluation"],
        preflight=preflights[0].outputs["preflight"] if preflights else None,
        config=_select_reviewed(config).to_json(),
        code=component_code("review_report"),
    )
    # Only for the order: Kubeflow runs Pusher each time, and the page is the same.
    review_report.add_upstream_node(pusher)
    return Pipeline(
        pipeline_name=PIPELINE_NAME,
        pipeline_root=places.artifacts,
        components=[
            example_gen,
            statistics_gen,
            schema_gen,
            example_validator,
            annotation_validator,
            *preflights,
            trainer,
            exporter,
            serving_bundle,
            model_scorer,
            evaluator,
            pusher,
            review_report,
        ],
        enable_cache=True,
        metadata_connection_config=(
            sqlite_metadata_connection_config(places.metadata_db) if places.metadata_db else None
        ),
    )


def _select_reviewed(config: RunConfig) -> RunConfig:
    """Return the config without what ReviewReport's sections do not show.

    The demo's settings count by the images that they generate; the model card is on the run's own page; the signing
    key, what pods get and who ingests change no result.
    """
    unseen = {
        "demo": None,
        "push": PushSettings(),
        "model_card": ModelCardSettings(),
        "kubeflow": KubeflowSettings(),
    }
    return config.model_copy(update={**unseen, "data": config.data.without_engine()})


def _create_preflights(config: RunConfig, label_map: BaseChannel, compiler: str) -> list[BaseNode]:
    """Return the preflight, or nothing for a model that is never compiled for the Edge TPU."""
    if config.edgetpu is EdgeTpuTarget.NEVER:
        return []
    gate = GateSettings(min_edgetpu_ops=config.gate.min_edgetpu_ops, edgetpu_compiled=config.gate.edgetpu_compiled)
    return [
        EdgeTpuPreflight(
            label_map=label_map,
            model=config.trainer.model,
            input_size=config.trainer.input_size or TEMPLATE_INPUT_SIZE,
            settings=config.exporter.to_json(),
            gate=gate.to_json(),
            code=component_code("edge_tpu_preflight", model=config.trainer.model, compiler=compiler),
        )
    ]
