"""What ends without a word in other runtimes: trees whose tasks a stranger cancels, or that meet a BaseException."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.runtime.failing import cancelled_by, strangers
from tests.supervisors.scripted import AT_ONCE, Record, Theatre, forever, settle
from tocsin_supervisors import (
    ChildContext,
    ChildCrashed,
    ChildSpec,
    RestartIntensityExceeded,
    Supervisor,
)

# ── pykka: a BaseException in one actor stops all of them ──


class Odd(BaseException):
    """Neither an error nor a request to end."""


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit, GeneratorExit, Odd])
async def test_a_base_exception_does_not_stop_everything_silently(fatal: type[BaseException]) -> None:
    """It does stop everything: such an exception ends programs. But in order, told, and raised as what it is."""
    theatre, problem = Theatre("a", "b", "c"), fatal(3)

    async def scene() -> None:
        async with theatre.supervisor.running():
            theatre["b"].crash(problem)
            await anyio.sleep_forever()

    with pytest.raises(fatal) as caught:
        await scene()
    assert caught.value is problem
    assert theatre.record.lines[3:] == ["b down", "c down", "a down"]
    crashed = theatre.record.only(ChildCrashed)
    assert (crashed.child, crashed.failure.type.rpartition(".")[2]) == ("b", fatal.__name__)
    assert theatre.record.told().index("SupervisorStopping") < theatre.record.told().index("ChildStopped")


# ── anyio on asyncio: a task cancelled by a stranger takes its whole group down, and the group raises nothing ──


def victim_of(stranger: str, *, lives: int) -> Callable[[ChildContext], Any]:
    async def victim(context: ChildContext) -> None:
        context.started()
        if context.incarnation <= lives:
            await cancelled_by(stranger)
        await context.wait_stop_requested()

    return victim


@strangers
async def test_a_child_that_a_stranger_cancels_has_crashed_and_takes_nobody_with_it(stranger: str) -> None:
    record = Record()
    specs = [
        ChildSpec("before", forever(record.note, "before")),
        ChildSpec("victim", victim_of(stranger, lives=1), backoff=AT_ONCE),
        ChildSpec("after", forever(record.note, "after")),
    ]
    async with Supervisor("root", specs, observer=record.observe).running() as supervisor:
        await settle()
        assert [each.state for each in supervisor.which_children()] == ["running"] * 3
        assert [each.incarnation for each in supervisor.which_children()] == [1, 2, 1]
        assert (supervisor.state, record.lines) == ("running", [])
        crashed = record.only(ChildCrashed)
        assert (crashed.child, crashed.foreign_cancel) == ("victim", True)
        assert crashed.failure.type == "tocsin_supervisors._exits.ForeignCancellation"


@strangers
@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_a_tree_whose_child_strangers_cancel_ever_again_ends_with_an_error_never_in_silence(
    depth: int, stranger: str
) -> None:
    children = [ChildSpec("leaf", victim_of(stranger, lives=1000), backoff=AT_ONCE)]
    for level in range(depth):
        children = [ChildSpec(f"branch{level}", Supervisor(f"branch{level}", children), backoff=AT_ONCE)]

    with pytest.raises(RestartIntensityExceeded) as caught:
        await Supervisor("root", children).run()
    last = caught.value
    while isinstance(last.__cause__, RestartIntensityExceeded):
        last = last.__cause__
    assert last.failure is not None
    assert (last.child, last.failure.type) == ("leaf", "tocsin_supervisors._exits.ForeignCancellation")
