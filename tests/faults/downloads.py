"""Weights to start from, from a server that cuts, is slow, or lies; and runs that are killed meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bench import EARLY, Bench
from tests.faults.outcome import Round
from tests.web_server import Site, serve

DOWNLOADS = "downloads"
_BYTES = 1_500_000
_SLOW_S = 2.0
_KINDS = ("cut", "slow, killed", "cut", "slow, killed", "another file")


def download(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """What arrives is the file and nothing else, and what had arrived is asked for once."""
    early = Bench(bench.folder / "downloads", EARLY)
    for index in range(rounds):
        early.clear()
        kind, content = _KINDS[index % len(_KINDS)], generator.randbytes(_BYTES)
        sha256 = hashlib.sha256(content).hexdigest()
        site = Site(content, etag=f'"{sha256[:8]}"')
        if kind == "cut":
            site.cuts = [generator.randrange(1, _BYTES // 4) for _ in range(3)]
        elif kind == "slow, killed":
            site.bytes_per_s = _BYTES / _SLOW_S
        else:
            site.content = content[:-1] + bytes([content[-1] ^ 1])
        with _serve_apart(site) as url:
            settings = {"trainer.start": {"source": url, "sha256": sha256}}
            attempt = early.start(settings=settings)
            if kind == "slow, killed":
                attempt.read_until(seconds=generator.uniform(0.3, 0.3 + _SLOW_S))
                attempt.send(signal.SIGKILL)
                attempt.end()
                attempt = early.start(settings=settings)
            attempt.end()
        yield _judge(early.folder / "cache", kind, sha256, attempt.text, attempt.exit_code)
    shutil.rmtree(early.folder)


def _judge(cache: Path, kind: str, sha256: str, text: str, exit_code: int | None) -> Round:
    files = [path for path in cache.rglob("starts/*") if path.is_file()]
    found = {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    problems = [] if exit_code == 2 and "Traceback" not in text else [f"exit code {exit_code}: {text[-500:]}"]
    if kind == "another file":
        answer = "another file: refused"
        if found or f"expected {sha256}" not in text:
            problems.append(f"{len(found)} files kept: {text[-500:]}")
    else:
        answer = f"{kind}: complete"
        if found != {sha256}:
            problems.append(f"kept {sorted(path.name for path in files)}: {text[-500:]}")
        if "AnnotationValidator: failed" not in text:
            problems.append(f"the run did not reach its end: {text[-500:]}")
    return Round(DOWNLOADS, answer, tuple(f"{kind}: {problem}" for problem in problems))


@contextlib.contextmanager
def _serve_apart(site: Site) -> Iterator[str]:
    """Serve a site in another process, so that this one stays without threads and can be forked; yield its URL."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve_until_closed, args=(site, theirs))
    process.start()
    try:
        yield str(ours.recv())
    finally:
        process.terminate()
        process.join()


def _serve_until_closed(site: Site, pipe: object) -> None:
    with serve(site) as served:
        pipe.send(served.url)  # type: ignore[attr-defined]
        signal.pause()
