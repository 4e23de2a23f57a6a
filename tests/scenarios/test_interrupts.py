"""An interrupt in the middle of a restart: the end is in order, nothing more is started, the exit code is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import anyio
import pytest

from tests.supervisors.scripted import Gate, Theatre, settle
from tocsin_supervisors import (
    Backoff,
    ChildCrashed,
    ChildStopped,
    Report,
    Strategy,
    SupervisorStopping,
)

ROOT = Path(__file__).parents[2]
SOON = Backoff(1.0, 1.0, jitter=0.0)

# ── in the step in which it is decided ──


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("kind", [ChildCrashed, ChildStopped])
async def test_N20_an_interrupt_in_the_step_of_a_restart_ends_all_in_order_and_starts_nobody(
    strategy: Strategy, kind: type[Report]
) -> None:
    theatre = Theatre("a", "b", "c", cleanup=0.1, spec={"backoff": SOON}, strategy=strategy)
    interrupt = KeyboardInterrupt("in the observer")
    observe = theatre.record.observe

    def observer(report: Report) -> None:
        observe(report)
        if isinstance(report, kind) and "SupervisorStopping" not in theatre.record.told():
            raise interrupt

    theatre.supervisor.observer = observer

    async def scene() -> None:
        async with theatre.supervisor.running():
            theatre["b"].crash()
            if kind is ChildStopped and strategy is Strategy.ONE_FOR_ONE:
                await theatre.supervisor.terminate_child("c")  # nobody else is stopped for a restart
            await anyio.sleep_forever()

    with pytest.raises(KeyboardInterrupt) as caught:
        await scene()
    assert caught.value is interrupt
    assert theatre.record.lines[3:] == ["b down", "c down", "a down"]
    told = theatre.record.told()
    assert "ChildStarted" not in told[told.index("SupervisorStopping") :]


# ── in each phase of it ──


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("phase", ["backoff", "start", "stop of the others"])
async def test_N20_an_interrupt_that_a_sibling_raises_during_a_restart_is_kept(
    phase: str, fatal: type[BaseException]
) -> None:
    strategy = Strategy.REST_FOR_ONE
    theatre = Theatre("other", "a", "b", cleanup=1.0, spec={"backoff": SOON, "grace_period": 5.0}, strategy=strategy)
    interrupt = fatal(3)

    async def scene() -> None:
        async with theatre.supervisor.running():
            theatre["a"].gate = Gate()
            theatre["a"].crash()
            await settle({"stop of the others": 0.5, "backoff": 1.05, "start": 3.0}[phase])
            theatre["other"].crash(interrupt)
            await anyio.sleep_forever()

    with pytest.raises(fatal) as caught:
        await scene()
    assert caught.value is interrupt
    assert theatre.record.lines[3:5] in (["a down", "b down"], ["a down", "other down"])
    assert "a up" not in theatre.record.lines[3:]
    assert theatre.record.only(SupervisorStopping)


# ── in a program ──

PROGRAM = """
    import signal
    import anyio
    from tocsin_supervisors import *

    def say(*words):
        print(*words, flush=True)

    async def steady(name, context):
        context.started()
        await context.wait_stop_requested()
        await anyio.sleep(0.05)
        say(name, "down")

    lives = 0

    async def restless(context):
        global lives
        lives += 1
        if lives > 1:
            say("in the start" if {in_start} else "back")
            await anyio.sleep(60.0 if {in_start} else 0.0)
        context.started()
        await anyio.sleep(0.05)
        raise {error}

    async def first(context): await steady("first", context)
    async def last(context): await steady("last", context)

    def observer(report):
        if isinstance(report, RestartScheduled):
            say("in the backoff")

    async def main():
        specs = [
            ChildSpec("first", first),
            ChildSpec("restless", restless, backoff=Backoff(0.05 if {in_start} else 60.0, 60.0), grace_period=0.2),
            ChildSpec("last", last),
        ]
        async with Supervisor("root", specs, observer=observer).running() as supervisor:
            if not {hears_sigterm}:
                await anyio.sleep_forever()
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for number in signals:
                    await supervisor.stop()
                    raise SystemExit(128 + number)

    anyio.run(main, backend="{backend}")
"""


class Program:
    """A program in a process of its own."""

    def __init__(
        self, backend: str, *, in_start: bool = False, error: str = "ValueError", hears_sigterm: bool = False
    ) -> None:
        text = PROGRAM.format(backend=backend, in_start=in_start, error=error, hears_sigterm=hears_sigterm)
        path = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "supervisors")])
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(text)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            preexec_fn=_hears_interrupts,
        )

    def wait_for(self, line: str) -> None:
        """Wait until it has written this."""
        assert self._process.stdout is not None
        for each in self._process.stdout:
            if each.strip() == line:
                return
        pytest.fail(f"it ended without {line!r}: {self._process.communicate()[1]}")

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> tuple[int, list[str], str]:
        """Wait for its end, and give its exit code, what else it has written, and its errors."""
        out, errors = self._process.communicate(timeout=30.0)
        return self._process.returncode, out.splitlines(), errors


def _hears_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])
phases = pytest.mark.parametrize("in_start", [False, True], ids=["in the backoff", "in the start"])
DOWN = ["last down", "first down"]


@pytest.mark.slow
@pytest.mark.real_time
@backends
@phases
def test_N20_ctrl_c_during_a_restart_ends_the_program_in_order_as_an_interrupt(backend: str, in_start: bool) -> None:
    program = Program(backend, in_start=in_start)
    program.wait_for("in the start" if in_start else "in the backoff")
    program.send(signal.SIGINT)
    code, lines, errors = program.end()
    assert code == -signal.SIGINT
    assert lines == DOWN
    assert errors.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.slow
@pytest.mark.real_time
@backends
@phases
def test_N20_a_signal_that_is_received_during_a_restart_ends_the_program_in_order(backend: str, in_start: bool) -> None:
    program = Program(backend, in_start=in_start, hears_sigterm=True)
    program.wait_for("in the start" if in_start else "in the backoff")
    program.send(signal.SIGTERM)
    code, lines, errors = program.end()
    assert (code, lines, errors) == (128 + signal.SIGTERM, DOWN, "")


@pytest.mark.slow
@pytest.mark.real_time
@backends
@pytest.mark.parametrize(("error", "code"), [("SystemExit(3)", 3), ("SystemExit('why')", 1), ("SystemExit()", 0)])
def test_N20_the_exit_code_of_a_child_that_ends_the_program_is_kept(backend: str, error: str, code: int) -> None:
    returned, lines, errors = Program(backend, error=error).end()
    assert (returned, lines) == (code, DOWN)
    assert errors.strip() == ("why" if "why" in error else "")
