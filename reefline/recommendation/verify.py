"""Verifies the config that is recommended for a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reefline.config.overrides import parse_override
from reefline.config.run_request import RunRequest
from reefline.data.source import provide_data
from reefline.errors import UserError
from reefline.findings import Severity
from reefline.recommendation.memory import FOLDER, locate_recommendation, recall, select_relevant
from reefline.recommendation.recommend import recommend
from reefline.recommendation.records import Recommendation
from reefline.recommendation.text import format_choice, format_config
from reefline.recommendation.wishes import SOURCE
from reefline.verification.records import Problem, VerificationReport
from reefline.verification.verify import verify


def verify_recommended(
    request: RunRequest, workspace: Path | None, work_dir: Path, say: Callable[[str], None]
) -> VerificationReport:
    """Verify the config that `local_runner.py --data DIR` would use.

    That is what `workspace` remembers, where it is given, else what is recommended now. Nothing is written there.
    `work_dir` is an empty folder; `say` prints one line of progress.
    """
    try:
        overrides = [parse_override(text) for text in request.overrides]
        data_dir = provide_data(request.data_dir, None, work_dir, say)
        found = None
        if workspace is not None:
            hash_memory = work_dir / "file_hashes.db"
            found = recall(locate_recommendation(workspace / FOLDER, data_dir, request.minutes, overrides, hash_memory))
        if found is None:
            (work_dir / "recommending").mkdir()
            relevant = select_relevant(overrides)
            found = recommend(data_dir, request.minutes, relevant, work_dir / "recommending", say)
        config_file = work_dir / "recommended.yaml"
        config_file.write_text(format_config(found, overrides), encoding="utf-8")
    except UserError as error:
        problems = tuple(Problem(Severity.ERROR, message) for message in error.problems)
        return VerificationReport(config=SOURCE, model_name="", problems=problems)
    for line in format_choice(found):
        say(line)
    report = verify(RunRequest(config_file=config_file, data_dir=data_dir), work_dir, say)
    return replace(report, config=_describe(found))


def _describe(found: Recommendation) -> str:
    return f"recommended for {found.minutes} {'minute' if found.minutes == 1 else 'minutes'}"
