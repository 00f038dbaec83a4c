"""A backend: submits packages, and runs their tasks one after the other."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubeflow.emulation.driver import RunFacts, compute_fingerprint, make_executor_input
from tests.kubeflow.emulation.errors import BackendError
from tests.kubeflow.emulation.launcher import Launcher
from tests.kubeflow.emulation.package import Package, Task
from tests.kubeflow.emulation.pod import Pod
from tests.kubeflow.emulation.processes import PlainProcesses, Processes
from tests.kubeflow.emulation.records import Outputs, Records, RunRecord, TaskRun, TaskState
from tests.kubeflow.emulation.store import ObjectStore
from tests.kubeflow.emulation.variants import Variant

REPO_DIR = Path(__file__).resolve().parents[3]
_ROOT = "minio://mlpipeline/v2/artifacts"


@dataclass(frozen=True)
class Kill:
    """Kills a task's pod with SIGKILL once `when` is true."""

    task: str
    when: Callable[[], bool]


@dataclass
class Backend:
    """A backend of one variant in a folder.

    `secrets` are the cluster's, by name, and `claims` the folders of its PersistentVolumeClaims.
    """

    root: Path
    variant: Variant
    processes: Processes = field(default_factory=PlainProcesses)
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    claims: Mapping[str, Path] = field(default_factory=dict)
    records: Records = field(default_factory=Records)

    def run(
        self,
        package: Package,
        *,
        parameters: Mapping[str, Any] | None = None,
        enable_caching: bool | None = None,
        kill: Kill | None = None,
        until: str = "",
    ) -> RunRecord:
        """Run a package; `enable_caching=True` overrides every task, as the client's argument of that name.

        `until` is the last task that is started, "" for all.
        """
        if enable_caching:
            package = package.force_caching()
        outputs: dict[str, Outputs] = {}
        root = package.spec.get("defaultPipelineRoot") or _ROOT
        run_id = str(uuid.uuid4())
        facts = RunFacts(run_id, f"{package.name} run", root, package.name, outputs, parameters or {})
        runs: dict[str, TaskRun] = {}
        for task in package.tasks:
            if any(run.state is TaskState.FAILED for run in runs.values()):
                # The DAG fails fast: no further task is started.
                runs[task.name] = TaskRun(task.name, TaskState.SKIPPED)
                continue
            when = kill.when if kill is not None and kill.task == task.name else None
            runs[task.name] = self._run_task(task, facts, when)
            outputs[task.name] = runs[task.name].outputs
            if task.name == until:
                break
        return RunRecord(run_id, runs)

    def _run_task(self, task: Task, facts: RunFacts, kill_when: Callable[[], bool] | None) -> TaskRun:
        # A container finds an artifact at the same path in every pod, so a task's pod is always the same folder.
        pod = Pod(self.root / "pods" / task.name.lower(), self.processes.has_own_root)
        pod.create()
        try:
            executor_input = make_executor_input(task, facts, pod, self.variant)
            key = (facts.pipeline, compute_fingerprint(task, executor_input, self.variant))
            if task.is_cacheable and key in self.records.cache:
                return TaskRun(task.name, TaskState.CACHED, self.records.cache[key])
            launcher = Launcher(ObjectStore(self.root / "store"), self.records, self.variant, self.processes, REPO_DIR)
            volumes = self._mount(task)
            run = launcher.run(task, executor_input, pod, self._make_env(task), volumes, kill_when)
            if task.is_cacheable and run.state is TaskState.DONE:
                self.records.cache[key] = run.outputs
            return run
        except BackendError as error:
            return TaskRun(task.name, TaskState.FAILED, problem=str(error))
        finally:
            pod.delete()

    def _make_env(self, task: Task) -> dict[str, str]:
        env = {one["name"]: one.get("value", "") for one in task.container.get("env", ())}
        env |= _read_annotations(task)
        for secret in task.kubernetes.get("secretAsEnv", ()):
            found = self.secrets.get(secret["secretName"])
            if found is None:
                raise BackendError(f"{task.name}: secret {secret['secretName']} not found")
            env |= {pair["envVar"]: found[pair["secretKey"]] for pair in secret["keyToEnv"]}
        return env

    def _mount(self, task: Task) -> dict[str, Path]:
        volumes = {}
        for mount in task.kubernetes.get("pvcMount", ()):
            if mount["constant"] not in self.claims:
                raise BackendError(f"{task.name}: persistentvolumeclaim {mount['constant']} not found")
            folder = self.claims[mount["constant"]]
            if not self.processes.has_own_root and str(folder) != mount["mountPath"]:
                raise BackendError(f"{task.name}: without a root of its own, a pod sees {folder} there only")
            volumes[mount["mountPath"]] = folder
        return volumes

    def on(self, processes: Processes) -> Backend:
        """Return the same backend, with the same records, that starts containers in another way."""
        return dataclasses.replace(self, processes=processes)


def _read_annotations(task: Task) -> dict[str, str]:
    """Return the variables that Kubernetes fills from the pod's own annotations."""
    annotations = task.kubernetes.get("podMetadata", {}).get("annotations", {})
    fields = {f"metadata.annotations['{name}']": value for name, value in annotations.items()}
    return {one["name"]: fields[one["fieldPath"]] for one in task.kubernetes.get("fieldPathAsEnv", ())}
