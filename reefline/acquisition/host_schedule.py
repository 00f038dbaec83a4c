"""When each host may be asked again: few requests at once, a pause between them, longer if it asks for that."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from reefline.acquisition.query import ImageHit


@dataclass(frozen=True)
class Job:
    """An image to download from `url`, which is the hit's, or where it was redirected to."""

    hit: ImageHit
    url: str
    redirects: int = 0
    failures: int = 0

    @property
    def host(self) -> str:
        """Host and port, as the rules of robots.txt know it; "" if the URL is not valid."""
        import httpx

        try:
            return httpx.URL(self.url).netloc.decode("ascii")
        except (httpx.InvalidURL, UnicodeError):
            return ""

    def redirected(self, url: str) -> Job:
        """Return the job after a redirect."""
        return replace(self, url=url, redirects=self.redirects + 1)

    def failed(self) -> Job:
        """Return the job after one more temporary failure."""
        return replace(self, failures=self.failures + 1)


@dataclass
class _Host:
    jobs: deque[Job] = field(default_factory=deque)
    under_way: int = 0
    not_before_s: float = float("-inf")


class HostSchedule:
    """The jobs that wait, by host; times are those of any one clock, in seconds."""

    def __init__(self, *, per_host: int, delay_s: float) -> None:
        """Allow `per_host` requests at once to a host, with `delay_s` between their starts."""
        self._per_host = per_host
        self._delay_s = delay_s
        self._hosts: dict[str, _Host] = {}

    def __len__(self) -> int:
        return sum(len(host.jobs) for host in self._hosts.values())

    def add(self, job: Job) -> None:
        """Let a job wait for its host, after the others."""
        self._hosts.setdefault(job.host, _Host()).jobs.append(job)

    def take(self, now_s: float) -> Job | None:
        """Return a job that may start now; hosts take turns. None if all must wait."""
        for name, host in list(self._hosts.items()):
            if host.jobs and host.under_way < self._per_host and host.not_before_s <= now_s:
                host.under_way += 1
                host.not_before_s = now_s + self._delay_s
                self._hosts[name] = self._hosts.pop(name)
                return host.jobs.popleft()
        return None

    def finish(self, name: str, *, delay_s: float = 0.0, now_s: float) -> None:
        """Note that a request to a host ended, and the pause that the host's own rules ask for."""
        host = self._hosts[name]
        host.under_way -= 1
        if delay_s > self._delay_s:
            self.hold(name, now_s + delay_s)

    def hold(self, name: str, until_s: float) -> None:
        """Ask a host nothing until a time."""
        host = self._hosts[name]
        host.not_before_s = max(host.not_before_s, until_s)

    def drop(self, name: str) -> list[Job]:
        """Remove and return the jobs that wait for a host."""
        jobs = list(self._hosts[name].jobs)
        self._hosts[name].jobs.clear()
        return jobs

    def find_next_start_s(self) -> float | None:
        """Return when the next job may start, None if no waiting job starts before a request under way ends."""
        times = [h.not_before_s for h in self._hosts.values() if h.jobs and h.under_way < self._per_host]
        return min(times, default=None)
