"""Processes that are killed in the middle of everything, and what the next one finds."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from pathlib import Path
from random import Random

import pytest

from tests.durable.processes import started

pytestmark = [pytest.mark.real_time, pytest.mark.slow]
backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Life:
    """All lives of one daemon: what it has said, and what its file says."""

    def __init__(self, backend: str, path: Path) -> None:
        self.backend = backend
        self.path = path
        self.accepted: set[int] = set()
        self.handled: list[int] = []
        self.settled: set[int] = set()  # of which an earlier life has left nothing
        self.again: list[int] = []  # handled although settled
        self.next = 0

    def live(self, count: int, *, kill_after: int | None = None, poison: int = -1, opcodes: int = 0) -> int:
        """Run one process that publishes *count* orders; kill it after so many lines. Give its exit code."""
        arguments = (self.backend, self.path, self.next, count, poison, opcodes)
        with started("daemon", *arguments, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            for lines, line in enumerate(process.stdout, 1):
                self._note(line.decode())
                if lines == kill_after:
                    process.send_signal(signal.SIGKILL)
        self.next += count
        self.settled = self.accepted - self.pending() - self.dead()
        return process.returncode

    def _note(self, line: str) -> None:
        match line.split():
            case ["+", number]:
                self.accepted.add(int(number))
            case ["=", number]:
                self.handled.append(int(number))
                if int(number) in self.settled:
                    self.again.append(int(number))
            case _:
                pass

    def pending(self) -> set[int]:
        query = "SELECT body FROM events JOIN deliveries ON deliveries.event = events.id"
        return {number for (number,) in self._numbers(query)}

    def dead(self) -> set[int]:
        return {number for (number,) in self._numbers("SELECT body FROM letters")}

    def _numbers(self, query: str) -> list[tuple[int]]:
        connection = sqlite3.connect(self.path)
        try:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return [(json.loads(body)["number"],) for (body,) in connection.execute(query)]
        except sqlite3.OperationalError:  # killed before there was any table
            return []
        finally:
            connection.close()

    def check(self) -> None:
        """After a last life in peace: nothing that was accepted is missing, nothing was handled once more."""
        lost = self.accepted - set(self.handled) - self.dead() - self.pending()
        assert (lost, self.again) == (set(), [])
        assert self.pending() == set()
        assert self.dead() == {number for number in self.accepted | self.dead() if number % 100 == 13}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [10, pytest.param(500, marks=pytest.mark.soak)])
@backends
def test_fault_I9_whenever_a_process_is_killed_what_it_has_accepted_is_handled_once_more_at_most(
    backend: str, kills: int, tmp_path: Path
) -> None:
    random, life = Random(kills), Life(backend, tmp_path / "bus.db")
    for _ in range(kills):
        life.live(100, kill_after=random.randint(1, 220))
    assert life.live(0) == 0
    life.check()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [10, pytest.param(500, marks=pytest.mark.soak)])
@backends
def test_fault_I10_wherever_in_a_statement_a_process_is_killed_nothing_is_lost(
    backend: str, kills: int, tmp_path: Path
) -> None:
    random, life = Random(kills), Life(backend, tmp_path / "bus.db")
    for _ in range(kills):
        assert life.live(100, opcodes=random.randint(1, 6000)) in (0, -signal.SIGKILL)
    assert life.live(0) == 0
    life.check()


@backends
def test_fault_I16_of_many_messages_exactly_the_one_that_kills_the_process_is_buried(
    backend: str, tmp_path: Path
) -> None:
    life, poison = Life(backend, tmp_path / "bus.db"), 1490
    codes = [life.live(1500, poison=poison)]
    while codes[-1]:
        codes.append(life.live(0, poison=poison))
    assert codes == [-signal.SIGKILL] * 3 + [0]
    assert {number for number in life.dead() if number % 100 != 13} == {poison}
    assert (life.accepted - set(life.handled) - life.dead(), life.pending(), life.again) == (set(), set(), [])
