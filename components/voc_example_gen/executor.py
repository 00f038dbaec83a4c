"""The executor of VocExampleGen."""

from __future__ import annotations

import contextlib
import copy
import gc
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfx.components.util import examples_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact

from components.voc_example_gen.driver import FINGERPRINT_PROPERTY
from components.voc_example_gen.engine_args import parse_engine_args
from reefline.data.engine import Engine
from reefline.data.fingerprint import check_unchanged
from reefline.data.ingestion import find_data, ingest
from reefline.data.local_engine import LocalEngine, choose_workers
from reefline.data.reports import IngestionReport
from reefline.data.source import check_reach
from reefline.errors import StorageError
from reefline.od_api.label_map_file import read_label_map, write_label_map
from reefline.settings import IngestionSettings
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.storage.transfer import delete_tree, download_tree
from reefline.structures.artifacts import IngestionFolder, LabelMapFolder
from reefline.structures.label_map import LabelMap

_ALLOCATIONS_PER_COLLECTION = 100_000


class Executor(BaseBeamExecutor):
    """Runs ingestion on this machine, or on the Beam runner that Beam's options name."""

    def __init__(self, context: BaseBeamExecutor.Context) -> None:
        """Hide Beam's options from TFX, which would have the workers install TFX: their image has everything."""
        self._workers, self._options = parse_engine_args(context.beam_pipeline_args or ())
        context = copy.copy(context)
        context.beam_pipeline_args = None
        super().__init__(context)
        self._beam_pipeline_args = list(self._options.arguments)

    def Do(
        self,
        input_dict: Mapping[str, list[Artifact]],
        output_dict: Mapping[str, list[Artifact]],
        exec_properties: Mapping[str, Any],
    ) -> None:
        """Ingest `data_dir` with the given settings; TFX removes the outputs of an execution that raises.

        Raises:
            DataError: the data cannot be ingested (it carries all findings), or changed meanwhile.
            ConfigError: the given label map is malformed.
            StorageError: a store cannot be used, or the data changed meanwhile.
        """
        examples, label_map, report = (
            artifact_utils.get_single_instance(output_dict[key]) for key in ("examples", "label_map", "report")
        )
        settings = IngestionSettings.from_json(exec_properties["settings"])
        given = read_label_map(settings.label_map) if settings.label_map is not None else None
        data_dir, fingerprint = exec_properties["data_dir"], exec_properties[FINGERPRINT_PROPERTY]
        check_reach(self._options, data_dir)
        work_dir = Path(report.uri) / ".work"
        work_dir.mkdir(parents=True)
        with self._start_engine(work_dir, examples.uri) as (engine, examples_place):
            copy_to = work_dir / "data" if self._options.shares_disk else None
            with _rare_garbage_collection():
                found = find_data(data_dir, settings, fingerprint, copy_to=copy_to)
                ingested = ingest(found, settings, given, engine, IngestionFolder(Path(report.uri)), examples_place)
        memory = exec_properties["hash_memory"]
        check_unchanged(data_dir, settings, fingerprint, Path(memory) if memory else None)
        shutil.rmtree(work_dir)
        labels = LabelMapFolder(Path(label_map.uri))
        labels.root.mkdir(parents=True, exist_ok=True)
        write_label_map(labels.label_map, LabelMap(ingested.label_map_names))
        # Also on the report, which is small: who needs the fact alone should not fetch all examples.
        report.set_string_custom_property(FINGERPRINT_PROPERTY, fingerprint)
        _describe_examples(examples, ingested, fingerprint)

    @contextlib.contextmanager
    def _start_engine(self, work_dir: Path, examples_dir: str) -> Iterator[tuple[Engine, str]]:
        """Yield who does the work, and the folder or URI for its examples, which are in `examples_dir` afterwards."""
        if not self._options.arguments:
            # Beam would add 0.6 s to every run, and its own processes import TensorFlow first (benchmarks/README.md).
            with LocalEngine(choose_workers(self._workers)) as engine:
                yield engine, examples_dir
            return
        # Imports Beam, which a cached run does without.
        from components.voc_example_gen.beam_engine import BeamEngine

        if self._options.shares_disk:
            yield BeamEngine(self._make_beam_pipeline, Location.parse(work_dir / "exchange")), examples_dir
        else:
            exchange = Location.parse(self._options.exchange) / f"reefline-{uuid.uuid4().hex}"
            try:
                yield BeamEngine(self._make_beam_pipeline, exchange), str(exchange / "examples")
                download_tree(open_storage(exchange / "examples"), Path(examples_dir))
            finally:
                with contextlib.suppress(StorageError):
                    delete_tree(open_storage(exchange))


@contextlib.contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Keep the collector from scanning TensorFlow's million objects and the records over and over."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_PER_COLLECTION)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _describe_examples(examples: Artifact, report: IngestionReport, fingerprint: str) -> None:
    examples.split_names = artifact_utils.encode_split_names(list(report.splits))
    examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, "tfrecords_gzip")
    examples.set_string_custom_property(FINGERPRINT_PROPERTY, fingerprint)
    # The OD API pads the boxes of a batch to a number that must be known before training.
    examples.set_int_custom_property("max_boxes_per_image", report.max_boxes_per_image)
