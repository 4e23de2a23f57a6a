"""Processes with an outbox that are killed between the two commits, or anywhere."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.durable.processes import started

pytestmark = [pytest.mark.real_time, pytest.mark.slow]
backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Life:
    """All lives of one daemon."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.backend = backend
        self.folder = folder
        self.handled: list[int] = []
        self.kills = 0
        self.next = 0

    def live(self, count: int, *, where: str = "nowhere", kill_after: int | None = None) -> int:
        """Run one process that commits *count* orders; kill it after so many lines. Give its exit code."""
        with started("outbox_daemon", self.backend, self.folder, self.next, count, where) as process:
            assert process.stdout is not None
            for lines, line in enumerate(process.stdout, 1):
                match line.decode().split():
                    case ["=", number]:
                        self.handled.append(int(number))
                    case _:
                        pass
                if lines == kill_after:
                    process.send_signal(signal.SIGKILL)
        self.next += count
        self.kills += process.returncode == -signal.SIGKILL
        return process.returncode

    def numbers(self, file: str, query: str) -> set[int]:
        with closing(sqlite3.connect(self.folder / file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return {
                value if type(value) is int else json.loads(value)["number"] for (value,) in connection.execute(query)
            }

    def check(self) -> None:
        """After a last life in peace: handled is what was committed, and only what was in hand at a kill twice."""
        assert self.numbers("app.db", "SELECT number FROM orders") == set(self.handled)
        assert self.numbers("app.db", "SELECT body FROM tocsin_outbox") == set()
        assert self.numbers("bus.db", "SELECT body FROM events") == set()
        assert len(self.handled) - len(set(self.handled)) <= self.kills


@pytest.mark.parametrize("where", ["committed", "stored", "deleted"])
@backends
def test_killed_between_two_commits_nothing_is_lost_and_nothing_handled_twice(
    backend: str, where: str, tmp_path: Path
) -> None:
    life = Life(backend, tmp_path)
    assert [life.live(100, where=where) for _ in range(3)] == [-signal.SIGKILL] * 3
    assert life.live(20) == 0
    life.check()
    assert life.numbers("app.db", "SELECT number FROM orders")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [10, pytest.param(500, marks=pytest.mark.soak)])
@backends
def test_killed_anywhere_what_was_committed_is_handled_once(backend: str, kills: int, tmp_path: Path) -> None:
    random, life = Random(kills), Life(backend, tmp_path)
    for _ in range(kills):
        life.live(200, kill_after=random.randint(1, 180))
    assert life.live(0) == 0
    life.check()
