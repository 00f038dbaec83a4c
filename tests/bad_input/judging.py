"""How a bad input is put in, and what comes back as an exit code and one text."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from reefline.config.overrides import parse_override
from reefline.config.run_config import load_config
from reefline.errors import UserError
from reefline.images.codec import decode_upright
from reefline.od_api.label_map_file import read_label_map
from reefline.settings import IngestionSettings, ValidationSettings
from tests.factories import make_data_set
from tests.factories_inspection import ANY_REJECTED, Ingested, ingest_here

REPO_DIR = Path(__file__).resolve().parents[2]
PROCESS_TIMEOUT_S = 120

Edit = Callable[[Path], object]
# Gets an empty folder, which is also the working directory, and answers.
Act = Callable[[Path], "Answer"]


@dataclass(frozen=True)
class Answer:
    """How a command or the code behind it answered."""

    code: int
    text: str


@dataclass(frozen=True)
class Case:
    """One bad input: `answer` is a regular expression that the text must match.

    `promise` is a sentence of docs/data.md that the case holds it to.
    """

    id: str
    code: int
    answer: str
    act: Act
    promise: str = ""


def answer_of(call: Callable[[], object]) -> Answer:
    """Return the answer of a function that raises UserError, or nothing at all."""
    try:
        return Answer(0, str(call()))
    except UserError as error:
        return Answer(error.exit_code, "\n".join(error.problems))


def data(
    *edits: Edit, images: int = 6, strict: bool = False, validation: dict[str, Any] | None = None, **settings: Any
):
    """Ingest a small flat data set of good images (image_000.jpg, …) after the edits; `strict` keeps the limit."""

    def act(folder: Path) -> Answer:
        (folder / "data").mkdir()
        make_data_set(folder / "data", images=images)
        for edit in edits:
            edit(folder / "data")
        if not strict:
            settings.setdefault("max_rejected_fraction", ANY_REJECTED)
        chosen = IngestionSettings(**settings)
        rules = ValidationSettings(**(validation or {}))
        return answer_of(lambda: _describe(ingest_here(Path("data"), chosen, rules)))

    return act


def _describe(ingested: Ingested) -> str:
    """Return a line per finding and per ingested image."""
    lines = [
        f"finding {f.file}{'' if f.object is None else f' object {f.object}'}: {f.rule} {f.action.value}: {f.message}"
        for f in ingested.findings
    ]
    for record in ingested.records:
        boxes = "; ".join(f"{o.label} {','.join(f'{v:g}' for v in o.box_xyxy_px)}" for o in record.objects)
        how = "copied" if record.passes_through else "transcoded"
        size = f"{record.width_px} x {record.height_px}"
        lines.append(f"ingested {record.image} with {record.xml} as {record.split}: {size}, {how}; {boxes}")
    return "\n".join([*lines, f"classes {', '.join(ingested.label_map.names)}"])


def accepted(image: str, rest: str = "") -> str:
    """Return the expression for an image that is ingested as `rest`, and named by no finding."""
    stem = image.rpartition(".")[0]
    return rf"(?ms)\A(?!.*^finding [^\n]*{stem}).*^ingested {image} [^\n]*{rest}"


def config(text: str, *overrides: str):
    """Load a config and overrides."""

    def act(folder: Path) -> Answer:
        (folder / "c.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
        return answer_of(lambda: load_config(Path("c.yaml"), [parse_override(text) for text in overrides]))

    return act


def label_map(content: str | bytes):
    """Read a label map."""

    def act(folder: Path) -> Answer:
        (folder / "labels.pbtxt").write_bytes(content if isinstance(content, bytes) else content.encode())
        return answer_of(lambda: read_label_map("labels.pbtxt"))

    return act


def image(content: bytes | Callable[[], bytes]):
    """Decode an image as `detect` does."""
    from reefline.images.codec import ImageProblemError

    def act(_: Path) -> Answer:
        try:
            return Answer(0, str(decode_upright(content() if callable(content) else content).size))
        except ImageProblemError as error:
            return Answer(2, f"{error.rule}: {error}")

    return act


def command(*arguments: str, before: Edit | None = None, app: Callable[[], Any] | None = None):
    """Run a `reefline` command in this process."""

    def act(folder: Path) -> Answer:
        from reefline.cli import app as reefline

        if before is not None:
            before(folder)
        result = CliRunner().invoke(app() if app else reefline, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.output)

    return act


def kubeflow(*arguments: str, before: Edit | None = None):
    """Run a kubeflow_runner.py command in this process."""

    def app() -> Any:
        from pipeline.kubeflow.command import app as kubeflow_app

        return kubeflow_app

    return command(*arguments, before=before, app=app)


def run(*arguments: str, before: Edit | None = None):
    """Run local_runner.py in this process; only for inputs that stop it before the pipeline."""

    def act(folder: Path) -> Answer:
        import local_runner

        if before is not None:
            before(folder)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = local_runner.main([*arguments, "--workspace", "ws"])
        return Answer(code, out.getvalue())

    return act


def process(*arguments: str, before: Edit | None = None, **environment: str):
    """Run Python with these arguments in a process; scripts are those of this repository."""

    def act(folder: Path) -> Answer:
        if before is not None:
            before(folder)
        scripts = (
            str(REPO_DIR / name) if name in ("local_runner.py", "kubeflow_runner.py") else name for name in arguments
        )
        ended = subprocess.run(
            [sys.executable, *scripts],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPO_DIR), **environment},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROCESS_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
        return Answer(ended.returncode, ended.stdout + ended.stderr)

    return act
