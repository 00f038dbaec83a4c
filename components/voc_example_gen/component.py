"""The VocExampleGen component."""

from collections.abc import Sequence
from typing import Optional

from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.types.channel import OutputChannel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.experimental.simple_artifacts import File
from tfx.types.standard_artifacts import ExampleAnomalies, Examples

from components.voc_example_gen.driver import VocExampleGenDriver
from components.voc_example_gen.engine_args import format_engine_args
from components.voc_example_gen.executor import Executor


class VocExampleGenSpec(ComponentSpec):
    """Inputs and outputs of VocExampleGen; the driver adds `input_fingerprint`, which keys the cache by content."""

    PARAMETERS = {
        "data_dir": ExecutionParameter(type=str),
        "settings": ExecutionParameter(type=str),
        "hash_memory": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
        "input_fingerprint": ExecutionParameter(type=str, optional=True),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {
        "examples": ChannelParameter(type=Examples),
        "label_map": ChannelParameter(type=File),
        "report": ChannelParameter(type=ExampleAnomalies),
    }


class VocExampleGen(BaseBeamComponent):
    """Ingest a folder of images with Pascal VOC annotations.

    `data_dir` is the folder, preferably a link whose path never changes, or its URI: both are part of the cache key.
    `settings` is an IngestionSettings as JSON without `workers` and `beam_args`, which are separate: they do not key
    the cache. `hash_memory` is the path of a SQLite file that remembers the hashes of files ("" for none), `code` only
    keys the cache. Outputs: `examples` (an ExamplesFolder with the splits train,
    eval and, where there are test images, test; custom properties `input_fingerprint` and `max_boxes_per_image`),
    `label_map` (a LabelMapFolder) and `report` (an IngestionFolder).
    """

    SPEC_CLASS = VocExampleGenSpec
    EXECUTOR_SPEC = BeamExecutorSpec(Executor)
    DRIVER_CLASS = VocExampleGenDriver

    def __init__(
        self,
        data_dir: str,
        settings: str,
        hash_memory: str,
        code: str,
        workers: Optional[int] = None,
        beam_args: Sequence[str] = (),
    ) -> None:
        super().__init__(
            VocExampleGenSpec(
                data_dir=data_dir,
                settings=settings,
                hash_memory=hash_memory,
                code=code,
                examples=OutputChannel(Examples, self, "examples"),
                label_map=OutputChannel(File, self, "label_map"),
                report=OutputChannel(ExampleAnomalies, self, "report"),
            )
        )
        engine_args = format_engine_args(workers, beam_args)
        if engine_args:
            self.with_beam_pipeline_args(engine_args)
