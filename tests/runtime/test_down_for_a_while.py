"""Actors that are down by their own wish, for a rest, or for one that they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tocsin import Backoff, DeadLetterReason, DeclineStart, EventBus, RestartIntensity, RetryPolicy, handles

MakeBus = Callable[..., EventBus]


async def test_an_actor_that_declines_its_start_is_down_and_gets_nothing(make_bus: MakeBus) -> None:
    bus = make_bus(dead_letter_undeliverable=True)

    @bus.actor(name="optional")
    class Optional:
        async def started(self) -> None:
            raise DeclineStart("there is no printer")

        @handles(str)
        async def print(self, text: str) -> None:
            pytest.fail("it is not up")  # pragma: no cover

    async with bus.running():
        assert bus.subscriptions["optional"].statistics().state == "stopped"
        await bus.publish("page")
        (letter,) = bus.dead_letters.list()
        assert letter.reason is DeadLetterReason.UNDELIVERABLE


async def test_a_parked_actor_goes_on_with_its_mailbox_after_its_rest(make_bus: MakeBus) -> None:
    bus = make_bus()
    handled: list[int] = []
    broken = True

    async def handler(number: int) -> None:
        if broken:
            raise ConnectionError
        handled.append(number)

    options: dict[str, Any] = {"intensity": RestartIntensity.never(), "on_exhausted": "park", "unpark_after": 600.0}
    bus.subscribe(handler, int, sick_after=1, retry=RetryPolicy(max_attempts=2), **options)
    async with bus.running():
        await bus.publish(1)
        await anyio.sleep(1.0)
        assert bus.subscriptions["handler"].statistics().state == "parked"
        broken = False
        await anyio.sleep(600.0)
        await bus.publish(2)
    assert handled == [1, 2]


async def test_an_actor_that_fails_while_one_that_it_needs_is_restarted_is_held_for_it(make_bus: MakeBus) -> None:
    bus = make_bus()
    crashes: set[str] = {"database", "api"}
    built: list[str] = []

    def actor(name: str, kind: type, **options: Any) -> None:
        class Part:
            async def started(self) -> None:
                built.append(name)

            @handles(kind)
            async def use(self, event: object) -> None:
                if name in crashes:
                    crashes.remove(name)
                    raise ConnectionError(name)

        bus.subscribe_actor(Part, name=name, sick_after=1, **options)

    actor("database", str, suspension=Backoff(initial=20.0, jitter=0.0))
    actor("api", int, needs=["database"], intensity=RestartIntensity.never())
    async with bus.running():
        await bus.publish("query")
        await anyio.sleep(1.0)
        await bus.publish(7)
        await anyio.sleep(1.0)
        states = [bus.subscriptions[name].statistics().state for name in ("database", "api")]
        assert states == ["suspended", "suspended"]
        await anyio.sleep(30.0)
        assert built == ["database", "api", "database", "api"]


@pytest.mark.parametrize("needs", ["database", ["database"], ("database",)])
def test_what_is_needed_may_be_one_name_or_several(make_bus: MakeBus, needs: Any) -> None:
    bus = make_bus()

    async def handler(number: int) -> None: ...

    assert bus.subscribe(handler, int, needs=needs).settings.needs == ("database",)


def test_only_names_can_be_needed(make_bus: MakeBus) -> None:
    async def handler(number: int) -> None: ...

    wrong: Any = [7]
    with pytest.raises(TypeError, match=r"needs=\[7\]: must be names of other subscriptions"):
        make_bus().subscribe(handler, int, needs=wrong)
