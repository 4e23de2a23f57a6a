"""A forked child has the bus, but none of the tasks that run it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

import anyio
import pytest

from tests.virtual_time import backend_options
from tocsin import EventBus, ForkedProcess

MakeBus = Callable[..., EventBus]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")


async def ignore(event: object) -> None: ...


def in_child(function: Callable[[], str]) -> str:
    """Fork, and give what *function* returned in the child."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads about: this child runs none of them
        child = os.fork()
    if not child:
        try:
            os.write(write, function().encode()[:60_000])
        except BaseException as error:
            os.write(write, f"raised {error!r}".encode()[:60_000])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


def outcome_of(use: Callable[[], object]) -> str:
    try:
        use()
    except ForkedProcess as error:
        return str(error)
    return "nothing was raised"


REFUSAL = "bus 'test' runs in the parent of this forked process: start a bus here, or spawn, not fork"


USES: list[Callable[[EventBus], object]] = [
    lambda bus: bus.publish_nowait(1),
    lambda bus: bus.publish(1).send(None),
    lambda bus: bus.publish_many([1]).send(None),
    lambda bus: bus.publish_from_thread(1),
    lambda bus: bus.ask(1).send(None),
    lambda bus: bus.replay().send(None),
    lambda bus: bus.drain().send(None),
    lambda bus: bus.stop().send(None),
    lambda bus: bus.wait_stopped().send(None),
    lambda bus: bus.request_stop(),
]


@pytest.mark.parametrize("use", USES)
async def test_fault_G5_in_a_forked_child_the_bus_refuses_to_be_used(
    make_bus: MakeBus, use: Callable[[EventBus], object]
) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running():
        assert in_child(lambda: outcome_of(lambda: use(bus))) == REFUSAL
        assert (await bus.publish(1)).accepted == ("ignore",)  # the parent goes on
    assert bus.ledger().handled == 1


@pytest.mark.parametrize("use", USES[:2])
async def test_a_forked_child_refuses_what_its_parent_knows_the_way_of(
    make_bus: MakeBus, use: Callable[[EventBus], object]
) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running():
        await (await bus.publish(1)).settled()
        assert in_child(lambda: outcome_of(lambda: use(bus))) == REFUSAL
        await (await bus.publish(2)).settled()
    assert bus.ledger().handled == 2


async def test_a_bus_that_was_told_of_a_fork_takes_nothing_more(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.note_fork()  # there is nothing to leave behind yet
    async with bus.running():
        bus.note_fork()
        with pytest.raises(ForkedProcess, match=REFUSAL):
            await bus.publish(1)


async def test_a_forked_child_can_look_at_what_it_inherited(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running():
        await (await bus.publish(1)).settled()
        assert in_child(lambda: f"{bus.statistics().phase} {bus.ledger().handled}") == "forked 1"
        assert bus.statistics().phase == "running"


def test_a_bus_that_had_stopped_before_the_fork_runs_in_the_child(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)

    async def main() -> None:
        async with bus.running():
            await bus.publish(1)

    def run(backend: str) -> str:
        anyio.run(main, backend=backend, backend_options=backend_options(backend, real_time=False))
        return f"{bus.statistics().phase} {bus.ledger().handled}"

    assert run("asyncio") == "stopped 1"
    assert in_child(lambda: bus.statistics().phase) == "stopped"
    assert in_child(lambda: run("asyncio")) == "stopped 1"
    assert in_child(lambda: run("trio")) == "stopped 1"


def test_a_new_bus_runs_in_the_child(make_bus: MakeBus) -> None:
    def run() -> str:
        bus = make_bus("new")
        bus.subscribe(ignore, int)

        async def main() -> None:
            async with bus.running():
                await bus.publish(1)

        anyio.run(main)
        return f"{bus.ledger().handled}"

    assert in_child(run) == "1"
