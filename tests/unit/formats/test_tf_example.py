from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from reefline.formats.tf_example import (
    IngestedExample,
    IngestedObject,
    decode_example,
    encode_example,
    read_examples,
    write_examples,
)
from reefline.formats.tf_record import (
    encode_bytes,
    encode_features,
    encode_floats,
    encode_integers,
    frame_record,
)
from reefline.structures.boxes import BoxXyxyPx
from tests.factories import make_jpeg

EXAMPLE = IngestedExample(
    source_id="été/a.jpg",
    filename="été/a.jpg",
    encoded_jpeg=make_jpeg(width_px=333, height_px=77),
    width_px=333,
    height_px=77,
    objects=(
        IngestedObject(BoxXyxyPx(0, 0, 333, 77), 1, "cat", truncated=True, pose="Left"),
        IngestedObject(BoxXyxyPx(1.25, 2, 100, 76.5), 2, "<b>", difficult=True),
    ),
    sha256="ab" * 32,
)
NEGATIVE = replace(EXAMPLE, objects=(), source_id="b.jpg")


@pytest.mark.parametrize("example", [pytest.param(EXAMPLE, id="boxes"), pytest.param(NEGATIVE, id="negative")])
def test_an_example_comes_back(example: IngestedExample) -> None:
    assert decode_example(encode_example(example)) == example


@pytest.mark.parametrize(
    ("objects", "sha256"),
    [
        pytest.param(EXAMPLE.objects, "6d38fa76be08908a3ed27f184727f6f96f9936268f2ee557aa96e27dec94cd0e", id="boxes"),
        pytest.param((), "3fff93d6a48fec4cce9a396ffd6163cc98f9ff7e783ffff25b7de50235c3f6dd", id="negative"),
    ],
)
def test_the_bytes_stay_the_same(objects: tuple[IngestedObject, ...], sha256: str) -> None:
    encoded = encode_example(replace(EXAMPLE, encoded_jpeg=b"jpeg", objects=objects))
    assert hashlib.sha256(encoded).hexdigest() == sha256


def test_examples_stream_through_gzip_records_in_order(tmp_path: Path) -> None:
    paths = [tmp_path / "1.gz", tmp_path / "0.gz"]
    assert write_examples(paths[0], iter([EXAMPLE, NEGATIVE])) == 2
    assert write_examples(paths[1], [EXAMPLE]) == 1
    assert list(read_examples(paths)) == [EXAMPLE, NEGATIVE, EXAMPLE]
    assert EXAMPLE.encoded_jpeg in gzip.decompress(paths[0].read_bytes())


def test_no_files_give_no_examples() -> None:
    assert list(read_examples([])) == []


def test_the_od_api_decodes_the_same() -> None:
    from reefline.od_api import compat

    compat.apply()
    import numpy as np
    import tensorflow as tf
    from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder

    boxes = [item.box_xyxy_px for item in EXAMPLE.objects]
    tensors = TfExampleDecoder().decode(tf.constant(encode_example(EXAMPLE)))
    fractions = [[b.y_min / 77, b.x_min / 333, b.y_max / 77, b.x_max / 333] for b in boxes]
    np.testing.assert_allclose(tensors["groundtruth_boxes"].numpy(), fractions, rtol=1e-6)
    assert tensors["groundtruth_classes"].numpy().tolist() == [1, 2]
    assert tensors["groundtruth_difficult"].numpy().tolist() == [0, 1]
    assert tensors["image"].shape == (77, 333, 3)
    assert tensors["source_id"].numpy().decode() == "été/a.jpg"
    assert tensors["key"].numpy().decode() == "ab" * 32


def test_encoding_is_that_of_tensorflow(tmp_path: Path) -> None:
    import tensorflow as tf

    example = tf.train.Example()
    features = example.features.feature
    features["é"].bytes_list.value.extend([b"", b"x" * 300])
    features["floats"].float_list.value.extend([0.1, 1 / 3, 0.0])
    features["integers"].int64_list.value.extend([0, 127, 128, 2**63 - 1])
    features["none"].float_list.value.extend([])
    encoded = encode_features(
        {
            "é": encode_bytes([b"", b"x" * 300]),
            "integers": encode_integers([0, 127, 128, 2**63 - 1]),
            "floats": encode_floats([0.1, 1 / 3, 0.0]),
            "none": encode_floats([]),
        }
    )
    assert encoded == example.SerializeToString(deterministic=True)
    with tf.io.TFRecordWriter(str(tmp_path / "records")) as writer:
        writer.write(encoded)
        writer.write(b"")
    assert frame_record(encoded) + frame_record(b"") == (tmp_path / "records").read_bytes()
