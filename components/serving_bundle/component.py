"""The ServingBundle component."""

import shutil
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model, PushedModel

from components.serving_bundle.driver import ServingBundleDriver
from reefline.bundle.manifest import verify_bundle
from reefline.bundle.store import locate_bundle, resolve_baseline

# Where no driver runs before the executor, the executor resolves by itself.
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

    Where the very candidate serves, its predecessor is meant: a second run with nothing changed compares the same two.
    `destination` is the folder of all models' bundles. `serving_version` and `serving_sha256` come from the driver;
    they and `code` key the cache. The output's facts are `present` (0 or 1), `version` (0: none) and `path`; it holds
    a copy in bundle/, as what serves may be tidied away one day.
    """
    version = serving_version
    if version == _NOT_RESOLVED:
        version = resolve_baseline(Path(destination), model_name, Path(model.uri) / "bundle").version
    path = ""
    if version:
        bundle = locate_bundle(Path(destination), model_name, version)
        verify_bundle(bundle)
        shutil.copytree(bundle, Path(baseline.uri) / "bundle", dirs_exist_ok=True)
        path = str(bundle)
    baseline.set_int_custom_property("present", int(version > 0))
    baseline.set_int_custom_property("version", version)
    baseline.set_string_custom_property("path", path)


ServingBundle.DRIVER_CLASS = ServingBundleDriver
