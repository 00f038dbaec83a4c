"""One device, two logical devices and two processes on the loopback train the same model on the same batches."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from reefline.errors import ConfigError
from reefline.od_api import compat
from reefline.settings import DistributionStrategy
from tests import strategy_process

# Two partial sums round differently than one sum over the batch.
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strategies")
    strategy_process.write_strategy_records(folder)
    return folder


@pytest.fixture(scope="module")
def one_device(folder: Path) -> list[float]:
    (result,) = strategy_process.finish([strategy_process.start(folder, "whole", DistributionStrategy.NONE)])
    assert len(set(result)) == strategy_process.STEPS + 2
    return result


@pytest.mark.slow
def test_two_devices_equal_one(folder: Path, one_device: list[float]) -> None:
    process = strategy_process.start(folder, "whole", DistributionStrategy.MIRRORED)
    (result,) = strategy_process.finish([process])
    assert result == pytest.approx(one_device, rel=TOLERANCE)


@pytest.mark.slow
def test_two_processes_equal_one(folder: Path, one_device: list[float]) -> None:
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    clusters = [
        json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}) for index in (0, 1)
    ]
    kind = DistributionStrategy.MULTI_WORKER
    processes = [strategy_process.start(folder, "halves", kind, cluster) for cluster in clusters]
    first, second = strategy_process.finish(processes)
    assert first == second
    assert first == pytest.approx(one_device, rel=TOLERANCE)


def test_multi_worker_needs_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    compat.apply()
    from reefline.od_api.devices import create_strategy

    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ConfigError, match=r"trainer\.strategy: multi_worker needs the environment variable TF_CONFIG"):
        create_strategy(DistributionStrategy.MULTI_WORKER, 4)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
