"""Every bad input of the table is answered as the table says, and quickly."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from tests.bad_input.cases import CASES, PROCESS_CASES
from tests.bad_input.judging import REPO_DIR, Case

SLOWEST_S = 5
# The first of these cases also pays for importing TFX, or for making a model with TensorFlow.
PREPARING_S = 30
PREPARED = ("kubeflow-", "detect-")
# Root may read every folder.
NOT_FOR_ROOT = {"folder-unreadable"}


def _parameters(cases: tuple[Case, ...]) -> list:
    return [pytest.param(case, id=case.id) for case in cases]


@pytest.mark.parametrize("case", _parameters(CASES))
def test_a_bad_input_is_answered(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if case.id in NOT_FOR_ROOT and os.geteuid() == 0:
        pytest.skip("root may list every folder")
    monkeypatch.chdir(tmp_path)
    started_s = time.process_time()
    answer = case.act(tmp_path)
    took_s = time.process_time() - started_s
    assert answer.code == case.code, answer.text
    assert re.search(case.answer, answer.text), answer.text
    assert "Traceback" not in answer.text and "\x1b" not in answer.text
    assert took_s < SLOWEST_S + (PREPARING_S if case.id.startswith(PREPARED) else 0)


@pytest.mark.parametrize("case", _parameters(PROCESS_CASES))
def test_a_command_answers(case: Case, tmp_path: Path) -> None:
    answer = case.act(tmp_path)
    assert answer.code == case.code, answer.text
    assert re.search(case.answer, answer.text), answer.text
    assert "Traceback" not in answer.text and "\x1b" not in answer.text


def test_the_table_is_complete() -> None:
    ids = [case.id for case in (*CASES, *PROCESS_CASES)]
    assert len(ids) == len(set(ids)) >= 300
    assert len(PROCESS_CASES) >= 20


def test_promises_are_those_of_the_docs() -> None:
    text = " ".join((REPO_DIR / "docs" / "data.md").read_text(encoding="utf-8").split())
    assert not [case.promise for case in CASES if case.promise not in text]
