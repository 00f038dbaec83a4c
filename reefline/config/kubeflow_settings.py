"""The config's section `kubeflow`: what the pods of a run on Kubeflow Pipelines get."""

from __future__ import annotations

import enum
import re
from typing import Annotated, Optional

import pydantic

from reefline.settings import PositiveFloat, Section

Name = Annotated[str, pydantic.Field(min_length=1)]
# Up to a year.
Seconds = Annotated[int, pydantic.Field(gt=0, le=31_536_000)]
AbsolutePath = Annotated[str, pydantic.Field(pattern=r"^/[^:]*[^/:]$")]
# Kubernetes' resource quantities, without fractions of a byte.
Quantity = Annotated[str, pydantic.Field(pattern=r"^[0-9]+(\.[0-9]+)?([kMGT]|[KMGT]i)?$")]

_FACTORS = {"": 1, **{unit: 1000 ** (power + 1) for power, unit in enumerate("kMGT")}}
_FACTORS |= {f"{unit}i": 1024 ** (power + 1) for power, unit in enumerate("KMGT")}


def count_bytes(quantity: str) -> int:
    """Return a Kubernetes quantity such as 8Gi in bytes.

    Raises:
        ValueError: it is no quantity.
    """
    match = re.fullmatch(r"([0-9.]+)([kMGT]|[KMGT]i)?", quantity)
    if match is None:
        raise ValueError(f"{quantity!r} is no quantity; expected a number of bytes such as 8Gi")
    return int(float(match[1]) * _FACTORS[match[2] or ""])


class GpuSettings(Section):
    """GPUs of a pod; `type` is the resource's name in the cluster."""

    count: Annotated[int, pydantic.Field(gt=0, le=1024)] = 1
    type: Name = "nvidia.com/gpu"


class TolerationOperator(str, enum.Enum):
    """How a toleration compares a taint."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TolerationSettings(Section):
    """A Kubernetes toleration; without a key it tolerates every taint."""

    key: Optional[Name] = None
    operator: TolerationOperator = TolerationOperator.EXISTS
    value: Optional[str] = None
    effect: Optional[Name] = None
    seconds: Optional[Seconds] = None


class SecretSettings(Section):
    """A Kubernetes secret; `env` maps its keys to environment variables."""

    name: Name
    env: Annotated[dict[str, str], pydantic.Field(min_length=1)]


class VolumeSettings(Section):
    """A PersistentVolumeClaim and where pods mount it."""

    claim: Name
    path: AbsolutePath


class TaskSettings(Section):
    """What one task's pod gets; `retries` is how often KFP starts a failed pod again."""

    cpu: Optional[PositiveFloat] = None
    memory: Optional[Quantity] = None
    gpu: Optional[GpuSettings] = None
    node_selector: dict[str, str] = {}
    tolerations: tuple[TolerationSettings, ...] = ()
    shared_memory: Optional[Quantity] = None
    secrets: tuple[SecretSettings, ...] = ()
    deadline_s: Optional[Seconds] = None
    retries: Annotated[int, pydantic.Field(ge=0, le=100)] = 0


class KubeflowSettings(Section):
    """How a run is laid out on a cluster.

    `tasks` is by component; a component without an entry gets `default`. `secrets`, `env` and `volumes` are for the
    tasks that read the data or the serving folder themselves. `work_dir` keeps the work of an interrupted training.
    `reports` is where summaries are kept, by default the folder `reports` next to the serving folder.
    """

    service_account: Optional[Name] = None
    pipeline_root: Optional[Name] = None
    reports: Optional[Name] = None
    secrets: tuple[SecretSettings, ...] = ()
    env: dict[str, str] = {}
    volumes: tuple[VolumeSettings, ...] = ()
    work_dir: Optional[VolumeSettings] = None
    default: TaskSettings = TaskSettings()
    tasks: dict[str, TaskSettings] = {}
