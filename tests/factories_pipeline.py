"""Small components, for tests of how a pipeline is run: what they do is chosen by an exec property."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Config, Model

from reefline.errors import DataError


def _act(behaviour: str, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "half.txt").write_text("written before the end")
    if behaviour == "user_error":
        raise DataError("dog_07.xml, object 2: xmax 512 lies outside the image (width 500)")
    if behaviour == "crash":
        raise RuntimeError("something else")
    if behaviour == "interrupt":
        raise KeyboardInterrupt


@component
def First(config: OutputArtifact[Config], behaviour: Parameter[str]) -> None:
    """Write a file."""
    _act(behaviour, Path(config.uri))
    config.set_int_custom_property("fact", 7)


@component
def Second(config: InputArtifact[Config], model: OutputArtifact[Model], behaviour: Parameter[str]) -> None:
    """Copy what First wrote."""
    _act(behaviour, Path(model.uri))
    (Path(model.uri) / "copy.txt").write_text((Path(config.uri) / "half.txt").read_text())
