"""What ends programs, striking in the middle of a restart: N20."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.supervisors.scripted import Theatre, settle
from tocsin_supervisors import Backoff, Report, RestartScheduled, Strategy

ROOT = Path(__file__).resolve().parents[2]
SLOW = Backoff(initial=5.0, jitter=0.0)


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("when", [0.0, 1.0], ids=["as_it_is_decided", "in_its_backoff"])
async def test_N20_an_interrupt_in_the_middle_of_a_restart_ends_all_in_order(strategy: Strategy, when: float) -> None:
    theatre = Theatre("a", "b", "c", strategy=strategy, spec={"backoff": SLOW})
    record = theatre.record

    def observe(report: Report) -> None:
        record.observe(report)
        if isinstance(report, RestartScheduled) and not when:
            raise KeyboardInterrupt

    theatre.supervisor.observer = observe

    async def scene() -> None:
        async with theatre.supervisor.running():
            theatre["b"].crash()
            if when:
                await settle(when)
                raise KeyboardInterrupt
            await settle(1000.0)

    with pytest.raises(KeyboardInterrupt):
        await scene()
    ups = record.lines.count("b up")
    assert ups == 1, "started although the end had begun"
    downs = [line for line in record.lines if line.endswith("down")]
    assert len(downs) == 3
    assert theatre.supervisor.state == "stopped"


PROGRAM = """
    import os, signal, sys
    import anyio
    from tocsin_supervisors import Backoff, ChildSpec, RestartScheduled, Supervisor

    how, backend = sys.argv[1:]

    async def steady(name):
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            print(name, "down", flush=True)

    lives = 0

    async def restless():
        global lives
        lives += 1
        if lives == 2 and how == "exit":
            sys.exit(3)
        raise OSError("again")

    def observe(report):
        if isinstance(report, RestartScheduled) and how == "signal":
            os.kill(os.getpid(), signal.SIGINT)

    async def main():
        specs = [ChildSpec(name, lambda name=name: steady(name)) for name in ("first", "second")]
        specs.append(ChildSpec("restless", restless, backoff=Backoff(initial=0.2, jitter=0.0)))
        await Supervisor("root", specs, observer=observe).run()

    try:
        anyio.run(main, backend=backend)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
"""


@pytest.mark.real_time
@pytest.mark.slow  # a process each
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("how", "code", "last"), [("signal", 130, ["interrupted"]), ("exit", 3, [])], ids=["SIGINT", "SystemExit"]
)
def test_N20_a_process_that_is_ended_in_the_middle_of_a_restart_cleans_up_in_order_and_keeps_its_exit_code(
    tmp_path: Path, backend: str, how: str, code: int, last: list[str]
) -> None:
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    paths = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "supervisors")])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), how, backend],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=30,
        # A shell that starts the suite in the background has it ignore Ctrl-C, and so would this process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.stdout.splitlines() == ["second down", "first down", *last], done.stderr
    assert done.returncode == code
