"""Which config is verified where none is named; recommending and verifying themselves are other tests'."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.config.overrides import Override
from reefline.config.run_config import load_config
from reefline.config.run_request import RunRequest
from reefline.errors import CheckpointError
from reefline.recommendation import verify as verify_module
from reefline.recommendation.memory import FOLDER, locate_recommendation
from reefline.recommendation.records import Recommendation
from reefline.verification.records import VerificationReport
from tests.factories import make_data_set
from tests.factories_recommendation import make_recommendation


class _Asked:
    """Stands in for recommending and verifying, and keeps what they were asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: Recommendation | Exception) -> None:
        self._answer = answer
        self.recommended: list[tuple[int | None, list[str]]] = []
        self.verified: list[tuple[int, float | None]] = []
        monkeypatch.setattr(verify_module, "recommend", self._recommend)
        monkeypatch.setattr(verify_module, "verify", self._verify)

    def _recommend(self, _data: Path, minutes: int | None, overrides: list[Override], *_rest: object) -> Recommendation:
        self.recommended.append((minutes, [override.name for override in overrides]))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def _verify(self, request: RunRequest, _work_dir: Path, _say: object) -> VerificationReport:
        assert request.config_file is not None and not request.overrides
        config = load_config(request.config_file)
        self.verified.append((config.trainer.num_steps, config.gate.min_map))
        return VerificationReport(config=str(request.config_file), model_name=config.model_name)


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_a_config_is_recommended_and_verified(tmp_path: Path, work_dir: Path, monkeypatch) -> None:
    asked = _Asked(monkeypatch, make_recommendation())
    overrides = ("gate.min_map=0.3", "trainer.seed=1")
    request = RunRequest(None, make_data_set(tmp_path / "pets"), overrides, minutes=5)
    told: list[str] = []
    report = verify_module.verify_recommended(request, None, work_dir, told.append)
    assert asked.recommended == [(5, ["trainer.seed"])]
    assert asked.verified == [(3470, 0.3)]
    assert (report.config, report.model_name) == ("recommended for 20 minutes", "detector")
    assert "reason: its published weights already know COCO" in told


def test_what_a_workspace_remembers_is_verified(tmp_path: Path, work_dir: Path, monkeypatch) -> None:
    asked = _Asked(monkeypatch, AssertionError("recommended again"))
    data, folder = make_data_set(tmp_path / "pets"), tmp_path / "ws" / FOLDER
    folder.mkdir(parents=True)
    make_recommendation().write(locate_recommendation(folder, data, None, (), tmp_path / "hashes.db"))
    before = sorted((tmp_path / "ws").rglob("*"))
    verify_module.verify_recommended(RunRequest(None, data), tmp_path / "ws", work_dir, lambda _line: None)
    assert asked.verified == [(3470, 0.1)]
    assert sorted((tmp_path / "ws").rglob("*")) == before


@pytest.mark.parametrize(
    ("overrides", "answer", "message"),
    [
        pytest.param(("oops",), make_recommendation(), "--set oops: expected KEY=VALUE", id="malformed-set"),
        pytest.param((), CheckpointError("put the file there"), "put the file there", id="missing-weights"),
    ],
)
def test_what_prevents_a_recommendation_is_an_error_of_the_report(
    tmp_path: Path, work_dir: Path, monkeypatch, overrides: tuple[str, ...], answer: object, message: str
) -> None:
    asked = _Asked(monkeypatch, answer)
    request = RunRequest(None, make_data_set(tmp_path / "pets"), overrides)
    report = verify_module.verify_recommended(request, tmp_path / "no workspace", work_dir, lambda _line: None)
    assert [error.partition(" with")[0] for error in report.errors] == [message.partition(" with")[0]]
    assert report.exit_code == 2 and asked.verified == []
