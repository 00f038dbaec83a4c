"""What the machine has: cores, GPUs, free memory."""

from __future__ import annotations

from dataclasses import dataclass

from reefline.od_api.devices import count_gpus
from reefline.od_api.trial import read_gpu_limit_bytes
from reefline.system.cores import count_cores
from reefline.system.memory import read_available_bytes


@dataclass(frozen=True)
class Machine:
    """The devices that train; `memory_bytes` is free on the first GPU or, without one, for this process."""

    cores: int
    gpus: int
    memory_bytes: int | None

    @property
    def has_gpu(self) -> bool:
        """Whether a GPU trains."""
        return self.gpus > 0


def read_machine() -> Machine:
    """Return what this process may use. TensorFlow is imported for it."""
    gpus = count_gpus()
    memory = read_gpu_limit_bytes() if gpus else read_available_bytes()
    return Machine(count_cores(), gpus, memory)
