from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from reefline.errors import DataError
from reefline.formats.tf_example import IngestedExample, write_examples
from reefline.formats.undecodable import undecodable_images_named
from tests.factories import make_jpeg


def _records(folder: Path, *contents: bytes) -> list[str]:
    write_examples(folder / "a.gz", [IngestedExample(f"{i}", f"{i}.jpg", b, 64, 48) for i, b in enumerate(contents)])
    return [str(folder / "*.gz")]


def test_the_refused_images_are_named(tmp_path: Path) -> None:
    patterns = _records(tmp_path, make_jpeg(), make_jpeg()[:500], b"no image")
    with (
        pytest.raises(DataError, match=r"TensorFlow cannot decode 1\.jpg, 2\.jpg: replace or delete"),
        undecodable_images_named(patterns),
    ):
        tf.io.decode_jpeg(b"no image")


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="Matrix size-incompatible"),
        undecodable_images_named(_records(tmp_path, make_jpeg())),
    ):
        tf.matmul(tf.ones((2, 3)), tf.ones((2, 3)))
