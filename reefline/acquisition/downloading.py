"""Downloads images from many hosts at once: this thread decides and writes, others only wait for servers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from reefline.acquisition.fetching import Busy, Failed, Fetched, Outcome, Redirected
from reefline.acquisition.host_schedule import HostSchedule, Job
from reefline.acquisition.image_content import NotAnImageError, check_image
from reefline.acquisition.image_folder import ImageFolder
from reefline.acquisition.query import ImageHit


class Fetches(Protocol):
    """What requests one URL."""

    def fetch(self, url: str) -> Outcome:
        """Request a URL once."""
        ...

    def find_delay_s(self, host: str) -> float:
        """Return the pause that a host asks for."""
        ...


@dataclass(frozen=True)
class Pace:
    """How many requests at once, in all and to one host, and how patient to be with a busy host.

    `max_wait_s` limits how long a server may ask to wait: beyond it, its images are left to a later run.
    """

    workers: int = 8
    per_host: int = 2
    delay_s: float = 0.5
    max_redirects: int = 5
    max_failures: int = 3
    first_pause_s: float = 1.0
    max_wait_s: float = 120.0

    @property
    def window(self) -> int:
        """How many images are looked up ahead, so that a slow host does not stop the others."""
        return 4 * self.workers


class Downloader:
    """Downloads to one folder after another; use it as a context manager.

    Its threads are daemons that write nothing: on Ctrl-C the process ends without waiting for servers.
    """

    def __init__(self, fetcher: Fetches, pace: Pace = Pace()) -> None:
        self._fetcher = fetcher
        self._pace = pace
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[Job, Outcome | Exception]] = queue.SimpleQueue()

    def __enter__(self) -> Downloader:
        for _ in range(self._pace.workers):
            threading.Thread(target=self._work, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for _ in range(self._pace.workers):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._results.put((job, self._fetcher.fetch(job.url)))
            except Exception as error:  # raised again in the thread that waits for the result
                self._results.put((job, error))

    def download(
        self,
        folder: ImageFolder,
        hits: Iterator[ImageHit],
        wanted: int | None,
        report: Callable[[ImageFolder], None] = lambda _: None,
    ) -> None:
        """Download images until the folder has `wanted`, or there are no more hits; None wants all.

        `report` is called after each image.

        Raises:
            DownloadError: an image cannot be written.
        """
        run = _Run(folder, self._pace)
        new_hits: Iterator[ImageHit] | None = _skip_known(folder, hits)
        while True:
            may_look = new_hits is not None and run.size < _count_room(folder, wanted, self._pace)
            if may_look and new_hits is not None:
                hit = next(new_hits, None)
                if hit is None:
                    new_hits, may_look = None, False
                else:
                    run.add(Job(hit, hit.url))
            for job in run.start():
                self._jobs.put(job)
            if not run.size and not may_look:
                return
            settled = self._settle_next(run, timeout_s=0.0 if may_look else run.find_wait_s())
            if settled:
                report(folder)

    def _settle_next(self, run: _Run, timeout_s: float | None) -> bool:
        """Handle the next result, if one arrives in time; return whether one did."""
        try:
            job, outcome = self._results.get(timeout=timeout_s)
        except queue.Empty:
            return False
        if isinstance(outcome, Exception):
            raise outcome
        run.settle(job, outcome, self._fetcher.find_delay_s(job.host))
        return True


def _count_room(folder: ImageFolder, wanted: int | None, pace: Pace) -> int:
    """Return how many images may be under way: never more than could be kept."""
    return pace.window if wanted is None else min(pace.window, wanted - folder.count)


def _skip_known(folder: ImageFolder, hits: Iterator[ImageHit]) -> Iterator[ImageHit]:
    seen: set[str] = set()
    for hit in hits:
        if hit.url not in seen and not folder.knows(hit.url):
            seen.add(hit.url)
            yield hit


class _Run:
    """The state of one download: what waits, what is under way, which hosts refuse."""

    def __init__(self, folder: ImageFolder, pace: Pace) -> None:
        self._folder = folder
        self._pace = pace
        self.schedule = HostSchedule(per_host=pace.per_host, delay_s=pace.delay_s)
        self._under_way = 0
        # Hosts that ask to wait for longer than a run should.
        self._closed: dict[str, str] = {}

    @property
    def size(self) -> int:
        """The number of images that wait or are under way."""
        return len(self.schedule) + self._under_way

    def add(self, job: Job) -> None:
        """Let a job wait for its host, unless the host refuses."""
        if job.host in self._closed:
            self._folder.fail(job.hit, self._closed[job.host], is_permanent=False)
        else:
            self.schedule.add(job)

    def start(self) -> Iterator[Job]:
        """Return the jobs to start now."""
        while self._under_way < self._pace.workers and (job := self.schedule.take(time.monotonic())):
            self._under_way += 1
            yield job

    def find_wait_s(self) -> float | None:
        """Return how long to wait for a result before another job may start; None: until one arrives."""
        if self._under_way >= self._pace.workers:
            return None
        next_s = self.schedule.find_next_start_s()
        return None if next_s is None else max(0.0, next_s - time.monotonic())

    def settle(self, job: Job, outcome: Outcome, delay_s: float) -> None:
        """Keep an image, request it again, or note why it failed."""
        self._under_way -= 1
        self.schedule.finish(job.host, delay_s=delay_s, now_s=time.monotonic())
        if isinstance(outcome, Fetched):
            self._keep(job, outcome)
        elif isinstance(outcome, Redirected):
            if job.redirects < self._pace.max_redirects:
                self.add(job.redirected(outcome.url))
            else:
                self._folder.fail(job.hit, f"more than {self._pace.max_redirects} redirects", is_permanent=True)
        elif isinstance(outcome, Busy):
            self._retry(job, outcome)
        elif isinstance(outcome, Failed):
            self._folder.fail(job.hit, outcome.reason, is_permanent=outcome.is_permanent)

    def _keep(self, job: Job, outcome: Fetched) -> None:
        try:
            image = check_image(outcome.content)
        except NotAnImageError as error:
            self._folder.fail(job.hit, str(error), is_permanent=error.is_permanent)
        else:
            self._folder.save(job.hit, image)

    def _retry(self, job: Job, outcome: Busy) -> None:
        pause_s = self._pace.first_pause_s * 2**job.failures
        if outcome.retry_after_s is not None:
            pause_s = outcome.retry_after_s
        if pause_s > self._pace.max_wait_s:
            self._closed[job.host] = f"{outcome.reason} and asks to wait {pause_s:.0f} s"
            for refused in (job, *self.schedule.drop(job.host)):
                self.add(refused)
        elif job.failures + 1 >= self._pace.max_failures:
            self._folder.fail(job.hit, outcome.reason, is_permanent=False)
        else:
            self.schedule.hold(job.host, time.monotonic() + pause_s)
            self.add(job.failed())
