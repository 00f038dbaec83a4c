"""The ServingBundle component."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model, PushedModel

from components.serving_bundle.driver import ServingBundleDriver
from reefline.bundle.store import fetch_bundle, resolve_baseline
from reefline.structures.artifacts import BaselineFolder, ModelFolder

# Where no driver runs first, the executor resolves the version itself.
_NOT_RESOLVED = -1


@component
def ServingBundle(
    model: InputArtifact[Model],
    baseline: OutputArtifact[PushedModel],
    destination: Parameter[str],
    model_name: Parameter[str],
    code: Parameter[str],
    serving_version: Parameter[int] = _NOT_RESOLVED,
    serving_sha256: Parameter[str] = "",
) -> None:
    """Emit the bundle that serves, or an explicit none on a first run.

    Where the candidate itself serves, that is the bundle it replaced: a second run with nothing changed compares the
    same two. `destination` is the folder or URI of all models' bundles. `serving_version` and `serving_sha256` come
    from the driver; they and `code` key the cache. The output's fact `version` is read by ModelScorer (0: none);
    bundle/ is a copy, as somebody may delete the serving bundle one day.
    """
    version = serving_version
    if version == _NOT_RESOLVED:
        version = resolve_baseline(destination, model_name, ModelFolder(Path(model.uri)).bundle).version
    if version:
        fetch_bundle(destination, model_name, version, BaselineFolder(Path(baseline.uri)).bundle)
    baseline.set_int_custom_property("version", version)


ServingBundle.DRIVER_CLASS = ServingBundleDriver
