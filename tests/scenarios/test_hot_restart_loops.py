"""A restart loop without any delay: O62 to O64 at their worst. Time stands still in it, and still everybody has a turn.

The loop of the scenarios has pauses; here each attempt fails at once and is followed by the next. Nothing that is asked
meanwhile may wait for more than a few attempts.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from tests.scenarios.cast_restarts import PLENTY
from tests.supervisors.scripted import Crash, Puppet, Record, Theatre
from tocsin_supervisors import (
    ChildAlreadyPresent,
    ChildContext,
    ChildRestarting,
    RestartIntensity,
    RestartIntensityExceeded,
    Strategy,
    Supervisor,
)

A_FEW = 5  # attempts
SPEC = {"intensity": PLENTY}


class Hot(Puppet):
    """A puppet in a loop: while it is broken, it crashes as soon as it is up, or refuses to start."""

    def __init__(self, record: Record, id: str, *, how: str) -> None:
        super().__init__(record, id)
        self.how = how
        self.is_broken = False

    async def __call__(self, context: ChildContext) -> None:
        """Live, or at least begin to."""
        if not self.is_broken:
            await super().__call__(context)
            return
        self.record.note("attempt")
        self.incarnation = context.incarnation
        if self.how == "crashes":
            context.started()
        raise Crash(self.id)


HOW = pytest.mark.parametrize("how", ["crashes", "refuses"])


class HotLoop(Theatre):
    """A theatre of `a`, `b` and `c`, of which `b` is hot."""

    def __init__(self, how: str, strategy: Strategy) -> None:
        super().__init__("a", spec=SPEC, strategy=strategy, intensity=PLENTY)
        self.hot = Hot(self.record, "b", how=how)
        self.puppets |= {"b": self.hot, "c": Puppet(self.record, "c")}
        for id in "bc":
            self.supervisor.declare(self.puppets[id].spec(**SPEC))

    @property
    def attempts(self) -> int:
        """How many have been made."""
        return self.record.lines.count("attempt")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Supervisor, None]:
        """Run it in its loop; time must not pass in it."""
        async with self.supervisor.running() as supervisor:
            began = anyio.current_time()
            self.hot.is_broken = True
            self.hot.crash()
            while self.attempts < 100:
                await anyio.lowlevel.checkpoint()
            yield supervisor
        assert anyio.current_time() == began

    async def within_a_few(self, request: Awaitable[object]) -> None:
        """Check that *request* is answered soon."""
        before = self.attempts
        try:
            await request
        finally:
            assert self.attempts - before <= A_FEW


STRATEGIES_OF_ROWS = pytest.mark.parametrize(
    "strategy", Strategy, ids=["O62-one_for_one", "O63-one_for_all", "O63-rest_for_one"]
)


@HOW
@STRATEGIES_OF_ROWS
async def test_a_hot_loop_leaves_the_supervisor_stoppable(strategy: Strategy, how: str) -> None:
    loop = HotLoop(how, strategy)
    async with loop.running() as supervisor:
        await loop.within_a_few(supervisor.stop())
        attempts = loop.attempts
    assert [each.state for each in loop.supervisor.which_children()] == ["stopped"] * 3
    assert loop.attempts == attempts


@HOW
@STRATEGIES_OF_ROWS
async def test_a_hot_loop_ends_with_the_body(strategy: Strategy, how: str) -> None:
    loop = HotLoop(how, strategy)
    async with loop.running():
        before = loop.attempts
    assert loop.attempts - before <= A_FEW


@HOW
@STRATEGIES_OF_ROWS
async def test_a_hot_loop_ends_with_an_outer_cancellation(strategy: Strategy, how: str) -> None:
    loop = HotLoop(how, strategy)
    before = 0
    with anyio.CancelScope() as scope:
        async with loop.running():
            before = loop.attempts
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert loop.attempts - before <= A_FEW


@HOW
@STRATEGIES_OF_ROWS
async def test_a_hot_loop_can_be_terminated(strategy: Strategy, how: str) -> None:
    loop = HotLoop(how, strategy)
    async with loop.running() as supervisor:
        await loop.within_a_few(supervisor.terminate_child("b"))
        attempts = loop.attempts
        await anyio.lowlevel.checkpoint()
        assert loop.state("b") == "stopped"
        while [loop.state(id) for id in "ac"] != ["running", "running"]:
            await anyio.lowlevel.checkpoint()  # the others of its group are still to be started
        loop.hot.is_broken = False
        assert await supervisor.restart_child("b") is loop.hot
        assert (loop.state("b"), loop.attempts) == ("running", attempts)


@STRATEGIES_OF_ROWS
async def test_a_hot_loop_answers_what_it_refuses(strategy: Strategy) -> None:
    loop = HotLoop("refuses", strategy)
    async with loop.running() as supervisor:
        with pytest.raises(ChildAlreadyPresent):
            await loop.within_a_few(supervisor.start_child(loop.hot.spec()))
        with pytest.raises(ChildRestarting):
            await loop.within_a_few(supervisor.restart_child("b"))
        with pytest.raises(ChildRestarting):
            await loop.within_a_few(supervisor.delete_child("b"))


@HOW
@STRATEGIES_OF_ROWS
async def test_a_hot_loop_is_over_when_its_cause_is(strategy: Strategy, how: str) -> None:
    loop = HotLoop(how, strategy)
    async with loop.running() as supervisor:
        loop.hot.is_broken = False
        attempts = loop.attempts
        while supervisor.count_children().active < 3 or loop.hot.incarnation <= attempts:
            await anyio.lowlevel.checkpoint()
        assert [loop.state(id) for id in "abc"] == ["running"] * 3
        assert loop.attempts - attempts <= A_FEW


@HOW
@STRATEGIES_OF_ROWS
async def test_a_hot_loop_obeys_a_lower_limit(strategy: Strategy, how: str) -> None:
    loop = HotLoop(how, strategy)

    async def scene() -> None:
        async with loop.running() as supervisor:
            await loop.within_a_few(supervisor.reconfigure(intensity=RestartIntensity.never()))
            await anyio.sleep_forever()

    with pytest.raises(RestartIntensityExceeded) as caught:
        await scene()
    assert (caught.value.child, caught.value.limit, caught.value.of_supervisor) == ("b", 0, True)


@HOW
async def test_O62_others_are_started_and_stopped_beside_a_hot_loop(how: str) -> None:
    loop = HotLoop(how, Strategy.ONE_FOR_ONE)
    async with loop.running() as supervisor:
        new = Puppet(loop.record, "new")
        await loop.within_a_few(supervisor.start_child(new.spec()))
        await loop.within_a_few(supervisor.terminate_child("a"))
        await loop.within_a_few(supervisor.restart_child("a"))
        await loop.within_a_few(supervisor.terminate_child("c"))
        await loop.within_a_few(supervisor.delete_child("c"))
        assert [each.id for each in supervisor.which_children()] == ["a", "b", "new"]
        assert [loop.incarnation("a"), loop.incarnation("new")] == [2, 1]


@HOW
async def test_O64_a_hot_loop_of_a_child_of_a_template_can_be_terminated(how: str) -> None:
    record = Record()
    hot = Hot(record, "hot", how=how)
    async with Supervisor(template=lambda: hot.spec(**SPEC), intensity=PLENTY).running() as supervisor:
        ref = await supervisor.start_from_template()
        assert ref is not None
        hot.is_broken = True
        hot.crash()
        while record.lines.count("attempt") < 100:
            await anyio.lowlevel.checkpoint()
        before = record.lines.count("attempt")
        await supervisor.terminate_child(ref)
        assert record.lines.count("attempt") - before <= A_FEW
        assert supervisor.which_children() == ()
