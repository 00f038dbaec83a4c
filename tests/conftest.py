"""What holds for every test: legacy Keras before TensorFlow is imported, and a quiet TensorFlow."""

from __future__ import annotations

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
