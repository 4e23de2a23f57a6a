"""Subscriptions with `activation="first_event"`: no actor before there is something for it to do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from tests.runtime.failing import ONCE, MakeBus, only_letter, outcome_of, until
from tests.runtime.helpers import CRITICAL, NORMAL, Gated, Note, quiet
from tocsin import (
    ActorRestarting,
    Backoff,
    BusClosed,
    DeadLettered,
    DeadLetterReason,
    Delivery,
    EventBus,
    Handled,
    NobodyToAsk,
    Receipt,
    Report,
    RestartIntensity,
    Returned,
    RouteError,
    Strategy,
    Subscription,
    UnknownSubscription,
    handles,
)
from tocsin.testing import cancel_as_a_stranger
from tocsin_supervisors import (
    ChildAlreadyStarted,
    ChildParked,
    ChildStarted,
    ChildStartFailed,
    ChildStopped,
    TreeNode,
)

FIRST: Any = {"activation": "first_event"}
SOON = Backoff(initial=1.0, maximum=1.0, factor=1.0, jitter=0.0)


async def take(event: object) -> None: ...


def wants_nothing(event: object) -> bool:
    return False


async def answer(event: object) -> str:
    return f"{event}!"


def state(subscription: Subscription) -> str:
    return subscription.statistics().state


def observed(make_bus: MakeBus) -> tuple[EventBus, list[Report]]:
    """Make a bus, and the list of its reports."""
    reports: list[Report] = []

    async def observe(report: Report) -> None:
        reports.append(report)

    return make_bus(observer=observe), reports


def states_in(node: TreeNode | None) -> dict[str, str]:
    """Give the state of each child below *node*, by its path."""
    assert node is not None
    found: dict[str, str] = {}
    for child in node.children:
        found[child.id] = child.state
        found |= {f"{child.id}/{name}": state for name, state in states_in(child).items()}
    return found


# ── dormant ──


async def test_the_first_event_that_matches_makes_the_actor(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    subject = bus.subscribe(handler, Note, name="subject", **FIRST)
    async with bus.running():
        assert (state(subject), subject.statistics().incarnation) == ("dormant", 0)
        assert await outcome_of(bus, Note("one")) == Handled()
        assert await outcome_of(bus, Note("two")) == Handled()
        await quiet()
        assert (state(subject), subject.statistics().incarnation) == ("running", 1)
    assert handler.done == ["one", "two"]


async def test_a_dormant_subscription_is_counted_nowhere(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = bus.subscribe(take, int, mailbox=7, **FIRST)
    async with bus.running():
        found = subject.statistics()
        assert (found.capacity, found.group, found.depth, found.handled, found.restarts) == (7, None, 0, 0, 0)
        assert (found.last_error, found.is_paused, bus.ledger().matched) == (None, False, 0)


async def test_the_tree_shows_what_is_dormant_behind_the_children_of_its_group(make_bus: MakeBus) -> None:
    bus = make_bus(name="outer")
    bus.subscribe(take, int, name="first", **FIRST)
    group = bus.group("inner")
    inmost = group.group("outer of another kind").group("outer")  # a group may be called as the bus is
    inmost.subscribe(take, int, name="inmost", **FIRST)
    group.subscribe(take, int, name="up")
    async with bus.running():
        deep = "inner/outer of another kind"
        assert states_in(bus.statistics().tree) == {
            "inner": "running",
            deep: "running",
            f"{deep}/outer": "running",
            f"{deep}/outer/inmost": "dormant",
            "inner/up": "running",
            "first": "dormant",
        }
        assert bus.statistics().subscriptions["inmost"].group == "outer"


async def test_looking_on_activates_nobody(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = bus.subscribe(take, int, **FIRST)
    async with bus.running():
        for look in (repr, EventBus.ledger, EventBus.explain, EventBus.statistics):
            look(bus)
        assert repr(subject) == "<Subscription take: handler for int>"
        assert (await bus.replay(dry_run=True)).selected == ()
        assert state(subject) == "dormant"


@pytest.mark.parametrize(
    ("interest", "options", "published", "event"),
    [
        (int, {}, {}, "of another class"),
        (int, {"priorities": [CRITICAL]}, {"priority": NORMAL}, 1),
        (int, {"when": wants_nothing}, {}, 1),
        ("a.*", {}, {"topic": "b.c"}, 1),
    ],
    ids=["class", "priority", "predicate", "topic"],
)
async def test_an_event_that_does_not_match_activates_nobody(
    make_bus: MakeBus, interest: Any, options: Any, published: Any, event: object
) -> None:
    bus = make_bus()
    subject = bus.subscribe(take, interest, **options, **FIRST)
    async with bus.running():
        for _ in range(2):
            await bus.publish(event, **published)
        assert (state(subject), bus.ledger().matched) == ("dormant", 0)


async def test_a_predicate_that_fails_activates_nobody(make_bus: MakeBus) -> None:
    bus = make_bus()
    others = bus.subscribe(take, int, name="others", **FIRST)
    subject = bus.subscribe(take, int, when=lambda number: 1 / number > 0, **FIRST)
    async with bus.running():
        with pytest.raises(RouteError):
            await bus.publish(0)
        assert (state(others), state(subject)) == ("dormant", "dormant")


async def test_receipts_name_their_subscriptions_in_the_order_of_declaration(make_bus: MakeBus) -> None:
    bus = make_bus()
    for name, kind in {"a": int, "b": object, "c": int}.items():
        bus.subscribe(take, kind, name=name, activation="start" if name == "b" else "first_event")
    async with bus.running():
        await bus.ask(1, to="c")
        for _ in range(3):
            assert list(await (await bus.publish(1)).settled()) == ["a", "b", "c"]


async def test_the_next_run_begins_with_dormant_subscriptions_again(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = bus.subscribe(take, int, name="subject", **FIRST)
    for _ in range(2):
        async with bus.running():
            assert state(subject) == "dormant"
            assert await outcome_of(bus, 1) == Handled()
            await quiet()
            assert state(subject) == "running"
    assert (state(subject), subject.statistics().handled) == ("stopped", 1)


async def test_where_workers_cannot_serve_actors_it_starts_with_the_bus(
    make_bus: MakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tocsin._run.can_watch_tasks", lambda: False)
    bus = make_bus()
    subject = bus.subscribe(take, int, **FIRST)
    async with bus.running():
        assert state(subject) == "running"
        assert state(await bus.subscribe_now(take, int, name="later", **FIRST)) == "running"


# ── what may be dormant ──


class Hooked:
    @handles(int)
    async def use(self, number: int) -> None: ...

    async def started(self) -> None: ...


@pytest.mark.parametrize(
    "options",
    [{"durable": True}, {"concurrency": 2}, {"context": "delivery"}],
    ids=["durable", "concurrency", "context"],
)
def test_an_option_that_needs_an_actor_at_once_is_refused(options: Any) -> None:
    with pytest.raises(ValueError, match=r'activation="first_event" with durable=.*use durable=False, concurrency=1'):
        EventBus().subscribe(take, int, **options, **FIRST)


def test_an_actor_with_hooks_is_refused() -> None:
    bus = EventBus()
    with pytest.raises(ValueError, match=r"'Hooked' with activation=\"first_event\" has started\(\) or stopping\(\)"):
        bus.subscribe_actor(Hooked, **FIRST)
    assert not bus.subscriptions


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_a_group_that_restarts_several_together_is_refused(strategy: Strategy) -> None:
    group = EventBus().group("together", strategy=strategy)
    with pytest.raises(ValueError, match=f"'together', which restarts its actors {strategy.value}"):
        group.subscribe(take, int, **FIRST)


async def test_what_may_not_be_dormant_is_refused_while_running_too(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        with pytest.raises(ValueError, match="leave them out"):
            await bus.subscribe_actor_now(Hooked, **FIRST)
        assert not bus.subscriptions


# ── every way to address it ──


async def by_options(bus: EventBus) -> None:
    await bus.publish(1, headers={"a": "b"})


async def without_waiting(bus: EventBus) -> None:
    bus.publish_nowait(1)


async def by_ask(bus: EventBus) -> None:
    assert await bus.ask(1) == "1!"


async def by_name(bus: EventBus) -> None:
    assert await bus.ask("anything", to="subject") == "anything!"


async def many(bus: EventBus) -> None:
    await bus.publish_many([1, 2])


WAYS: list[Callable[[EventBus], Awaitable[None]]] = [by_options, without_waiting, by_ask, by_name, many]


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_to_address_it_makes_the_actor(
    make_bus: MakeBus, way: Callable[[EventBus], Awaitable[None]]
) -> None:
    bus = make_bus()
    subject = bus.subscribe(answer, int, name="subject", **FIRST)
    async with bus.running():
        await way(bus)
        await quiet()
        assert (state(subject), subject.statistics().handled > 0) == ("running", True)


@pytest.mark.real_time
async def test_threads_that_publish_and_post_make_the_actor(make_bus: MakeBus) -> None:
    bus, handled = make_bus(), anyio.Event()
    first = bus.subscribe(take, int, name="first", **FIRST)

    @bus.subscriber(str, **FIRST)
    async def second(text: str) -> None:
        handled.set()

    async with bus.running():
        await anyio.to_thread.run_sync(bus.publish_from_thread, 1)
        assert state(first) != "dormant"
        await anyio.to_thread.run_sync(bus.post_from_thread, "posted")
        with anyio.fail_after(10):
            await handled.wait()


async def test_a_question_activates_only_the_one_that_is_asked(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = bus.subscribe(answer, int, name="subject", **FIRST)
    everything = bus.subscribe(take, object, name="everything", **FIRST)
    async with bus.running():
        assert await bus.ask(1) == "1!"
        await quiet()
        assert (state(subject), state(everything)) == ("running", "dormant")


async def test_a_question_for_several_or_for_a_stranger_activates_nobody(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = bus.subscribe(answer, int, name="subject", **FIRST)
    bus.subscribe(answer, int, name="other", **FIRST)
    bus.group("group")
    async with bus.running():
        with pytest.raises(NobodyToAsk, match="matches subject, other"):
            await bus.ask(1)
        with pytest.raises(UnknownSubscription, match="subject"):
            await bus.ask(1, to="nobody")
        with pytest.raises(UnknownSubscription):
            await bus.ask(1, to="group")
        assert state(subject) == "dormant"


async def test_a_replayed_letter_makes_the_actor_and_a_dry_run_does_not(make_bus: MakeBus) -> None:
    bus, failing = make_bus(), [True]

    @bus.subscriber(int, name="subject", retry=ONCE, **FIRST)
    async def subject(number: int) -> None:
        if failing[0]:
            raise LookupError

    async with bus.running():
        await outcome_of(bus, 1)
    failing.clear()
    failing.append(False)
    async with bus.running():
        assert (await bus.replay(dry_run=True)).refused == ()
        assert state(bus.subscriptions["subject"]) == "dormant"
        (receipt,) = (await bus.replay()).receipts
        assert await receipt.settled() == {"subject": Handled()}


async def test_a_letter_that_nobody_matched_makes_the_actor_of_whoever_matches_it_now(make_bus: MakeBus) -> None:
    bus = make_bus(dead_letter_undeliverable=True)
    async with bus.running():
        await bus.publish(1)
        subject = await bus.subscribe_now(take, int, name="subject", **FIRST)
        (receipt,) = (await bus.replay()).receipts
        assert await receipt.settled() == {"subject": Handled()}
        assert state(subject) != "dormant"


async def test_a_dormant_actor_that_is_paused_takes_events_and_begins_none(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = bus.subscribe(take, int, name="subject", **FIRST)
    async with bus.running():
        subject.pause()
        receipt = await bus.publish(1)
        await quiet()
        assert (state(subject), subject.statistics().depth) == ("running", 1)
        subject.resume()
        assert await receipt.settled() == {"subject": Handled()}


async def test_to_resume_a_dormant_one_changes_nothing(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = bus.subscribe(take, int, **FIRST)
    async with bus.running():
        subject.resume()
        assert state(subject) == "dormant"


async def test_a_dormant_actor_that_is_stopped_takes_nothing_until_it_is_restarted(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = bus.subscribe(take, int, name="subject", **FIRST)
    async with bus.running():
        await subject.stop()
        assert isinstance(await outcome_of(bus, 1), DeadLettered)
        assert only_letter(bus).reason is DeadLetterReason.ACTOR_STOPPED
        await subject.restart()
        assert await outcome_of(bus, 2) == Handled()


async def test_a_dormant_actor_that_is_restarted_is_up(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = bus.subscribe(take, int, **FIRST)
    async with bus.running():
        await subject.restart()
        assert state(subject) == "running"


# ── subscribing and unsubscribing ──


async def test_unsubscribed_it_leaves_no_trace(make_bus: MakeBus) -> None:
    bus, reports = observed(make_bus)
    subject = bus.subscribe(take, int, name="subject", **FIRST)
    async with bus.running():
        reports.clear()
        await subject.unsubscribe()
        assert (await bus.publish(1)).matched == ()
        assert "subject" not in bus.statistics().subscriptions
        assert not [each for each in reports if getattr(each, "child", "") == "subject"]
        assert await bus.subscribe_now(take, int, name="subject") is not subject


async def test_unsubscribing_a_dormant_one_is_done_even_if_cancelled(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = bus.subscribe(take, int, name="subject", **FIRST)
    async with bus.running():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await subject.unsubscribe()
        assert scope.cancelled_caught
        assert not bus.subscriptions
        assert not bus.statistics().subscriptions


async def test_subscribed_while_the_bus_runs_it_is_dormant(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        await bus.publish(0)
        subject = await bus.subscribe_now(take, int, name="subject", **FIRST)
        assert state(subject) == "dormant"
        assert await outcome_of(bus, 1) == Handled()


async def test_to_subscribe_a_dormant_one_can_be_cancelled(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await bus.subscribe_now(take, int, name="subject", **FIRST)
        assert scope.cancelled_caught
        assert not bus.subscriptions
        assert (await bus.publish(1)).matched == ()


async def test_a_bus_that_stops_refuses_a_dormant_one(make_bus: MakeBus) -> None:
    bus = make_bus()
    handler = Gated()
    bus.subscribe(handler, str, grace_period=5.0)
    async with bus.running():
        await bus.publish("busy")
        await quiet()
        bus.request_stop(drain_timeout=0.0)
        await anyio.sleep(1.0)
        with pytest.raises(BusClosed):
            await bus.subscribe_now(take, int, name="subject", **FIRST)
        assert "subject" not in bus.subscriptions


@pytest.mark.parametrize("activation", ["start", "first_event"])
async def test_the_name_of_an_actor_that_still_stops_is_not_free(make_bus: MakeBus, activation: Any) -> None:
    bus, may_end = make_bus(), anyio.Event()

    @bus.subscriber(int, name="subject", **FIRST)
    async def subject(number: int) -> None:
        await bus.subscriptions["subject"].unsubscribe()
        await may_end.wait()

    async with bus.running():
        await bus.publish(1)
        await quiet()
        with pytest.raises(ChildAlreadyStarted):
            await bus.subscribe_now(take, int, name="subject", activation=activation)
        may_end.set()
        await quiet()
        await bus.subscribe_now(take, int, name="subject", activation=activation)
        assert (bus.ledger().matched, bus.ledger().handled) == (1, 1)  # the account of the first one is not lost


# ── under its supervisor ──


class Unlucky:
    """An actor class that cannot be made the first *failures* times."""

    failures = 0

    def __init__(self) -> None:
        if type(self).failures:
            type(self).failures -= 1
            raise OSError("not yet")

    @handles(int)
    async def use(self, number: int) -> None: ...


def unlucky(failures: int) -> type[Unlucky]:
    return type("Unlucky", (Unlucky,), {"failures": failures})


async def test_a_first_start_that_fails_is_made_again_and_nothing_is_lost(make_bus: MakeBus) -> None:
    bus, reports = observed(make_bus)
    subject = bus.subscribe_actor(unlucky(2), name="subject", backoff=SOON, **FIRST)
    async with bus.running():
        receipt = await bus.publish(1)
        assert await receipt.settled() == {"subject": Handled()}
        assert (subject.statistics().restarts, subject.statistics().incarnation) == (2, 3)
    assert sum(isinstance(each, ChildStartFailed) for each in reports) == 2


async def test_who_asks_one_that_does_not_start_is_told_at_once(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe_actor(unlucky(1), name="subject", backoff=SOON, **FIRST)
    async with bus.running():
        with pytest.raises(ActorRestarting):
            await bus.ask(1, to="subject")
        await anyio.sleep(2.0)
        assert await bus.ask(1, to="subject") is None


async def test_one_that_never_starts_is_parked_as_any_other(make_bus: MakeBus) -> None:
    bus, reports = observed(make_bus)
    intensity = RestartIntensity(1, 1000.0)
    subject = bus.subscribe_actor(
        unlucky(9), name="subject", backoff=SOON, intensity=intensity, on_exhausted="park", **FIRST
    )
    async with bus.running():
        receipt = await bus.publish(1)
        await until(lambda: state(subject) == "parked")
        assert isinstance(await outcome_of(bus, 2), DeadLettered)
    assert receipt.outcomes == {"subject": Returned()}
    assert any(isinstance(each, ChildParked) for each in reports)


async def test_actors_stop_in_the_reverse_order_of_their_activation(make_bus: MakeBus) -> None:
    bus, reports = observed(make_bus)
    for name in "abc":
        bus.subscribe(take, int, name=name, activation="start" if name == "b" else "first_event")
    async with bus.running():
        await bus.ask(1, to="c")
        await bus.ask(1, to="a")
    assert [each.child for each in reports if isinstance(each, ChildStarted)] == ["b", "c", "a"]
    assert [each.child for each in reports if isinstance(each, ChildStopped)] == ["a", "c", "b"]


async def crash(_text: str) -> None:
    await cancel_as_a_stranger()


async def test_after_a_restart_of_its_group_an_active_one_comes_back_and_a_dormant_one_does_not(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()
    group = bus.group("fragile", intensity=RestartIntensity.never())
    active = group.subscribe(answer, int, name="active", **FIRST)
    dormant = group.subscribe(answer, float, name="dormant", **FIRST)
    group.subscribe(crash, str, name="crash", retry=ONCE, intensity=RestartIntensity.never())
    async with bus.running():
        assert await bus.ask(1) == "1!"
        await bus.publish("crash")
        await until(lambda: active.statistics().incarnation == 2)
        assert (state(active), state(dormant)) == ("running", "dormant")
        assert (await bus.ask(2), await bus.ask(2.5)) == ("2!", "2.5!")


async def test_an_event_for_a_group_that_is_down_waits_until_it_is_up(make_bus: MakeBus) -> None:
    bus = make_bus()
    group = bus.group("fragile", intensity=RestartIntensity.never())
    subject = group.subscribe(answer, int, name="subject", **FIRST)
    group.subscribe(crash, str, name="crash", retry=ONCE, intensity=RestartIntensity.never())
    async with bus.running():
        await bus.publish("crash")
        while states_in(bus.statistics().tree)["fragile"] != "waiting":
            await anyio.lowlevel.checkpoint()
        receipt = await bus.publish(1)
        with pytest.raises(ActorRestarting):
            await bus.ask(1)
        assert await receipt.settled() == {"subject": Handled()}
        assert subject.statistics().incarnation == 1


async def test_an_event_while_its_group_stops_waits_for_the_next_run_of_the_group(make_bus: MakeBus) -> None:
    bus, neighbour = make_bus(), Gated()
    group = bus.group("fragile", intensity=RestartIntensity.never())
    group.subscribe(neighbour, bytes, name="neighbour", grace_period=5.0)
    group.subscribe(answer, int, name="subject", **FIRST)
    group.subscribe(crash, str, name="crash", retry=ONCE, intensity=RestartIntensity.never())
    async with bus.running():
        await bus.publish(b"busy")
        await bus.publish("crash")
        await anyio.sleep(1.0)
        assert states_in(bus.statistics().tree)["fragile/neighbour"] == "stopping"
        receipt = await bus.publish(1)
        await anyio.sleep(1.0)
        assert receipt.outcomes == {}
        neighbour.open()
        assert await receipt.settled() == {"subject": Handled()}


# ── at unusual times ──


async def test_what_a_hook_publishes_while_the_bus_starts_waits_for_its_turn(make_bus: MakeBus) -> None:
    bus, receipts = make_bus(), list[Receipt]()
    subject = bus.subscribe(take, int, name="subject", **FIRST)
    seen: list[str] = []

    @bus.actor()
    class Starter:
        async def started(self) -> None:
            receipts.append(await bus.publish(1))
            await anyio.sleep(1.0)
            seen.append(state(subject))

        @handles(str)
        async def use(self, text: str) -> None: ...

    later = bus.subscribe(take, float, name="later")
    async with bus.running():
        assert (seen, state(later), state(subject)) == (["waiting"], "running", "running")
        assert await receipts[0].settled() == {"subject": Handled()}


async def test_what_a_constructor_publishes_is_handled(make_bus: MakeBus) -> None:
    bus, receipts = make_bus(), list[Receipt]()
    bus.subscribe(take, str, name="other", **FIRST)

    @bus.actor(name="subject", **FIRST)
    class Subject:
        def __init__(self) -> None:
            receipts.append(bus.publish_nowait("of another kind"))
            receipts.append(bus.publish_nowait(2))

        @handles(int)
        async def use(self, number: int) -> None: ...

    async with bus.running():
        receipts.append(await bus.publish(1))
        for receipt, name in zip(receipts, ["other", "subject", "subject"], strict=True):
            assert await receipt.settled() == {name: Handled()}


async def test_one_that_the_start_of_another_has_activated_is_activated_once(make_bus: MakeBus) -> None:
    bus, receipts = make_bus(), list[Receipt]()

    @bus.actor(name="a", **FIRST)
    class First:
        def __init__(self) -> None:
            receipts.append(bus.publish_nowait("for b alone"))

        @handles(int)
        async def use(self, number: int) -> None: ...

    b = bus.subscribe(take, int, str, name="b", **FIRST)
    async with bus.running():
        assert await (await bus.publish(1)).settled() == {"a": Handled(), "b": Handled()}
        assert await receipts[0].settled() == {"b": Handled()}
        assert b.statistics().incarnation == 1


async def test_a_handler_that_publishes_while_the_bus_drains_makes_the_actor(make_bus: MakeBus) -> None:
    bus, begun, may_publish = make_bus(), anyio.Event(), anyio.Event()
    receipts: list[Receipt] = []
    bus.subscribe(take, int, name="subject", **FIRST)

    @bus.subscriber(str)
    async def busy(text: str) -> None:
        begun.set()
        await may_publish.wait()
        receipts.append(await bus.publish(1))

    async with bus.running():
        await bus.publish("busy")
        await begun.wait()
        bus.request_stop()
        await quiet()
        assert bus.phase == "draining"
        may_publish.set()
    assert receipts[0].outcomes == {"subject": Handled()}
    assert bus.stop_report is not None
    assert bus.stop_report.returned == ()


async def test_one_that_is_addressed_while_the_bus_stops_is_never_started(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    subject = bus.subscribe(take, int, **FIRST)
    bus.subscribe(handler, str, name="busy", grace_period=5.0)
    async with bus.running():
        await bus.publish("busy")
        await quiet()
        bus.request_stop(drain_timeout=0.0)
        await anyio.sleep(1.0)
        subject.pause()
        await bus.wait_stopped()
        assert (state(subject), subject.statistics().incarnation) == ("stopped", 0)


@pytest.mark.real_time
def test_in_a_callback_of_asyncio_it_is_started_soon(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(take, int, name="subject", **FIRST)

    async def main() -> None:
        receipts: list[Receipt] = []
        async with bus.running():
            asyncio.get_running_loop().call_soon(lambda: receipts.append(bus.publish_nowait(1)))
            await asyncio.sleep(0)
            assert await receipts[0].settled() == {"subject": Handled()}

    asyncio.run(main())


# ── many at once ──


def crowd(bus: EventBus, count: int, **options: Any) -> list[Subscription]:
    return [bus.subscribe(take, int, name=f"s{number}", **options, **FIRST) for number in range(count)]


def active(crowd: list[Subscription]) -> int:
    states = crowd[0].registry.bus.statistics().subscriptions
    return sum(states[each.name].state != "dormant" for each in crowd if each.name in states)


async def test_a_publish_that_wakes_many_lets_others_have_their_turn(make_bus: MakeBus) -> None:
    bus = make_bus()
    many = crowd(bus, 200)
    seen: list[int] = []

    async def look() -> None:
        while not seen or seen[-1] < 200:
            seen.append(active(many))
            await anyio.lowlevel.checkpoint()

    async with bus.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        receipt = await bus.publish(1)
        assert list(await receipt.settled()) == [each.name for each in many]
    assert max(after - before for before, after in pairwise(seen)) < 100


async def test_a_publish_without_waiting_wakes_all_in_one_step(make_bus: MakeBus) -> None:
    bus = make_bus()
    many = crowd(bus, 100)
    async with bus.running():
        receipt = bus.publish_nowait(1)
        assert active(many) == 100
        assert len(await receipt.settled()) == 100


async def test_cancelled_while_it_wakes_many_a_publish_has_offered_nothing(make_bus: MakeBus) -> None:
    bus = make_bus()
    many = crowd(bus, 100)
    async with bus.running():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await bus.publish(1)
        assert scope.cancelled_caught
        assert 0 < active(many) < 100
        assert bus.ledger().matched == 0
        assert len(await (await bus.publish(2)).settled()) == 100


async def test_who_comes_and_goes_while_many_are_woken_gets_the_event_or_does_not(make_bus: MakeBus) -> None:
    bus = make_bus()
    many = crowd(bus, 400)
    async with bus.running(), anyio.create_task_group() as tasks:

        async def meanwhile() -> None:
            await many[-1].unsubscribe()
            many[-2].pause()
            many[-2].resume()
            await bus.subscribe_now(take, int, name="new", **FIRST)

        tasks.start_soon(meanwhile)
        receipt = await bus.publish(1)
        assert list(receipt.matched) == [*(each.name for each in many[:-1]), "new"]


async def test_a_bus_that_stops_while_many_are_woken_refuses_the_event(make_bus: MakeBus) -> None:
    bus = make_bus()
    many = crowd(bus, 100)

    async def stop() -> None:
        bus.request_stop(drain_timeout=0.0)

    async with bus.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        with pytest.raises(BusClosed):
            await bus.publish(1)
        await bus.wait_stopped()
    assert 0 < active(many) < 100
    assert bus.ledger().matched == 0


async def test_once_all_are_awake_their_events_go_the_fast_way(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(take, int, name="subject", **FIRST)
    async with bus.running():
        assert not bus.offer(deque([1]), 1)
        await bus.publish_many([2, 3])
        assert bus.offer(deque([4]), 1)
        await quiet()
        assert bus.subscriptions["subject"].statistics().handled == 3


async def test_keys_and_deliveries_are_those_of_any_actor(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[str]()

    @bus.subscriber(Note, name="subject", key=lambda note: note.key, **FIRST)
    async def subject(note: Note, delivery: Delivery[Note]) -> None:
        seen.append(f"{note.text} {delivery.attempt}")

    async with bus.running():
        for receipt in await bus.publish_many([Note("a", 1), Note("b", 1)]):
            await receipt.settled()
    assert seen == ["a 1", "b 1"]
