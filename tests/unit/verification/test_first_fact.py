"""The order of a verification's lines: facts about the data come before TensorFlow is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from reefline.data.demo import generate_demo_data

REPO_DIR = Path(__file__).resolve().parents[3]
_VERIFY_UNTIL_TENSORFLOW = """
import sys
from pathlib import Path
from reefline.config.run_request import RunRequest
from reefline.verification.verify import verify

class Enough(BaseException):
    pass

def report(line):
    print(line)
    if line == "starting TensorFlow":
        print([name for name in ("tensorflow", "tfx", "apache_beam", "pandas") if name in sys.modules])
        raise Enough

folder, config = map(Path, sys.argv[1:])
(folder / "work").mkdir()
try:
    verify(RunRequest(config, folder / "data", (), None), folder / "work", report)
except Enough:
    pass
"""


def test_the_data_is_described_before_tensorflow_is_imported(tmp_path: Path) -> None:
    generate_demo_data(tmp_path / "data", images=20)
    command = [sys.executable, "-c", _VERIFY_UNTIL_TENSORFLOW, str(tmp_path), str(REPO_DIR / "configs" / "demo.yaml")]
    run = subprocess.run(command, cwd=REPO_DIR, capture_output=True, text=True, check=True)
    checking, facts, starting, imported = run.stdout.splitlines()
    assert (checking, starting, imported) == ("checking the data", "starting TensorFlow", "[]")
    assert facts.startswith("20 images: ") and "sampled 20 images with " in facts
