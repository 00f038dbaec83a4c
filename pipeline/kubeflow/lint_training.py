"""What one pod cannot do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.kubeflow.lint_finding import LintFinding
from reefline.settings import DistributionStrategy

_TRAINER = "Trainer"


def find_training_problems(spec: Mapping[str, Any]) -> Iterator[LintFinding]:
    """Yield an error for a training that waits for pods that never start."""
    task = spec.get("root", {}).get("dag", {}).get("tasks", {}).get(_TRAINER, {})
    text = task.get("inputs", {}).get("parameters", {}).get("settings", {}).get("runtimeValue", {}).get("constant", "")
    try:
        settings = json.loads(text)
    except ValueError:
        return
    if isinstance(settings, dict) and settings.get("strategy") == DistributionStrategy.MULTI_WORKER.value:
        yield LintFinding(
            f"{_TRAINER}.strategy",
            "multi_worker needs several pods that start together, and a task of KFP is one. Use mirrored with several "
            "GPUs, or run `reefline train-worker` as a Training Operator job",
        )
