"""The executor of VocExampleGen."""

from __future__ import annotations

import contextlib
import gc
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfx.components.util import examples_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact

from components.voc_example_gen.driver import FINGERPRINT_PROPERTY
from components.voc_example_gen.passes import Passes, apply_passes, read_failure
from reefline.data.fingerprint import check_unchanged, provide_locally
from reefline.data.layouts import list_data_files
from reefline.data.matching import discover
from reefline.data.reports import IngestionReport
from reefline.od_api.label_map_file import read_label_map
from reefline.settings import IngestionSettings
from reefline.structures.artifacts import IngestionFolder, LabelMapFolder

_ALLOCATIONS_PER_COLLECTION = 100_000


class Executor(BaseBeamExecutor):
    """Finds, inspects, plans and writes."""

    def Do(
        self,
        input_dict: Mapping[str, list[Artifact]],
        output_dict: Mapping[str, list[Artifact]],
        exec_properties: Mapping[str, Any],
    ) -> None:
        """Ingest `data_dir` with the given settings.

        Raises:
            DataError: the data cannot be ingested (it carries all findings), or changed meanwhile.
            ConfigError: the given label map is malformed.
            StorageError: the data's store cannot be read, or its data changed meanwhile.
        """
        examples, label_map, report = (
            artifact_utils.get_single_instance(output_dict[key]) for key in ("examples", "label_map", "report")
        )
        settings = IngestionSettings.from_json(exec_properties["settings"])
        given = read_label_map(settings.label_map) if settings.label_map is not None else None
        # TFX removes the outputs of an execution that raises, including the working folder.
        work_dir = Path(report.uri) / ".work"
        work_dir.mkdir(parents=True)
        data_dir = provide_locally(
            exec_properties["data_dir"], settings, exec_properties[FINGERPRINT_PROPERTY], work_dir / "data"
        )
        files = list_data_files(data_dir, image_dir=settings.image_dir, annotation_dir=settings.annotation_dir)
        passes = Passes(str(data_dir), str(work_dir), examples.uri, exec_properties["settings"], given)
        with _rare_garbage_collection(), self._make_beam_pipeline() as pipeline:
            apply_passes(pipeline, passes, discover(data_dir, files, split_folders=settings.split_folders))
        failure = read_failure(work_dir)
        if failure is not None:
            raise failure
        memory = exec_properties["hash_memory"]
        fingerprint = exec_properties[FINGERPRINT_PROPERTY]
        check_unchanged(exec_properties["data_dir"], settings, fingerprint, Path(memory) if memory else None)
        ingestion = IngestionFolder(Path(report.uri))
        _hand_over(work_dir, LabelMapFolder(Path(label_map.uri)), ingestion)
        # Also on the report, which is small: who needs the fact alone should not fetch all examples.
        report.set_string_custom_property(FINGERPRINT_PROPERTY, fingerprint)
        _describe_examples(examples, IngestionReport.read(ingestion.report), fingerprint)


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


def _hand_over(work_dir: Path, label_map: LabelMapFolder, ingestion: IngestionFolder) -> None:
    label_map.root.mkdir(parents=True, exist_ok=True)
    found = IngestionFolder(work_dir)
    # Moved, not renamed: some orchestrators give each output its own volume.
    shutil.move(LabelMapFolder(work_dir).label_map, label_map.label_map)
    shutil.move(found.report, ingestion.report)
    shutil.move(found.records, ingestion.records)
    # Inside one folder, where moving needs no space. Pictures that could not be made are missing.
    for source, target in ((found.thumbnails, ingestion.thumbnails), (found.pictures, ingestion.pictures)):
        if source.exists():
            source.replace(target)
    shutil.rmtree(work_dir)


def _describe_examples(examples: Artifact, report: IngestionReport, fingerprint: str) -> None:
    examples.split_names = artifact_utils.encode_split_names(list(report.splits))
    examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, "tfrecords_gzip")
    examples.set_string_custom_property(FINGERPRINT_PROPERTY, fingerprint)
    # The OD API pads the boxes of a batch to a number that must be known before training.
    examples.set_int_custom_property("max_boxes_per_image", report.max_boxes_per_image)
