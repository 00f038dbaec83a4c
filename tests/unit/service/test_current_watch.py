"""Following CURRENT, with a clock and models of the test."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reefline.errors import BundleError
from reefline.service import current_watch
from reefline.service.current_watch import CurrentWatch
from reefline.service.serving_model import ModelRequest
from reefline.storage.location import Location


@dataclass
class World:
    """A service on version 1, what CURRENT names, and what was loaded and announced."""

    current: int | Exception = 1
    now_s: float = 0.0
    is_damaged: bool = True
    attempts_s: list[float] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    serving: Any = field(default_factory=lambda: SimpleNamespace(version=1))

    def read_serving_version(self, _: Location) -> int:
        if isinstance(self.current, Exception):
            raise self.current
        return self.current

    def load_serving_model(self, _: ModelRequest, version: int) -> Any:
        self.attempts_s.append(self.now_s)
        if self.is_damaged:
            raise BundleError(f"{version} is damaged")
        return SimpleNamespace(version=version)

    def swap(self, serving: Any) -> None:
        self.serving = serving

    def swapped(self, serving: Any) -> None:
        self.heard.append(f"swapped {serving.version}")

    def kept(self, problem: str) -> None:
        self.heard.append(f"kept: {problem}")

    def recovered(self, serving: Any) -> None:
        self.heard.append(f"recovered {serving.version}")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    for name in ("read_serving_version", "load_serving_model"):
        monkeypatch.setattr(current_watch, name, getattr(made, name))
    return made


@pytest.fixture
def watch(world: World, tmp_path: Path) -> CurrentWatch:
    return CurrentWatch(ModelRequest(Location.parse(tmp_path)), world, world, lambda: world.now_s)


def test_a_version_that_fails_is_tried_ever_less_often(world: World, watch: CurrentWatch) -> None:
    world.current = 2
    for second in range(2500):
        world.now_s = second
        watch.look()
    assert world.attempts_s == [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430]
    assert world.heard == ["kept: 2 is damaged"]


def test_another_version_is_tried_at_once(world: World, watch: CurrentWatch) -> None:
    for version in (2, 3):
        world.current = version
        watch.look()
        watch.look()
    assert len(world.attempts_s) == 2
    world.current, world.is_damaged = 4, False
    watch.look()
    assert world.heard == ["kept: 2 is damaged", "kept: 3 is damaged", "swapped 4"]
    assert watch.problem is None


def test_the_delay_starts_anew_after_the_serving_version_was_current(world: World, watch: CurrentWatch) -> None:
    for world.current in (2, 1, 2):
        watch.look()
    assert len(world.attempts_s) == 2


def test_a_current_that_names_the_serving_version_again_is_announced_once(world: World, watch: CurrentWatch) -> None:
    watch.look()
    assert world.heard == []
    for world.current in (2, 1, 1):
        watch.look()
    assert world.heard == ["kept: 2 is damaged", "recovered 1"]
    assert watch.problem is None


def test_a_current_that_can_be_read_again_is_announced(world: World, watch: CurrentWatch) -> None:
    for world.current in (OSError("no access"), 1):
        watch.look()
    assert world.heard == ["kept: no access", "recovered 1"]


def test_a_failed_version_is_the_problem_again_after_an_unreadable_current(world: World, watch: CurrentWatch) -> None:
    for world.current in (2, OSError("no access"), 2):
        watch.look()
    assert watch.problem == "2 is damaged"
    assert len(world.attempts_s) == 1
