"""The conservation ledger: its sums, and that they agree whenever anybody can look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import attrs
import pytest

from tocsin import (
    Backoff,
    Coalesce,
    DeadLetterNewest,
    Deduplicate,
    DropNewest,
    DropOldest,
    EventBus,
    Ledger,
    MailboxFull,
    Reject,
    RestartIntensity,
    RetryPolicy,
)
from tocsin._ledger import add_up

MakeBus = Callable[..., EventBus]

PLACES = ["queued", "in_flight", "waiting_retry", "blocked"]
ENDS = ["handled", "dead_lettered", "dropped", "rejected", "returned"]


def test_a_new_ledger_is_empty_and_balanced() -> None:
    assert Ledger().balanced
    assert Ledger().live == Ledger().ended == 0


@pytest.mark.parametrize("place", [*PLACES, *ENDS])
def test_what_is_anywhere_must_have_matched(place: str) -> None:
    somewhere: Any = {place: 1}
    assert not Ledger(**somewhere).balanced
    assert Ledger(matched=1, **somewhere).balanced
    assert not Ledger(matched=2, **somewhere).balanced


def test_a_ledger_tells_what_has_ended_and_what_has_not() -> None:
    numbers = {name: 10**position for position, name in enumerate([*PLACES, *ENDS])}
    ledger = Ledger(matched=111_111_111, **numbers)
    assert (ledger.live, ledger.ended) == (1111, 111110000)
    assert ledger.balanced


def test_a_ledger_is_told_as_the_sum_it_is() -> None:
    balanced = Ledger(matched=3, handled=2, queued=1)
    assert str(balanced) == (
        "matched 3 = handled 2 + dead-lettered 0 + dropped 0 + rejected 0 + returned 0 + queued 1 + in flight 0"
        " + waiting for retry 0 + blocked 0"
    )
    assert str(Ledger(matched=3)).startswith("matched 3 ≠ handled 0")


def test_ledgers_add_up() -> None:
    one = Ledger(matched=3, handled=2, queued=1)
    two = Ledger(matched=4, returned=4)
    assert add_up([one, two]) == Ledger(matched=7, handled=2, queued=1, returned=4)
    assert add_up([]) == Ledger()


def test_a_ledger_cannot_be_changed() -> None:
    ledger: Any = Ledger()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ledger.handled = 7


@pytest.mark.slow
async def test_it_balances_wherever_user_code_can_look(make_bus: MakeBus) -> None:
    looks = 0
    wrong: list[str] = []  # an assertion in a handler would only make a dead letter

    def look() -> None:
        nonlocal looks
        looks += 1
        ledger, each = bus.ledger(), bus.statistics().subscriptions.values()
        gauges = [sum(gauge) for gauge in zip(*[(s.depth, s.in_flight, s.waiting_retry) for s in each], strict=True)]
        if not ledger.balanced or gauges != [ledger.queued, ledger.in_flight, ledger.waiting_retry]:
            wrong.append(f"{ledger}, but the gauges are {gauges}")

    def predicate(event: int) -> bool:
        look()
        return True

    def key(event: int) -> int:
        look()
        return event % 3

    async def observe(report: object) -> None:
        look()

    async def handle(event: int, delivery: Any) -> None:
        look()
        await anyio.sleep(event % 5)
        look()
        if event % 4 == 0:
            raise ConnectionError
        if event % 7 == 0 and delivery.attempt == 1:
            raise LookupError

    bus = make_bus(observer=observe)
    retry = RetryPolicy(max_attempts=2, backoff=Backoff(initial=3.0, maximum=3.0))
    policies: dict[str, Any] = {
        "wait": {"sick_after": 100},
        "reject": {"sick_after": 100, "overflow": Reject()},
        "oldest": {"sick_after": 100, "overflow": DropOldest()},
        "newest": {"sick_after": 100, "overflow": DropNewest()},
        "bury": {"sick_after": 100, "overflow": DeadLetterNewest()},
        "coalesce": {"sick_after": 100, "overflow": Coalesce(by=key)},
        "keyed": {"sick_after": 100, "key": key, "concurrency": 2, "strict_order": True},
        "once": {"sick_after": 100, "deduplicate": Deduplicate(by=key)},
        "parked": {"sick_after": 1, "intensity": RestartIntensity(0, 5.0), "on_exhausted": "park"},
    }
    common: Any = {"when": predicate, "mailbox": 3, "retry": retry}
    subscriptions = [bus.subscribe(handle, int, name=name, **common, **each) for name, each in policies.items()]
    async with bus.running(drain_timeout=20):
        for number in range(40):
            look()
            try:
                with anyio.move_on_after(7):
                    await bus.publish(number)
            except MailboxFull:
                look()
            if number == 30:
                await subscriptions[0].unsubscribe()
        look()
    look()
    assert bus.ledger().live == 0
    assert all(getattr(bus.ledger(), name) for name in ENDS), str(bus.ledger())
    assert looks > 500
    assert wrong == []
