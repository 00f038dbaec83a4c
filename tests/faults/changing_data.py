"""A data set that changes while it is ingested: the answer names the file, or what was read is what is remembered."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reefline.config.run_config import CONFIG_DIR
from reefline.data.demo import generate_demo_data
from reefline.lineage.store import read_run
from tests.faults.bench import EARLY, Bench, measure_phases
from tests.faults.checks import find_torn
from tests.faults.outcome import Round
from tests.faults.state import hash_files

CHANGING = "changing data"
_IMAGES = 60
_INGESTION = "VocExampleGen"


@dataclass(frozen=True)
class Change:
    """What somebody else does to the data meanwhile; `apply` gets the folder and the number of an image."""

    name: str
    apply: Callable[[Path, int], object]


def _image(data: Path, number: int) -> Path:
    return data / "JPEGImages" / f"demo_{number:05d}.jpg"


def _xml(data: Path, number: int) -> Path:
    return data / "Annotations" / f"demo_{number:05d}.xml"


def _truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(10_000))


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _move_box(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("<xmin>", "<xmin>1", 1), encoding="utf-8")


def _rename_class(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("<name>disc<", "<name>disk<"), encoding="utf-8")


def _add_pair(data: Path, number: int) -> None:
    shutil.copy(_image(data, number), _image(data, 90_000 + number))
    shutil.copy(_xml(data, number), _xml(data, 90_000 + number))


CHANGES = (
    Change("image vanishes", lambda data, n: _image(data, n).unlink()),
    Change("XML vanishes", lambda data, n: _xml(data, n).unlink()),
    Change("folder vanishes", lambda data, _: shutil.rmtree(data / "JPEGImages")),
    Change("image is cut", lambda data, n: _truncate(_image(data, n))),
    Change("XML is cut", lambda data, n: _truncate(_xml(data, n))),
    Change("image grows", lambda data, n: _grow(_image(data, n))),
    Change("image changes", lambda data, n: shutil.copy(_image(data, (n + 1) % _IMAGES), _image(data, n))),
    Change("box changes", lambda data, n: _move_box(_xml(data, n))),
    Change("class changes", lambda data, n: [_rename_class(_xml(data, one)) for one in range(_IMAGES)]),
    Change("pair appears", _add_pair),
    Change("image becomes a folder", lambda data, n: _replace_by_folder(_image(data, n))),
    Change("all is moved", lambda data, _: data.rename(data.with_name("moved data"))),
)


def change_data(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """Change the data at a random moment of ingestion, then put it back: the run after that must read the original."""
    early = Bench(bench.folder / "changing", EARLY)
    original, data = early.folder / "original", early.folder / "data"
    generate_demo_data(original, images=_IMAGES)
    shutil.copytree(original, data)
    early.clear()
    options = ("--config", CONFIG_DIR / "demo.yaml", "--data", data)
    phases = list(measure_phases(early.run(*options).lines))
    expected = _read_examples(early)
    for index in range(rounds):
        change = CHANGES[index % len(CHANGES)]
        early.clear()
        attempt = early.start(*options)
        attempt.read_until(seconds=generator.uniform(phases[0].seconds / 2, phases[0].seconds + phases[1].seconds))
        change.apply(data, generator.randrange(_IMAGES))
        attempt.end()
        problems = find_torn(early.workspace) if early.workspace.exists() else []
        if attempt.exit_code != 2 or "Traceback" in attempt.text:
            problems.append(f"exit code {attempt.exit_code}: {attempt.text[-500:]}")
        read = _INGESTION in attempt.components("done")
        errors = [line.text for line in attempt.lines if line.text.startswith("error: ")]
        answer = "read as one or the other" if read else "refused"
        if not read and not any(str(data) in one or "demo_" in one for one in errors):
            problems.append(f"no message names the file: {attempt.text[-500:]}")
        for leftover in (data, data.with_name("moved data")):
            shutil.rmtree(leftover, ignore_errors=True)
        shutil.copytree(original, data)
        early.run(*options)
        if _read_examples(early) != expected:
            problems.append("the original data were put back, and examples of other data are used")
        yield Round(CHANGING, answer, tuple(f"{change.name}: {problem}" for problem in problems))
    early.clear()


def _read_examples(bench: Bench) -> dict[str, str]:
    """Return what the newest run's examples hold, by file; {} for a run that ingested nothing."""
    run_id = (bench.workspace / "reports" / "latest").resolve().name
    run = read_run(bench.workspace / "metadata.db", run_id)
    artifact = run.outputs.get(f"{_INGESTION}.examples") if run is not None else None
    return hash_files(artifact.folder) if artifact is not None else {}
