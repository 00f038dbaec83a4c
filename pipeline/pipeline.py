"""The pipeline: which component gets which inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
from pipeline.fingerprint import code_fingerprint
from reefline.config.run_config import RunConfig
from reefline.edgetpu.compiler.identity import identify_compiler
from reefline.od_api.model_config import TEMPLATE_DIR
from reefline.report.section import list_page_templates
from reefline.settings import EdgeTpuTarget, GateSettings, ModelCardSettings, StartKeyword
from reefline.storage.location import Location

# One name for all configs: it is part of every cache key, and the models in a workspace share their data.
PIPELINE_NAME = "reefline"


@dataclass(frozen=True)
class Places:
    """Where a run reads and writes: local paths, or the URIs of another orchestrator."""

    data_dir: str
    hash_memory: str
    schema_file: str
    serving: str
    artifacts: str
    metadata_db: str
    start_memory: str = ""


def create_pipeline(config: RunConfig, places: Places) -> Pipeline:
    """Return the pipeline of a config; each component gets only its own section, so that a change redoes little."""
    example_gen = VocExampleGen(
        data_dir=places.data_dir,
        settings=config.data.to_json(),
        hash_memory=places.hash_memory,
        code=code_fingerprint("components.voc_example_gen"),
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
        examples=examples,
        report=example_gen.outputs["report"],
        anomalies=example_validator.outputs["anomalies"],
        settings=config.validation.to_json(),
        code=code_fingerprint("components.annotation_validator"),
    )
    template = TEMPLATE_DIR / f"{config.trainer.model}.config"
    starts_from_serving = config.trainer.start.keyword is StartKeyword.SERVING
    trainer = Trainer(
        examples=examples,
        label_map=label_map,
        settings=config.trainer.to_json(),
        edge_tpu=config.edgetpu.value,
        code=code_fingerprint("components.trainer", files=[template]),
        serving_home=str(Location.parse(places.serving) / config.model_name) if starts_from_serving else "",
        start_memory=places.start_memory,
    )
    # Only for the order: training waits for the checks of data and model, but a changed threshold retrains nothing.
    trainer.add_upstream_node(annotation_validator)
    # A new compiler redoes what depends on it.
    compiler = identify_compiler(config.exporter.compiler)
    preflights = _create_preflights(config, label_map, template, compiler)
    for preflight in preflights:
        preflight.add_upstream_node(annotation_validator)
        trainer.add_upstream_node(preflight)
    exporter = EdgeTpuExporter(
        examples=examples,
        label_map=label_map,
        model_run=trainer.outputs["model_run"],
        settings=config.exporter.to_json(),
        edge_tpu=config.edgetpu.value,
        code=code_fingerprint("components.edge_tpu_exporter", tools=[compiler]),
    )
    serving_bundle = ServingBundle(
        model=exporter.outputs["model"],
        destination=places.serving,
        model_name=config.model_name,
        code=code_fingerprint("components.serving_bundle"),
    )
    model_scorer = ModelScorer(
        examples=examples,
        label_map=label_map,
        model=exporter.outputs["model"],
        baseline=serving_bundle.outputs["baseline"],
        code=code_fingerprint("components.model_scorer"),
    )
    evaluator = Evaluator(
        scores=model_scorer.outputs["scores"],
        model=exporter.outputs["model"],
        model_run=trainer.outputs["model_run"],
        examples=examples,
        settings=config.gate.to_json(),
        exporter_settings=config.exporter.to_json(),
        code=code_fingerprint("components.evaluator"),
    )
    pusher = Pusher(
        model=exporter.outputs["model"],
        blessing=evaluator.outputs["blessing"],
        baseline=serving_bundle.outputs["baseline"],
        evaluation=evaluator.outputs["evaluation"],
        examples=examples,
        destination=places.serving,
        model_name=config.model_name,
        code=code_fingerprint("components.pusher"),
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
        pushed_model=pusher.outputs["pushed_model"],
        preflight=preflights[0].outputs["preflight"] if preflights else None,
        config=_select_reviewed(config).to_json(),
        code=code_fingerprint("components.review_report", files=list_page_templates()),
    )
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
        metadata_connection_config=sqlite_metadata_connection_config(places.metadata_db),
    )


def _select_reviewed(config: RunConfig) -> RunConfig:
    """Return the config without what ReviewReport's sections do not show.

    The demo's settings count by the images that they generate; the model card is on the run's own page.
    """
    return config.model_copy(update={"demo": None, "model_card": ModelCardSettings()})


def _create_preflights(config: RunConfig, label_map: BaseChannel, template: Path, compiler: str) -> list[BaseNode]:
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
            code=code_fingerprint("components.edge_tpu_preflight", files=[template], tools=[compiler]),
        )
    ]
