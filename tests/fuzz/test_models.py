"""Mutated TFLite files, plain and compiled: read, or a UserError."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reefline.bundle.label_check import check_labels
from reefline.edgetpu.analysis import analyze_model
from reefline.edgetpu.compiled import belongs_together
from reefline.errors import UserError
from reefline.structures.label_map import LabelMap
from reefline.tflite.convolutions import read_convolutions
from reefline.tflite.metadata import add_metadata
from reefline.tflite.postprocess import read_postprocess_op
from reefline.tflite.reader import count_operators
from tests.factories_tflite import EDGE_TPU, OpSpec, TensorSpec, build_model, build_package, write_quantized_detector
from tests.fuzz.harness import fuzzed, mutated, within_limits

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "edgetpu" / "compiled_pairs"
# Above this, mutations hardly ever hit a structure.
MAX_SEED_BYTES = 900_000
TOKENS = (
    b"TFL3",
    b"DWN1",
    b"edgetpu-custom-op",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\0",
    b"\xfc\xff\xff\xff",
    b"4\0",
    b"TFLITE_METADATA",
)


def _read_real(*, compiled: bool) -> list[bytes]:
    files = [path for path in sorted(SHARED.glob("*.tflite")) if path.stem.endswith("_edgetpu") is compiled]
    return [path.read_bytes() for path in files if path.stat().st_size <= MAX_SEED_BYTES]


def _make_compiled() -> bytes:
    op = OpSpec(EDGE_TPU, ("a",), ("b",), custom_options=build_package([(2, 0), (1, 64), (0, 8)]))
    return build_model((TensorSpec("a"), TensorSpec("b")), (op,), ["a"], ["b"])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    """Return a detector three times as often as each real model: its offsets are hit more often."""
    own = write_quantized_detector(tmp_path_factory.mktemp("seed") / "a.tflite").read_bytes()
    labelled = add_metadata(own, "detector", ("cat", "dog"), ("boxes", "classes", "scores", "count"))
    return own, own, labelled, *_read_real(compiled=False)


@pytest.fixture(scope="module")
def compiled() -> tuple[bytes, ...]:
    return _make_compiled(), _make_compiled(), *_read_real(compiled=True)


@fuzzed
@given(choices=st.data())
def test_plain_models(
    plain: tuple[bytes, ...], tmp_path_factory: pytest.TempPathFactory, choices: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "plain.tflite"
    path.write_bytes(choices.draw(mutated(plain, TOKENS)))
    _read_all(path)


@fuzzed
@given(choices=st.data())
def test_compiled_models(
    plain: tuple[bytes, ...],
    compiled: tuple[bytes, ...],
    tmp_path_factory: pytest.TempPathFactory,
    choices: st.DataObject,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    path, int8 = folder / "m_edgetpu.tflite", folder / "m.tflite"
    path.write_bytes(choices.draw(mutated(compiled, TOKENS)))
    int8.write_bytes(plain[0])
    _read_all(path)
    with within_limits(), contextlib.suppress(UserError):
        assert belongs_together(int8, path)


def _read_all(path: Path) -> None:
    """Do with a file what commands, a start and the push do."""
    readers: tuple[Callable[[Path], object], ...] = (
        lambda file: json.dumps(analyze_model(file).to_json()),
        lambda file: analyze_model(file).to_text(),
        count_operators,
        read_convolutions,
        read_postprocess_op,
        lambda file: check_labels(LabelMap(("cat", "dog")), file),
    )
    for read in readers:
        with within_limits(), contextlib.suppress(UserError):
            read(path)
