"""`actors.…` at the daemon: which actors are meant, and what is done to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tocsin import EventBus, handles
from tocsin.cli._control._actors import pause, restart, resume, stop
from tocsin.cli._control._errors import CommandRefused

MakeBus = Callable[..., EventBus]


@pytest.fixture
def bus(make_bus: MakeBus) -> EventBus:
    bus = make_bus("shop")

    async def handle(number: int) -> None: ...

    for name in ("mail", "mail-audit", "charge", "[odd]*"):
        bus.subscribe(handle, int, name=name)
    return bus


async def paused_by(bus: EventBus, *names: str) -> list[str]:
    answer: Any = await pause(bus, {"names": list(names)})
    return [each["name"] for each in answer if each["done"]]


def paused(bus: EventBus) -> list[str]:
    return [name for name, each in bus.statistics().subscriptions.items() if each.is_paused]


async def test_an_actor_is_paused_and_resumed(bus: EventBus) -> None:
    async with bus.running():
        answer = await pause(bus, {"names": ["charge"]})
        assert answer == [{"name": "charge", "done": True, "state": "running", "error": None}]
        assert paused(bus) == ["charge"]
        await resume(bus, {"names": ["charge"]})
        assert paused(bus) == []


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        (["mail"], ["mail"]),  # a whole name, although it is the beginning of another one
        (["mail-"], ["mail-audit"]),
        (["c"], ["charge"]),
        (["mail*"], ["mail", "mail-audit"]),
        (["*"], ["mail", "mail-audit", "charge", "[odd]*"]),
        (["?harge"], ["charge"]),
        (["[odd]*"], ["[odd]*"]),  # a whole name, although it could be a pattern
        (["charge", "mail", "c", "charge"], ["mail", "charge"]),  # each once, in order of declaration
    ],
)
async def test_who_is_meant(bus: EventBus, names: list[str], meant: list[str]) -> None:
    async with bus.running():
        assert await paused_by(bus, *names) == meant
        assert paused(bus) == meant


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        (["charg", "x"], "unknown_name", "there is no actor x"),
        (["mial"], "unknown_name", "did you mean mail"),
        (["x*"], "unknown_name", r"there is no actor x\*"),
        ([""], "unknown_name", "there is no actor"),
        (["MAIL"], "unknown_name", "there is no actor MAIL"),
        (["m"], "ambiguous_name", r"which m: mail or mail-audit\? A pattern m\* means all"),
        ([], "bad_params", "names is missing"),
    ],
)
async def test_names_that_mean_nobody_or_not_clearly_one_are_refused_and_nothing_is_done(
    bus: EventBus, names: list[str], kind: str, message: str
) -> None:
    async with bus.running():
        with pytest.raises(CommandRefused, match=message) as raised:
            await pause(bus, {"names": list[Any](names)})
        assert paused(bus) == []
    assert raised.value.kind == kind


async def test_an_actor_is_stopped_and_started_again_and_keeps_its_mailbox(make_bus: MakeBus) -> None:
    bus, taken = make_bus(), list[int]()

    async def handle(number: int) -> None:
        taken.append(number)

    bus.subscribe(handle, int, name="charge")
    async with bus.running():
        found: Any = await stop(bus, {"names": ["charge"]})
        assert [(each["done"], each["state"]) for each in found] == [(True, "stopped")]
        found = await restart(bus, {"names": ["charge"]})
        assert [(each["done"], each["state"]) for each in found] == [(True, "running")]
        await (await bus.publish(7)).settled()
    assert taken == [7]


async def test_an_actor_that_is_up_is_restarted_too(bus: EventBus) -> None:
    async with bus.running():
        await restart(bus, {"names": ["charge"]})
        charge = bus.statistics().subscriptions["charge"]
    assert (charge.incarnation, charge.restarts) == (2, 0)


async def test_what_takes_longer_goes_on_by_itself(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def handle(number: int) -> None:
        await anyio.sleep(5.0)

    bus.subscribe(handle, int, name="slow", grace_period=30.0)
    async with bus.running():
        await bus.publish(1)
        await anyio.sleep(1.0)
        found: Any = await stop(bus, {"names": ["slow"], "wait": 2})
        assert [(each["done"], each["error"]) for each in found] == [(False, "it takes longer, and goes on by itself")]
        await anyio.sleep(5.0)
        assert bus.statistics().subscriptions["slow"].state == "stopped"


async def test_an_actor_that_does_not_start_again_is_told(make_bus: MakeBus) -> None:
    bus = make_bus()
    is_broken: list[bool] = []

    @bus.actor(name="db")
    class Database:
        async def started(self) -> None:
            if is_broken:
                raise ConnectionError("postgres://shop:hunter2@db is down")

        @handles(int)
        async def take(self, number: int) -> None: ...

    async with bus.running():
        is_broken.append(True)
        found: Any = await restart(bus, {"names": ["db"]})
    assert not found[0]["done"]
    assert "is down" in found[0]["error"]
    assert "hunter2" not in found[0]["error"]


async def test_what_cannot_be_done_is_told_for_each(bus: EventBus) -> None:
    found: Any = await pause(bus, {"names": ["charge"]})  # it does not run
    (answer,) = found
    assert (answer["name"], answer["done"], answer["state"]) == ("charge", False, "unknown")
    assert "is not running" in answer["error"]
