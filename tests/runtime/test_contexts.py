"""Context variables: what a handler sees of its publisher's, and what it leaves behind."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from tests.runtime.failing import EVERY_SECOND, ONCE, MakeBus, only_letter, outcome_of
from tests.supervisors.stalling import look
from tocsin import DeadLetterReason, Delivery, Handled, Receipt, RetryPolicy, WouldDeadlock, handles
from tocsin_supervisors import ChildContext, ChildSpec, Supervisor
from tocsin_supervisors._stalls import Stall

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


async def test_by_default_a_handler_sees_the_context_in_which_the_bus_was_started(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[str] = []

    @bus.subscriber(str, name="subject")
    async def subject(text: str) -> None:
        seen.append(tenant.get())

    tenant.set("starter")
    async with bus.running():
        tenant.set("publisher")
        await outcome_of(bus, "text")
    tenant.set("nobody")
    assert seen == ["starter"]


async def test_fault_C8_what_a_handler_sets_is_seen_by_no_other_actor(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[str] = []

    @bus.subscriber(str, name="subject")
    async def subject(text: str) -> None:
        tenant.set(text)

    @bus.subscriber(int, name="neighbour")
    async def neighbour(number: int) -> None:
        seen.append(tenant.get())

    async with bus.running():
        await outcome_of(bus, "text")
        await outcome_of(bus, 1, "neighbour")
        assert tenant.get() == "nobody"
    assert seen == ["nobody"]


async def test_what_a_handler_sets_does_not_outlive_its_incarnation(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[str] = []

    @bus.actor(name="subject", retry=ONCE)
    class Subject:
        @handles(str)
        async def handle(self, text: str) -> None:
            seen.append(tenant.get())
            tenant.set(text)
            if text == "bad":
                raise ValueError(text)

    async with bus.running():
        for text in ("a", "bad", "b"):
            await outcome_of(bus, text)
    assert seen == ["nobody", "a", "nobody"]


async def test_with_the_context_of_the_delivery_a_handler_sees_its_publishers(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[str] = []

    @bus.subscriber(str, name="subject", context="delivery")
    async def subject(text: str) -> None:
        seen.append(tenant.get())
        tenant.set("the handler's")

    async def publish_as(name: str) -> None:
        tenant.set(name)
        await bus.publish("text")

    async with bus.running():
        async with anyio.create_task_group() as group:
            group.start_soon(publish_as, "a")
            group.start_soon(publish_as, "b")
        await bus.publish("text")
    assert sorted(seen) == ["a", "b", "nobody"]


async def test_fault_C8_each_attempt_has_a_fresh_copy_of_the_context(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[str] = []

    @bus.subscriber(str, name="subject", context="delivery", retry=RetryPolicy(backoff=EVERY_SECOND))
    async def subject(text: str, delivery: Delivery[str]) -> None:
        seen.append(tenant.get())
        tenant.set("left behind")
        if delivery.attempt < 3:
            raise ValueError(text)

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
    assert seen == ["nobody"] * 3


async def test_an_answer_comes_out_of_the_context_of_the_delivery(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", context="delivery")
    async def subject(text: str) -> str:
        return f"{tenant.get()} asks {text}"

    async with bus.running():
        tenant.set("somebody")
        assert await bus.ask("why") == "somebody asks why"
        tenant.set("nobody")


async def test_a_replay_has_no_publisher_and_the_context_of_whoever_replays(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[str] = []

    @bus.subscriber(str, name="subject", context="delivery", retry=ONCE)
    async def subject(text: str) -> None:
        seen.append(tenant.get())
        if len(seen) == 1:
            raise ValueError(text)

    async with bus.running():
        tenant.set("publisher")
        await outcome_of(bus, "text")
        tenant.set("operator")
        report = await bus.replay()
        for receipt in report.receipts:
            assert await receipt.settled() == {"subject": Handled()}
        tenant.set("nobody")
    assert seen == ["publisher", "operator"]


@pytest.mark.parametrize("context", ["actor", "delivery"])
async def test_what_a_handler_publishes_says_what_caused_it(make_bus: MakeBus, context: Any) -> None:
    bus = make_bus()
    causes: list[str | None] = []

    @bus.subscriber(str, name="subject", context=context)
    async def subject(text: str, delivery: Delivery[str]) -> None:
        await bus.publish(1)

    @bus.subscriber(int, name="consequence", context=context)
    async def consequence(number: int, delivery: Delivery[int]) -> None:
        causes.append(delivery.envelope.causation_id)

    async with bus.running():
        receipt = await bus.publish("text")
        await bus.drain()
    assert causes == [receipt.event_id]


@pytest.mark.parametrize("context", ["actor", "delivery"])
async def test_a_publish_that_would_wait_for_itself_is_refused(make_bus: MakeBus, context: Any) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", context=context, mailbox=1, retry=ONCE, timeout=60.0)
    async def subject(text: str) -> None:
        if text == "first":
            await bus.publish("fills", receipt=Receipt())
            with pytest.raises(WouldDeadlock) as caught:
                await bus.publish("waits")
            assert caught.value.cycle == ("subject", "subject")

    async with bus.running():
        assert await outcome_of(bus, "first") == Handled()


async def test_a_handler_without_a_time_limit_may_be_cancelled_by_its_own_group(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", context="delivery", timeout=None, retry=ONCE)
    async def subject(text: str) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            raise ValueError(text)

    async with bus.running():
        await outcome_of(bus, "text")
    assert only_letter(bus).reason is DeadLetterReason.HANDLER_ERROR


async def test_a_stop_of_what_supervises_the_bus_is_not_waited_for_in_a_handler(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[object] = []

    async def run_bus(context: ChildContext) -> None:
        async with bus.running():
            context.started()
            await context.wait_stop_requested()

    @bus.subscriber(str, name="subject", context="delivery", timeout=None)
    async def subject(text: str) -> None:
        with anyio.fail_after(1):
            await daemon.stop()  # to wait for it would be to wait for this very handler
        seen.append("asked to stop")

    daemon = Supervisor("daemon", [ChildSpec("bus", run_bus, grace_period=60.0)])
    async with daemon.running():
        await outcome_of(bus, "published from outside of the daemon")
    assert seen == ["asked to stop"]


@pytest.mark.parametrize("context", ["actor", "delivery"])
async def test_a_handler_that_blocks_the_loop_is_named_and_not_its_publisher(make_bus: MakeBus, context: Any) -> None:
    bus = make_bus()
    seen: list[Stall | None] = []

    @bus.subscriber(int, name="publisher")
    async def publisher(number: int) -> None:
        await bus.publish("text")

    @bus.subscriber(str, name="subject", context=context)
    async def subject(text: str) -> None:
        seen.append(look())

    async with bus.running():
        await bus.publish("published from outside of any child")
        await bus.publish(1)
        await bus.drain()
    assert [stall and stall.child for stall in seen] == ["test/subject"] * 2
    assert [stall and "subject" in stall.stack[0] for stall in seen] == [True] * 2
