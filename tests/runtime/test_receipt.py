"""What a publisher can learn from its receipt."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import anyio
import pytest

from tests.runtime.helpers import Gated, Note, quiet
from tocsin import EventBus, Handled, Receipt, Rejected, RejectReason, Returned
from tocsin._receipt import note_accepted, note_outcome, open_receipt

MakeBus = Callable[..., EventBus]


def test_an_unused_receipt_knows_nothing() -> None:
    receipt = Receipt()
    assert receipt.event_id is None
    assert (receipt.matched, receipt.accepted, receipt.withdrawn, dict(receipt.outcomes)) == ((), (), (), {})
    assert repr(receipt) == "<Receipt unused>"


def test_it_tells_who_matched_who_has_taken_the_event_and_how_it_ended() -> None:
    receipt = Receipt()
    open_receipt(receipt, "id", ["a", "b", "c"])
    assert repr(receipt) == "<Receipt id to 3 subscriptions, 3 unsettled>"
    note_accepted(receipt, "b")
    note_accepted(receipt, "a")
    note_outcome(receipt, "a", Handled())
    note_outcome(receipt, "c", Rejected(RejectReason.FULL))
    assert receipt.event_id == "id"
    assert receipt.matched == ("a", "b", "c")
    assert receipt.accepted == ("b", "a")
    assert receipt.withdrawn == ("c",)
    assert receipt.outcomes == {"a": Handled(), "c": Rejected(RejectReason.FULL)}
    assert not receipt.is_settled
    note_outcome(receipt, "b", Returned())
    assert receipt.is_settled
    assert repr(receipt) == "<Receipt id to 3 subscriptions, settled>"


def test_the_outcomes_are_read_only() -> None:
    with pytest.raises(TypeError):
        Receipt().outcomes["a"] = Handled()  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


def test_a_question_rejected_after_it_was_taken_does_not_count_as_withdrawn() -> None:
    receipt = Receipt()
    open_receipt(receipt, "id", ["a"])
    note_accepted(receipt, "a")
    note_outcome(receipt, "a", Rejected(RejectReason.ASK_WITHDRAWN))
    assert receipt.withdrawn == ()


async def test_settled_waits_for_the_last_delivery_whoever_waits(make_bus: MakeBus) -> None:
    bus, first, second = make_bus(), Gated(), Gated()
    bus.subscribe(first, Note, name="first")
    bus.subscribe(second, Note, name="second")
    settled: list[object] = []
    async with bus.running():
        receipt = await bus.publish(Note("0"))

        async def wait() -> None:
            settled.append(await receipt.settled())

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            await quiet()
            first.open()
            await quiet()
            assert not settled
            assert receipt.outcomes == {"first": Handled()}
            second.open()
    assert settled == [{"first": Handled(), "second": Handled()}] * 2


async def test_settled_is_a_checkpoint_also_when_nothing_is_left_to_wait_for() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await Receipt().settled()
        raise AssertionError("the cancellation was not seen")
    assert scope.cancelled_caught


async def test_cancelling_the_wait_changes_nothing(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow")
    async with bus.running():
        receipt = await bus.publish(Note("0"))
        with anyio.move_on_after(1.0):
            await receipt.settled()
        assert not receipt.is_settled
        handler.open()
        assert await receipt.settled() == {"slow": Handled()}


async def test_it_settles_when_the_bus_stops_and_stays_readable(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", grace_period=0.0)
    async with bus.running(drain_timeout=0.0):
        in_flight = await bus.publish(Note("0"))
        await quiet()
        queued = await bus.publish(Note("1"))
    assert await in_flight.settled() == {"slow": Returned()}
    assert await queued.settled() == {"slow": Returned()}
    assert queued.accepted == ("slow",)


async def test_a_receipt_serves_one_publish_only(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="quick")
    async with bus.running():
        receipt = await bus.publish(Note("0"))
        with pytest.raises(ValueError, match=r"was used before: make a new Receipt\(\) for each publish"):
            await bus.publish(Note("1"), receipt=receipt)
    assert handler.done == ["0"]
    assert bus.statistics().published == 1


class Big:
    """An event that can be referred to weakly."""


async def test_a_receipt_and_a_bus_keep_no_event_that_was_handled(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def forget(event: Big) -> None: ...

    bus.subscribe(forget, Big)
    async with bus.running():
        gc.disable()
        try:
            big = Big()
            gone = weakref.ref(big)
            receipt = await bus.publish(big)
            del big
            await receipt.settled()
            await quiet()
            assert gone() is None
        finally:
            gc.enable()
