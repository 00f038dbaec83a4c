"""The published pairs of a model and its compiled form in ../shared, for tests of several modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PAIRS_DIR = Path(__file__).resolve().parents[1] / ".." / "shared" / "edgetpu" / "compiled_pairs"
TRUTH_FILE = PAIRS_DIR / "ground_truth.json"
TRUTH: list[dict[str, Any]] = json.loads(TRUTH_FILE.read_text(encoding="utf-8")) if TRUTH_FILE.is_file() else []
needs_pairs = pytest.mark.skipif(not TRUTH, reason="../shared/edgetpu/compiled_pairs is missing")
PAIRS = [pytest.param(pair, id=pair["model"].removesuffix(".tflite")) for pair in TRUTH]
