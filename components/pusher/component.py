"""The Pusher component."""

from __future__ import annotations

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.standard_artifacts import ExampleAnomalies, Model, ModelBlessing, ModelEvaluation, PushedModel

from components.pusher.driver import PusherDriver
from components.pusher.executor import PusherExecutor


class PusherSpec(ComponentSpec):
    """What goes in and out; `lost_bundles` comes from the driver."""

    PARAMETERS = {
        "destination": ExecutionParameter(type=str),
        "model_name": ExecutionParameter(type=str),
        "signing_key": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
        "lost_bundles": ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {
        "model": ChannelParameter(type=Model),
        "blessing": ChannelParameter(type=ModelBlessing),
        "baseline": ChannelParameter(type=PushedModel),
        "evaluation": ChannelParameter(type=ModelEvaluation),
        "report": ChannelParameter(type=ExampleAnomalies),
    }
    OUTPUTS = {"pushed_model": ChannelParameter(type=PushedModel)}


class Pusher(BaseComponent):
    """Push a blessed candidate as <destination>/<model_name>/<version>/, or push nothing.

    `code` only keys the cache. `baseline` is what the gate compared with: where another version serves by now, nothing
    is pushed. `report` is VocExampleGen's: its fact `input_fingerprint` names the data. The output holds no files; its
    facts are `pushed` (0 or 1), `version` (0: none), and `path` and `sha256` of the bundle and its TFLite file ("" for
    none). `signing_key` signs the bundle: a path or env:NAME, "" for no signature.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = ExecutorClassSpec(PusherExecutor)
    DRIVER_CLASS = PusherDriver

    def __init__(
        self,
        model: BaseChannel,
        blessing: BaseChannel,
        baseline: BaseChannel,
        evaluation: BaseChannel,
        report: BaseChannel,
        destination: str,
        model_name: str,
        code: str,
        signing_key: str = "",
    ) -> None:
        """Wire the component; see the class for what it does."""
        spec = PusherSpec(
            model=model,
            blessing=blessing,
            baseline=baseline,
            evaluation=evaluation,
            report=report,
            destination=destination,
            model_name=model_name,
            code=code,
            signing_key=signing_key,
            pushed_model=Channel(type=PushedModel),
        )
        super().__init__(spec)
