"""The names that a TFLite model's signature gives to its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reefline.tflite.reader import naming_damage, open_model


def read_signature_outputs(path: Path) -> Sequence[Mapping[str, int]]:
    """Return for each signature of a model its outputs: the tensor's index by name.

    Raises:
        BundleError: the file is missing, damaged or not a TFLite model.
    """
    model = open_model(path)
    with naming_damage(path):
        signatures = [model.SignatureDefs(number) for number in range(model.SignatureDefsLength())]
        return [
            {
                (output.Name() or b"").decode("utf-8", errors="replace"): int(output.TensorIndex())
                for output in map(signature.Outputs, range(signature.OutputsLength()))
            }
            for signature in signatures
        ]
