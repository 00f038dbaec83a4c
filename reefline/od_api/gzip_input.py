"""Gzip TFRecords for the OD API's input pipeline, which by itself reads only uncompressed ones."""

from __future__ import annotations

import functools
from typing import Any


def install_gzip_reader() -> None:
    """Make `object_detection.inputs` read gzip TFRecords, through its hook for other data sets."""
    from object_detection import inputs

    inputs.INPUT_BUILDER_UTIL_MAP["dataset_build"] = build_dataset


def build_dataset(
    input_reader_config: Any,
    batch_size: int | None = None,
    transform_input_data_fn: Any = None,
    input_context: Any = None,
    reduce_to_frame_fn: Any = None,
) -> Any:
    """Build the data set of one input reader as `object_detection.builders.dataset_builder.build` does.

    The hook prescribes the signature. Records are read as gzip, then shuffled, decoded and transformed by the OD API's
    own functions. `reduce_to_frame_fn` picks frames of videos and is unused: Reefline writes still images.
    """
    import tensorflow as tf
    from object_detection.builders import dataset_builder, decoder_builder

    del reduce_to_frame_fn
    if input_context is not None and batch_size:
        batch_size = input_context.get_per_replica_batch_size(batch_size)
    dataset = dataset_builder.read_dataset(
        functools.partial(tf.data.TFRecordDataset, compression_type="GZIP", buffer_size=8 * 1000 * 1000),
        input_reader_config.tf_record_input_reader.input_path[:],
        input_reader_config,
        filename_shard_fn=dataset_builder.shard_function_for_context(input_context),
    )
    dataset = dataset.map(decoder_builder.build(input_reader_config).decode, tf.data.AUTOTUNE)
    if transform_input_data_fn is not None:
        dataset = dataset.map(transform_input_data_fn, tf.data.AUTOTUNE)
    if batch_size:
        dataset = dataset.batch(batch_size, drop_remainder=input_reader_config.drop_remainder)
    return dataset.prefetch(input_reader_config.num_prefetch_batches)
