"""Resolves an exec property in a pod: `python -m pipeline.kubeflow.resolve data|start|serving|signing-key`.

KFP runs no custom driver. What a driver adds to the cache key of its component is the output parameter of such a task,
which is never cached itself. It imports neither TFX nor TensorFlow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from pipeline.kubeflow.contract import EXECUTOR_INPUT_OPTION, Resolver
from pipeline.kubeflow.data_source import provide
from pipeline.kubeflow.executor_input import ExecutorInput, write_output_parameters
from pipeline.kubeflow.stop import run_plain_task


def resolve_data(task: ExecutorInput) -> Mapping[str, str | int]:
    """Return `input_fingerprint`, as VocExampleGen's driver does.

    Raises:
        DataError: the data folder is missing or holds no images or annotations.
        ConfigError: the given label map cannot be read.
        StorageError: the data's store cannot be read.
    """
    from reefline.data.fingerprint import fingerprint_data
    from reefline.settings import IngestionSettings

    settings = IngestionSettings.from_json(task.parameters["settings"])
    return {"input_fingerprint": fingerprint_data(provide(task.parameters["data_dir"]), settings, None)}


def resolve_start(task: ExecutorInput) -> Mapping[str, str | int]:
    """Return `start`, as Trainer's driver does.

    Where a training with the same settings on the same data made the serving model, that is what it started from: a
    second run with nothing changed finds its result in the cache.

    Raises:
        BundleError: the serving bundle, or the bundle to start from, is damaged.
        CheckpointError: the weights to start from are missing or changed.
    """
    from reefline.od_api.model_config import load_template
    from reefline.settings import TrainerSettings
    from reefline.training.serving_checkpoint import find_serving_checkpoint
    from reefline.training.start_files import StartCache
    from reefline.training.start_identity import StartIdentity
    from reefline.training.starting_point import identify_start, name_start

    settings = TrainerSettings.from_json(task.parameters["settings"])
    home = task.parameters["serving_home"]
    serving = find_serving_checkpoint(home) if home else None
    if serving is not None:
        equal = serving.find_start_of_equal_training(settings, task.parameters["input_fingerprint"])
        if equal is not None:
            return {"start": equal}
        serving.check()
        return {"start": str(StartIdentity(serving=serving.prefix))}
    template = load_template(settings.model)
    return {"start": str(identify_start(name_start(settings.start, template), template, StartCache()))}


def resolve_serving(task: ExecutorInput) -> Mapping[str, str | int]:
    """Return `serving_version` and `serving_sha256`, as ServingBundle's driver does.

    Raises:
        BundleError: the serving bundle is damaged.
        StorageError: the destination cannot be read.
    """
    from reefline.bundle.store import resolve_baseline
    from reefline.structures.artifacts import ModelFolder

    baseline = resolve_baseline(
        destination=task.parameters["destination"],
        model_name=task.parameters["model_name"],
        candidate=ModelFolder(task.inputs["model"].path).bundle,
    )
    return {"serving_version": baseline.version, "serving_sha256": baseline.sha256}


def check_signing_key(task: ExecutorInput) -> Mapping[str, str | int]:
    """Load the key that Pusher signs with, and return nothing.

    Raises:
        ConfigError: the key is missing, exposed, or no Ed25519 key.
    """
    from reefline.bundle.signature import load_signer

    load_signer(task.parameters["signing_key"])
    return {}


_RESOLVERS: Mapping[Resolver, Callable[[ExecutorInput], Mapping[str, str | int]]] = {
    Resolver.DATA: resolve_data,
    Resolver.START: resolve_start,
    Resolver.SERVING: resolve_serving,
    Resolver.SIGNING_KEY: check_signing_key,
}


def main(arguments: Sequence[str]) -> int:
    """Resolve, write the output parameters, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.kubeflow.resolve")
    parser.add_argument("what", type=Resolver, choices=list(Resolver))
    parser.add_argument(EXECUTOR_INPUT_OPTION, required=True)
    known = parser.parse_args(arguments)
    resolver = known.what

    def resolve(task: ExecutorInput) -> None:
        write_output_parameters(task, _RESOLVERS[resolver](task))

    return run_plain_task(resolver.task, known.executor_input, resolve)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
