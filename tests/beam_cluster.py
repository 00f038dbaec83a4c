"""Beam's own local job service and a pool of workers that share nothing but the network.

    python -m tests.beam_cluster WORKERS HIDDEN LOG

prints the job service's address and the pool's. It runs until its standard input is closed, so it ends with the
process that started it. Each worker is a process in its own mount namespace: an empty temporary folder lies over the
machine's, and an empty one over HIDDEN. LOG gets a line per worker, the name of its namespace.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
# As root or, where the kernel allows it, as a user who is root in a namespace of their own.
_UNSHARE = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])
# Beam's pool starts "python" as a worker; /tmp comes last, as HIDDEN may lie in it.
_WORKER = """#!/bin/sh
exec {unshare} sh -c 'readlink /proc/self/ns/mnt >> "{log}"
mount -t tmpfs none "{hidden}" && mount -t tmpfs none "{temporary}" && exec "{python}" "$@"' worker "$@"
"""


@dataclass(frozen=True)
class BeamCluster:
    """A running cluster."""

    job_endpoint: str
    worker_pool: str
    log: Path

    @property
    def beam_args(self) -> tuple[str, ...]:
        return (
            "--runner=PortableRunner",
            f"--job_endpoint={self.job_endpoint}",
            "--environment_type=EXTERNAL",
            f"--environment_config={self.worker_pool}",
        )

    def namespaces(self) -> list[str]:
        """Return the mount namespace of each worker so far."""
        return self.log.read_text().split()


def find_unshare() -> list[str] | None:
    """Return a command that gives its arguments a mount namespace, None where this machine has none."""
    for command in _UNSHARE:
        with contextlib.suppress(OSError):
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    return None


@contextlib.contextmanager
def run_beam_cluster(workers: int, hidden: Path, environment: dict[str, str]) -> Iterator[BeamCluster]:
    """Run a cluster whose workers see neither `hidden` nor the temporary files of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "namespaces"
        log.touch()
        command = [sys.executable, "-m", "tests.beam_cluster", str(workers), str(hidden), str(log)]
        with subprocess.Popen(
            command,
            cwd=REPO_DIR,
            env={**os.environ, **environment, "PYTHONPATH": str(REPO_DIR)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            try:
                job_endpoint, worker_pool = process.stdout.readline().split()
                yield BeamCluster(job_endpoint, worker_pool, log)
            finally:
                process.stdin.close()
                process.wait(30)


def main() -> None:
    """Serve until standard input is closed."""
    from apache_beam.runners.portability import fn_api_runner, local_job_service
    from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

    workers, hidden, log = sys.argv[1:]

    class Job(local_job_service.BeamJob):
        """A job on several workers, where the service itself would use one."""

        def _invoke_runner(self) -> object:
            runner = fn_api_runner.FnApiRunner(provision_info=self._provision_info)
            runner._num_workers = int(workers)
            return runner.run_via_runner_api(self._pipeline_proto, self.pipeline_options())

    with tempfile.TemporaryDirectory() as folder:
        unshare = find_unshare()
        assert unshare is not None
        python = Path(folder) / "python"
        python.write_text(
            _WORKER.format(
                unshare=" ".join(unshare),
                hidden=hidden,
                log=log,
                temporary=tempfile.gettempdir(),
                python=sys.executable,
            )
        )
        python.chmod(0o755)
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
        service = local_job_service.LocalJobServicer(beam_job_type=Job)
        pool, server = BeamFnExternalWorkerPoolServicer.start(use_process=True)
        sys.stdout.write(f"localhost:{service.start_grpc_server()} {pool}\n")
        sys.stdout.flush()
        sys.stdin.read()
        server.stop(None)
        service.stop()


if __name__ == "__main__":
    main()
