"""Which images TensorFlow refuses: its own error names no file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from reefline.errors import DataError
from reefline.formats.tf_example import read_examples

_LISTED = 10


@contextlib.contextmanager
def undecodable_images_named(patterns: Sequence[str]) -> Iterator[None]:
    """Name the images that an InvalidArgumentError of TensorFlow is about; `patterns` are gzip TFRecords or globs.

    Raises:
        DataError: TensorFlow cannot decode some of the images.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        names = find_undecodable(patterns)
        if not names:
            raise
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        raise DataError(
            f"TensorFlow cannot decode {', '.join(names[:_LISTED])}{more}: replace or delete the images, and run again"
        ) from error


def find_undecodable(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the file names of the images in gzip TFRecords, or globs of them, that TensorFlow cannot decode."""
    import tensorflow as tf

    names = []
    for example in read_examples([path for pattern in patterns for path in tf.io.gfile.glob(pattern)]):
        try:
            tf.io.decode_jpeg(example.encoded_jpeg, channels=3)
        except tf.errors.InvalidArgumentError:
            names.append(example.filename)
    return tuple(names)
