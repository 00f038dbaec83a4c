"""Each shim is still needed, and with all of them the OD API imports and works."""

import subprocess
import sys

NEEDS = {
    "estimator": "import tensorflow as tf; print(hasattr(tf.compat.v1, 'estimator'))",
    "control_flow_case": "from tensorflow.python.ops import control_flow_ops as c; print(hasattr(c, 'case'))",
    "control_flow_cond": "from tensorflow.python.ops import control_flow_ops as c; print(hasattr(c, 'cond'))",
    "font_getsize": "from PIL import ImageFont; print(hasattr(ImageFont.FreeTypeFont, 'getsize'))",
    "numpy_float": "import numpy; print('float' in vars(numpy))",
    "numpy_bool": "import numpy; print('bool' in vars(numpy))",
    "numpy_int": "import numpy; print('int' in vars(numpy))",
}


def run_python(code: str) -> str:
    """Run code in a fresh interpreter without Reefline's shims and return the last line it printed."""
    finished = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return finished.stdout.strip().splitlines()[-1]


def test_every_shim_is_needed() -> None:
    combined = "\n".join(f"{code}" for code in NEEDS.values())
    lines = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", combined], capture_output=True, text=True, check=True
    ).stdout.split()
    no_longer_needed = [name for name, line in zip(NEEDS, lines, strict=True) if line == "True"]
    assert no_longer_needed == [], "take these shims out of compat.py"


def test_apply_makes_the_od_api_importable() -> None:
    code = """
from reefline.od_api import compat
compat.apply()
compat.apply()
import os
from object_detection import exporter_lib_v2, model_lib_v2
import tensorflow as tf
import numpy as np
from PIL import ImageFont
from tensorflow.python.ops import control_flow_ops
assert os.environ["TF_USE_LEGACY_KERAS"] == "1"
assert tf.keras.Model.__module__.startswith("tf_keras"), tf.keras.Model.__module__
assert np.float is float and np.bool is bool and np.int is int
assert control_flow_ops.case and control_flow_ops.cond
assert tf.compat.v1.estimator.ModeKeys.TRAIN == "train"
width, height = ImageFont.load_default(12).getsize("reef")
assert width > height > 0, (width, height)
print("works")
"""
    assert run_python(code) == "works"


def test_apply_refuses_a_tensorflow_that_came_first() -> None:
    code = """
import os
os.environ.pop("TF_USE_LEGACY_KERAS", None)
import sys, types
sys.modules["tensorflow"] = types.ModuleType("tensorflow")
from reefline.od_api import compat
try:
    compat.apply()
except RuntimeError as error:
    print(error)
"""
    assert "call compat.apply() first" in run_python(code)


def test_no_warning_of_the_python_version_is_printed() -> None:
    code = "from reefline.od_api import compat; compat.apply(); import google.api_core"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "FutureWarning" not in run.stderr


def test_a_removed_estimator_says_so() -> None:
    code = """
from reefline.od_api import compat
compat.apply()
import tensorflow as tf
try:
    tf.compat.v1.estimator.Estimator()
except NotImplementedError as error:
    print(error)
"""
    assert "TF2 path" in run_python(code)
