"""`--reload`: a parent that starts its child again. Real processes, real files."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.streams.memory import MemoryObjectSendStream
from attrs import define

from tocsin.cli._reloading import AwaitChange, Next, Over, Reloader, StartAgain, next_step


@pytest.mark.parametrize(
    ("returncode", "has_changed", "is_ending", "step"),
    [
        (0, False, False, Over(0)),
        (78, False, False, AwaitChange(78)),
        (-9, False, False, AwaitChange(137)),
        (0, True, False, StartAgain()),
        (75, True, False, StartAgain()),
        (0, False, True, Over(0)),
        (-2, True, True, Over(130)),
    ],
)
def test_what_follows_the_end_of_a_child(returncode: int, has_changed: bool, is_ending: bool, step: Next) -> None:
    assert next_step(returncode, has_changed=has_changed, is_ending=is_ending) == step


# ── real processes ──

# Writes a line at its start, and another one for each signal; ends with 7 at SIGTERM and SIGINT. A stubborn one does so
# only when it was started again.
CHILD = """
import os, signal, sys, time
path, ends = sys.argv[1:]
is_stubborn = ends == "stubborn" and not os.path.exists(path)
told = open(path, "a", buffering=1)
def hear(number, _frame):
    told.write(signal.Signals(number).name + "\\n")
    if number != signal.SIGHUP and not is_stubborn:
        raise SystemExit(7)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, hear)
told.write("started\\n")
if ends.isdigit():
    sys.exit(int(ends))
while True:
    time.sleep(0.01)  # until it is ended
"""


@define
class Stage:
    told: Path
    folder: Path
    send: MemoryObjectSendStream[signal.Signals]
    code: int | None = None

    async def hears(self, word: str, times: int = 1) -> None:
        """Wait until the children have told *word* so many times."""
        with anyio.fail_after(60):
            while not self.told.exists() or self.told.read_text().split().count(word) < times:  # noqa: ASYNC110  # by a file
                await anyio.sleep(0.02)  # another process tells it, by a file

    async def change_until(self, times: int) -> None:
        """Change a file until a child has started so many times: nobody says when the watching has begun."""
        with anyio.fail_after(60):
            while self.told.read_text().split().count("started") < times:
                (self.folder / "module.py").write_text(str(anyio.current_time()))
                await anyio.sleep(0.5)


@asynccontextmanager
async def reloading(folder: Path, ends: str, *, patience: float = 60.0) -> AsyncGenerator[Stage]:
    sender, signals = anyio.create_memory_object_stream[signal.Signals](10)
    watched = folder / "watched"
    watched.mkdir()
    stage = Stage(folder / "told.txt", watched, sender)
    reloader = Reloader([sys.executable, "-c", CHILD, str(stage.told), ends], [watched], patience=patience)

    async def run() -> None:
        stage.code = await reloader.run(signals)

    with sender, signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            yield stage


@pytest.mark.real_time
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_child_and_parent_with_the_code_of_the_child(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with reloading(tmp_path, "at a signal") as stage:
        await stage.hears("started")
        await stage.send.send(number)
    assert stage.told.read_text().split() == ["started", number.name]
    assert stage.code == 7


@pytest.mark.real_time
@pytest.mark.slow
async def test_sighup_is_handed_on_and_ends_nothing(tmp_path: Path) -> None:
    async with reloading(tmp_path, "at a signal") as stage:
        await stage.hears("started")
        await stage.send.send(signal.SIGHUP)
        await stage.hears("SIGHUP")
        await stage.send.send(signal.SIGTERM)
    assert stage.told.read_text().split() == ["started", "SIGHUP", "SIGTERM"]


@pytest.mark.real_time
@pytest.mark.slow
async def test_a_changed_file_starts_the_child_again_after_it_has_ended_in_order(tmp_path: Path) -> None:
    async with reloading(tmp_path, "at a signal") as stage:
        await stage.hears("started")
        await stage.change_until(2)
        await stage.send.send(signal.SIGTERM)
    assert stage.told.read_text().split()[:3] == ["started", "SIGTERM", "started"]
    assert stage.code == 7


@pytest.mark.real_time
@pytest.mark.slow
async def test_a_child_that_does_not_end_is_killed_when_the_patience_is_over(tmp_path: Path) -> None:
    async with reloading(tmp_path, "stubborn", patience=0.2) as stage:
        await stage.hears("started")
        await stage.change_until(2)
        await stage.send.send(signal.SIGTERM)
    assert stage.told.read_text().split()[:3] == ["started", "SIGTERM", "started"]
    assert stage.code == 7


@pytest.mark.real_time
@pytest.mark.slow
async def test_a_signal_that_comes_before_the_child_is_there_is_not_lost(tmp_path: Path) -> None:
    async with reloading(tmp_path, "at a signal") as stage:
        await stage.send.send(signal.SIGINT)
    assert stage.code in (128 + signal.SIGTERM, 128 + signal.SIGINT, 7)


@pytest.mark.real_time
@pytest.mark.slow
async def test_a_child_that_fails_by_itself_is_started_again_when_a_file_changes(tmp_path: Path) -> None:
    async with reloading(tmp_path, "78") as stage:
        await stage.hears("started")
        await stage.change_until(2)
        await stage.send.send(signal.SIGHUP)  # there is nobody to hand it on to
        await stage.send.send(signal.SIGINT)
    assert stage.code == 78


@pytest.mark.real_time
@pytest.mark.slow
async def test_a_child_that_ends_in_order_by_itself_ends_the_parent(tmp_path: Path) -> None:
    async with reloading(tmp_path, "0") as stage:
        pass
    assert stage.code == 0
