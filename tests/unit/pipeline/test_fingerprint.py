"""pipeline/fingerprint.py on a small repository made for the test, and on this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.fingerprint import code_fingerprint, reachable_modules

FILES = {
    "components/__init__.py": "",
    "components/trainer/__init__.py": "",
    "components/trainer/component.py": (
        "import numpy\n\ndef run():\n    from reefline.boxes import Box\n    from reefline import late\n"
    ),
    "components/driver.py": "from reefline.resolved import y\n",
    "components/pusher/__init__.py": "",
    "components/pusher/component.py": "from components.pusher.driver import D\nfrom reefline.other import x\n",
    "components/pusher/driver.py": "from components.driver import Base\nimport reefline.resolved\n",
    "reefline/__init__.py": "",
    "reefline/boxes.py": "from . import errors\n",
    "reefline/errors.py": "",
    "reefline/late.py": "import reefline.late\n",
    "reefline/other.py": "",
    "reefline/resolved.py": "",
}


@pytest.fixture
def repo_dir(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_imports_are_followed_into_functions_packages_and_relative_ones(repo_dir: Path) -> None:
    assert reachable_modules("components.trainer", repo_dir) == (
        "components",
        "components.trainer",
        "components.trainer.component",
        "reefline",
        "reefline.boxes",
        "reefline.errors",
        "reefline.late",
    )


def test_drivers_and_their_base_do_not_count(repo_dir: Path) -> None:
    assert reachable_modules("components.pusher", repo_dir) == (
        "components",
        "components.pusher",
        "components.pusher.component",
        "reefline",
        "reefline.other",
    )


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        pytest.param("components/trainer/component.py", True, id="own"),
        pytest.param("reefline/errors.py", True, id="imported-by-what-it-imports"),
        pytest.param("reefline/__init__.py", True, id="package-of-what-it-imports"),
        pytest.param("reefline/other.py", False, id="another-components"),
        pytest.param("components/pusher/component.py", False, id="another-component"),
    ],
)
def test_only_what_is_reached_counts(repo_dir: Path, changed: str, differs: bool) -> None:
    before = code_fingerprint("components.trainer", repo_dir=repo_dir)
    with (repo_dir / changed).open("a") as file:
        file.write("\nCHANGED = 1\n")
    assert (code_fingerprint("components.trainer", repo_dir=repo_dir) != before) == differs


def test_place_and_time_do_not_count(repo_dir: Path, tmp_path: Path) -> None:
    before = code_fingerprint("components.trainer", repo_dir=repo_dir)
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    repo_dir.rename(moved)
    (moved / "reefline/boxes.py").touch()
    assert code_fingerprint("components.trainer", repo_dir=moved) == before


def test_files_count_by_content(repo_dir: Path, tmp_path: Path) -> None:
    template = tmp_path / "a.config"
    template.write_text("x: 1")
    before = code_fingerprint("components.trainer", files=[template], repo_dir=repo_dir)
    assert before != code_fingerprint("components.trainer", repo_dir=repo_dir)
    template.write_text("x: 2")
    assert code_fingerprint("components.trainer", files=[template], repo_dir=repo_dir) != before


def test_tools_count(repo_dir: Path) -> None:
    known = {
        code_fingerprint("components.trainer", tools=tools, repo_dir=repo_dir) for tools in ([], [""], ["a"], ["b"])
    }
    assert len(known) == 4


def test_library_versions_count(repo_dir: Path, monkeypatch) -> None:
    before = code_fingerprint("components.trainer", repo_dir=repo_dir)
    monkeypatch.setattr("pipeline.fingerprint.metadata.version", lambda name: f"{name} 99")
    assert code_fingerprint("components.trainer", repo_dir=repo_dir) != before


def test_no_such_module(repo_dir: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"components\.nothing: not a module of this repository"):
        code_fingerprint("components.nothing", repo_dir=repo_dir)


def test_a_gate_does_not_reach_the_training_code() -> None:
    assert "reefline.training.loop" in reachable_modules("components.trainer")
    assert "reefline.evaluation.gate" not in reachable_modules("components.trainer")


def test_a_push_copies_files_and_reaches_nothing_that_made_them() -> None:
    reached = reachable_modules("components.pusher")
    rooms = {name.split(".")[1] for name in reached if name.startswith("reefline.")}
    assert not rooms & {"training", "od_api", "export", "data", "inference", "images", "settings"}
    assert not {"reefline.evaluation.coco_metrics", "reefline.evaluation.gate", "reefline.tflite.reader"} & {*reached}
    assert "components.driver" not in reached
    assert len(reached) <= 25
