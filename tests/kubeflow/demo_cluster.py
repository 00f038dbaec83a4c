"""The demo on an emulated backend: a data volume with a few images, few steps, and a package compiled from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.kubeflow.compile import read_request
from pipeline.kubeflow.contract import IMAGE_HOME
from pipeline.kubeflow.lint import lint_documents
from pipeline.kubeflow.package import make_package
from reefline.config.run_config import CONFIG_DIR
from reefline.data.demo import generate_demo_data
from tests.factories_runs import QUICK
from tests.factories_summary import find_schema_errors
from tests.kubeflow.emulation.backend import REPO_DIR, Backend
from tests.kubeflow.emulation.package import Package, read_package
from tests.kubeflow.emulation.processes import Processes
from tests.kubeflow.emulation.records import RunRecord, TaskState
from tests.kubeflow.emulation.variants import Variant

IMAGE = f"registry.example/reefline@sha256:{'a' * 64}"
# Augmentations draw their random numbers in several threads; without them a training repeats itself bit by bit.
SETTINGS: Mapping[str, Any] = {
    **{name: value for name, value in QUICK.items() if not name.startswith("demo.")},
    "trainer.augmentations": [],
}
IMAGES = 40
NEVER_CACHED = ["ResolveData", "ResolveServing", "Pusher", "RunSummary"]


@dataclass(frozen=True)
class DemoCluster:
    """A backend with two claims: `volume` for data, bundles and reports, `work` for unfinished training."""

    root: Path
    backend: Backend

    @property
    def data(self) -> Path:
        """The data set."""
        return self.root / "volume" / "data"

    @property
    def mounts(self) -> Path:
        """Where pods find the folders of this cluster."""
        return Path("/mnt") if self.backend.processes.has_own_root else self.root

    @property
    def serving(self) -> Path:
        """The serving folder of the model."""
        return self.root / "volume" / "serving" / "demo"

    def compile(
        self,
        *,
        data: str = "",
        serving: str = "",
        settings: Mapping[str, Any] = SETTINGS,
        kubeflow: Mapping[str, Any] | None = None,
    ) -> Package:
        """Return the package of the demo, by default on the volume, after lint found nothing wrong with it."""
        config = yaml.safe_load((CONFIG_DIR / "demo.yaml").read_text(encoding="utf-8"))
        config["kubeflow"] = {
            "volumes": [{"claim": "volume", "path": str(self.mounts / "volume")}],
            "work_dir": {"claim": "work", "path": str(self.mounts / "work")},
            **(kubeflow or {}),
        }
        config_file, package_file = self.root / "config.yaml", self.root / "pipeline.yaml"
        config_file.write_text(yaml.safe_dump(config))
        overrides = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
        data, serving = data or str(self.mounts / "volume/data"), serving or str(self.mounts / "volume/serving")
        made = make_package(read_request(config_file, overrides, IMAGE, data, serving))
        errors = [str(one) for one in lint_documents([made.pipeline, made.platform], size=0) if one.is_error]
        assert errors == []
        package_file.write_text(made.format(), encoding="utf-8")
        has_image = self.backend.processes.has_own_root
        return read_package(package_file, image_home=None if has_image else (IMAGE_HOME, REPO_DIR))

    def summary(self, run: RunRecord) -> dict[str, Any]:
        """Return the summary.json that a run published."""
        path = self.root / "volume" / "reports" / run.run_id / "summary.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        assert find_schema_errors(found) == []
        return found

    def manifest(self, version: int) -> dict[str, Any]:
        """Return the manifest of a pushed bundle."""
        found: dict[str, Any] = json.loads((self.serving / str(version) / "manifest.json").read_text(encoding="utf-8"))
        return found


def make_cluster(root: Path, variant: Variant, processes: Processes, *, images: int = IMAGES) -> DemoCluster:
    """Return a backend whose volume holds the demo's images."""
    for name in ("volume", "work"):
        (root / name).mkdir(parents=True)
    claims = {"volume": root / "volume", "work": root / "work"}
    cluster = DemoCluster(root, Backend(root, variant, processes, claims=claims))
    generate_demo_data(cluster.data, images=images)
    return cluster


def executed(run: RunRecord) -> list[str]:
    """Return the tasks that ran in a pod, in the order of the pipeline; a run that failed is explained."""
    assert run.succeeded, run.explain()
    return list(run.names(TaskState.DONE))
