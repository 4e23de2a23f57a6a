"""Declaring subscribers on a bus and its groups, before it runs and while it does."""

from __future__ import annotations

import functools
import gc
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tocsin import (
    BusAlreadyRunning,
    BusClosed,
    BusNotRunning,
    ChildStartError,
    DuplicateName,
    EventBus,
    InvalidHandler,
    InvalidTopic,
    RestartIntensity,
    RestartPolicy,
    Strategy,
    SupervisionWarning,
    WrongThread,
    handles,
)
from tocsin.testing import Simulation, simulated
from tocsin_supervisors import RestartScheduled

MakeBus = Callable[..., EventBus]


async def ignore(event: object) -> None: ...


class Counter:
    def __init__(self, start: int = 0) -> None:
        self.count = start

    @handles(int)
    async def add(self, number: int) -> int:
        self.count += number
        return self.count


# ── before it runs ──


def test_a_decorated_function_stays_the_same_function(make_bus: MakeBus) -> None:
    assert make_bus().subscriber(object, name="all")(ignore) is ignore


def test_a_decorated_class_stays_the_same_class(make_bus: MakeBus) -> None:
    assert make_bus().actor()(Counter) is Counter


def test_a_subscription_is_called_after_its_handler(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    bus.subscribe_actor(Counter)
    assert list(bus.subscriptions) == ["ignore", "Counter"]


def test_a_name_is_taken_once(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    with pytest.raises(DuplicateName, match=r"already a subscription named 'ignore'.*name=") as caught:
        bus.group("inner").subscribe(ignore, int)
    assert caught.value.name == "ignore"


def test_a_group_has_a_name_of_its_own_wherever_it_is(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.group("outer").group("inner")
    with pytest.raises(DuplicateName, match="already a group named 'inner'"):
        bus.group("inner")


def test_a_subscription_cannot_be_called_as_a_group_is(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.group("outer").group("payments")
    with pytest.raises(DuplicateName, match="already a group named 'payments'"):
        bus.subscribe(ignore, int, name="payments")


def test_a_group_cannot_be_called_as_a_subscription_is(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.group("outer").subscribe(ignore, int, name="payments")
    with pytest.raises(DuplicateName, match="already a subscription named 'payments'"):
        bus.group("payments")


@pytest.mark.parametrize("name", ["", None, 7])
def test_a_group_has_a_name(make_bus: MakeBus, name: Any) -> None:
    with pytest.raises(TypeError, match=r"name=.*: the name of a group is a text that is not empty"):
        make_bus().group(name)


@pytest.mark.parametrize(
    ("option", "value"), [("strategy", "one_for_all"), ("intensity", 3), ("intensity", (3, 60))], ids=str
)
def test_the_policies_of_a_supervisor_are_checked_where_they_are_given(
    make_bus: MakeBus, option: str, value: object
) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(TypeError, match=f"{option}=.*must be"):
        make_bus().group("inner", **options)
    with pytest.raises(TypeError, match=f"{option}=.*must be"):
        EventBus("test", **options)


def test_a_refused_group_is_not_declared(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.group("inner")
    with pytest.raises(DuplicateName):
        bus.group("inner")
    assert len(bus.members) == 1


def test_every_group_finds_the_bus(make_bus: MakeBus) -> None:
    bus = make_bus()
    assert bus.group("outer").group("inner").bus is bus.bus is bus


def test_a_group_tells_what_it_is(make_bus: MakeBus) -> None:
    group = make_bus().group("payments", strategy=Strategy.REST_FOR_ONE)
    group.subscribe(ignore, int)
    assert repr(group) == "<Group payments: rest_for_one, 1 members>"


def test_the_names_of_nested_groups_and_subscriptions_are_in_order_of_declaration(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int, name="1")
    outer = bus.group("outer")
    outer.group("inner").subscribe(ignore, int, name="2")
    outer.subscribe(ignore, int, name="3")
    bus.subscribe(ignore, int, name="4")
    assert list(bus.subscriptions) == ["1", "2", "3", "4"]
    assert bus.group_names() == {"outer", "inner"}


@pytest.mark.parametrize(
    ("interests", "error"),
    [((), InvalidHandler), ((7,), InvalidHandler), (("a..b",), InvalidTopic), (("a\nb",), InvalidTopic)],
    ids=str,
)
def test_a_subscription_is_interested_in_something(
    make_bus: MakeBus, interests: tuple[Any, ...], error: type[Exception]
) -> None:
    bus = make_bus()
    with pytest.raises(error):
        bus.subscribe(ignore, *interests)
    assert bus.subscriptions == {}


async def test_a_factory_makes_the_state_of_an_actor(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe_actor(functools.partial(Counter, 10), name="partial")
    bus.subscribe_actor(lambda: Counter(100), of=Counter, name="function")
    async with bus.running():
        assert await bus.ask(1, to="partial") == 11
        assert await bus.ask(1, to="function") == 101


def test_a_factory_that_hides_its_class_is_refused(make_bus: MakeBus) -> None:
    with pytest.raises(InvalidHandler, match=r"does not tell which actor class it makes.*of=Class"):
        make_bus().subscribe_actor(lambda: Counter())


async def test_one_handler_may_be_subscribed_twice_under_two_names(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[int]()

    async def note(number: int) -> None:
        seen.append(number)

    first = bus.subscribe(note, int, name="first")
    bus.subscribe(note, int, name="second")
    async with bus.running():
        await (await bus.publish(1)).settled()
        await first.unsubscribe()
        await (await bus.publish(2)).settled()
    assert seen == [1, 1, 2]


async def test_a_topic_and_a_class_that_both_match_give_one_delivery(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int, "numbers.*", object)
    async with bus.running():
        receipt = await bus.publish(1, topic="numbers.one")
        assert receipt.matched == ("ignore",)


# ── while it runs ──


async def test_a_running_bus_is_subscribed_to_by_other_methods(make_bus: MakeBus) -> None:
    bus = make_bus()
    group = bus.group("inner")
    async with bus.running():
        with pytest.raises(BusAlreadyRunning, match=r"bus 'test' is running: use `await subscribe_now\(…\)`"):
            bus.subscribe(ignore, int)
        with pytest.raises(BusAlreadyRunning, match="subscribe_now"):
            group.subscriber(int)(ignore)
        with pytest.raises(BusAlreadyRunning, match=r"use `await subscribe_actor_now\(…\)`"):
            bus.actor()(Counter)
        with pytest.raises(BusAlreadyRunning, match="declare groups before the bus runs"):
            bus.group("second")
    assert bus.subscriptions == {}


async def test_a_bus_that_has_stopped_takes_declarations_again(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        pass
    bus.subscribe(ignore, int)
    async with bus.running():
        assert (await bus.publish(1)).matched == ("ignore",)


async def test_subscribe_now_needs_a_bus_that_runs(make_bus: MakeBus) -> None:
    bus = make_bus()
    with pytest.raises(BusNotRunning, match=r"use subscribe\(\) before it does"):
        await bus.subscribe_now(ignore, int)
    async with bus.running():
        pass
    with pytest.raises(BusNotRunning):
        await bus.subscribe_actor_now(Counter)
    assert bus.subscriptions == {}


async def test_what_is_published_after_subscribe_now_has_returned_is_delivered(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        assert (await bus.publish(1)).matched == ()
        await bus.subscribe_now(ignore, int)
        assert (await bus.publish(1)).matched == ("ignore",)


async def test_a_group_takes_subscriptions_while_it_runs(make_bus: MakeBus) -> None:
    bus = make_bus()
    group = bus.group("inner")
    async with bus.running():
        await group.subscribe_actor_now(Counter, name="counter")
        assert await bus.ask(3) == 3
        assert bus.statistics().subscriptions["counter"].group == "inner"


async def test_an_event_on_its_way_does_not_reach_who_subscribes_meanwhile(make_bus: MakeBus) -> None:
    bus = make_bus()
    gate = anyio.Event()

    async def slow(event: int) -> None:
        await gate.wait()

    bus.subscribe(slow, int, mailbox=1)
    async with bus.running(), anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(bus.publish, number)
        await anyio.wait_all_tasks_blocked()
        assert bus.ledger().blocked == 1
        await bus.subscribe_now(ignore, int)
        gate.set()
    assert bus.statistics().subscriptions["ignore"].handled == 0


async def test_who_does_not_start_is_not_subscribed(make_bus: MakeBus) -> None:
    class Broken(Counter):
        async def started(self) -> None:
            raise ConnectionError("no database")

    bus = make_bus()
    async with bus.running():
        with pytest.raises(ChildStartError, match="no database"):
            await bus.subscribe_actor_now(Broken, restart=RestartPolicy.TEMPORARY)
        assert (await bus.publish(1)).matched == ()
        assert bus.subscriptions == {}
        await bus.subscribe_actor_now(Counter, name="Broken")  # the name is free again


async def test_a_cancelled_subscribe_now_subscribes_nobody(make_bus: MakeBus) -> None:
    class Slow(Counter):
        async def started(self) -> None:
            await anyio.sleep(10)

    bus = make_bus()
    async with bus.running():
        with anyio.move_on_after(1) as scope:
            await bus.subscribe_actor_now(Slow)
        assert scope.cancelled_caught
        assert bus.subscriptions == {}
        assert (await bus.publish(1)).matched == ()
        await anyio.sleep(5.1)  # its grace period
        assert tree_of(bus) == ()


async def test_a_letter_replayed_to_who_then_does_not_start_is_a_letter_again(make_bus: MakeBus) -> None:
    class Fails:
        @handles(int)
        async def fail(self, number: int) -> None:
            raise LookupError(number)

        async def started(self) -> None: ...

    class StartsBadly(Fails):
        async def started(self) -> None:
            await anyio.sleep(5)
            raise ConnectionError("no database")

    bus = make_bus()
    async with bus.running(), anyio.create_task_group() as group:
        first = await bus.subscribe_actor_now(Fails, name="x")
        await (await bus.publish(1)).settled()
        await first.unsubscribe()
        assert len(bus.dead_letters) == 1

        async def try_again() -> None:
            with pytest.raises(ChildStartError):
                await bus.subscribe_actor_now(StartsBadly, name="x")

        group.start_soon(try_again)
        await anyio.sleep(1)
        await bus.replay(subscription="x")
    assert len(bus.dead_letters) == 1


async def test_a_name_is_taken_while_its_actor_starts(make_bus: MakeBus) -> None:
    class Slow(Counter):
        async def started(self) -> None:
            await anyio.sleep(10)

    bus = make_bus()
    async with bus.running(), anyio.create_task_group() as group:
        group.start_soon(functools.partial(bus.subscribe_actor_now, Slow))
        await anyio.sleep(1)
        with pytest.raises(DuplicateName):
            await bus.subscribe_actor_now(Slow)


async def test_nobody_subscribes_to_a_bus_that_is_about_to_end(make_bus: MakeBus) -> None:
    bus = make_bus()
    caught: list[BaseException] = []

    class Last:
        @handles(int)
        async def never(self, event: int) -> None: ...

        async def stopping(self) -> None:
            try:
                await bus.subscribe_now(ignore, int)
            except BusClosed as error:
                caught.append(error)

    bus.subscribe_actor(Last)
    async with bus.running():
        pass
    assert len(caught) == 1
    assert list(bus.subscriptions) == ["Last"]


async def test_what_was_subscribed_while_running_is_there_in_the_next_run(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        await bus.subscribe_now(ignore, int)
    async with bus.running():
        assert (await bus.publish(1)).matched == ("ignore",)


async def test_a_subscriber_made_while_running_comes_back_with_its_group(make_bus: MakeBus) -> None:
    bus = make_bus()
    group = bus.group("inner")
    group.subscribe(FailOnce(), str, **GIVEN_UP_AT_ONCE)
    async with bus.running():
        await group.subscribe_now(ignore, int)
        await bus.publish("now")
        await anyio.sleep(5)
        receipt = await bus.publish(1)
        await receipt.settled()
        assert bus.statistics().subscriptions["ignore"].handled == 1
        assert bus.statistics().subscriptions["ignore"].incarnation == 2


async def test_who_unsubscribes_while_the_group_is_down_stays_away_when_it_comes_back(make_bus: MakeBus) -> None:
    started: list[str] = []

    class Watched:
        @handles(int)
        async def never(self, event: int) -> None: ...

        async def started(self) -> None:
            started.append("up")

    bus = make_bus()
    group = bus.group("inner")
    group.subscribe(FailOnce(), str, **GIVEN_UP_AT_ONCE)
    watched = group.subscribe_actor(Watched)
    async with bus.running():
        await bus.publish("now")
        while node_of(bus, "inner").state != "waiting":  # noqa: ASYNC110  # nobody tells of it
            await anyio.sleep(0.001)
        await watched.unsubscribe()
        await anyio.sleep(5)
        assert node_of(bus, "inner").state == "running"
        assert started == ["up"]
    assert list(bus.subscriptions) == ["FailOnce"]


async def test_who_unsubscribes_while_the_group_is_being_stopped_stays_away_when_it_comes_back(
    make_bus: MakeBus,
) -> None:
    bus, started = make_bus(), list[str]()

    class Watched:
        @handles(int)
        async def never(self, event: int) -> None: ...

        async def started(self) -> None:
            started.append("up")

    class SlowToStop:
        @handles(int)
        async def never(self, event: int) -> None: ...

        async def stopping(self) -> None:
            await anyio.sleep(3)

    group = bus.group("inner")
    group.subscribe_actor(SlowToStop)
    group.subscribe(FailOnce(), str, **GIVEN_UP_AT_ONCE)
    watched = group.subscribe_actor(Watched)
    async with bus.running():
        await bus.publish("now")
        await anyio.sleep(1)
        await watched.unsubscribe()
        await anyio.sleep(10)
        assert node_of(bus, "inner").state == "running"
        assert started == ["up"]
        assert [child.id for child in node_of(bus, "inner").children] == ["SlowToStop", "FailOnce"]


@pytest.mark.slow
async def test_a_sibling_that_hangs_holds_up_nobody_who_unsubscribes(make_bus: MakeBus) -> None:
    bus, release = make_bus(), anyio.Event()

    class Stubborn:
        @handles(int)
        async def on(self, event: int) -> None:
            with anyio.CancelScope(shield=True):
                await release.wait()

    group = bus.group("inner")
    group.subscribe_actor(Stubborn, grace_period=0, timeout=None)
    group.subscribe(FailOnce(), str, **GIVEN_UP_AT_ONCE)
    watched = group.subscribe(ignore, float)
    async with bus.running(drain_timeout=0):
        await bus.publish(1)
        await bus.publish("now")
        await anyio.sleep(3)
        try:
            with anyio.fail_after(10):
                await watched.unsubscribe()
            assert "ignore" not in bus.subscriptions
        finally:
            release.set()


@pytest.mark.parametrize("steps", range(16))
async def test_who_unsubscribes_is_gone_for_good_in_whatever_step_its_group_comes_back(
    make_bus: MakeBus, steps: int
) -> None:
    started: list[str] = []
    due: list[float] = []

    class Watched:
        @handles(int)
        async def never(self, event: int) -> None: ...

        async def started(self) -> None:
            started.append("up")

    async def observe(report: object) -> None:
        if isinstance(report, RestartScheduled) and report.child == "inner":
            due.append(report.at + report.delay)

    bus = make_bus(observer=observe)
    group = bus.group("inner")
    group.subscribe(FailOnce(), str, **GIVEN_UP_AT_ONCE)
    watched = group.subscribe_actor(Watched)
    async with bus.running():
        await bus.publish("now")
        await anyio.wait_all_tasks_blocked()
        await anyio.sleep_until(due[0])
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        await watched.unsubscribe()
        lives = len(started)
        await anyio.sleep(5)
        assert len(started) == lives
        assert [child.id for child in node_of(bus, "inner").children] == ["FailOnce"]


@pytest.mark.slow
@simulated(seeds=20, schedules=["random"])
async def test_who_unsubscribes_while_its_group_comes_back_is_gone_on_any_schedule(simulation: Simulation) -> None:
    due: list[float] = []

    async def observe(report: object) -> None:
        if isinstance(report, RestartScheduled) and report.child == "inner":
            due.append(report.at + report.delay)

    bus = EventBus("simulated", observer=observe)
    group = bus.group("inner")
    group.subscribe(FailOnce(), str, **GIVEN_UP_AT_ONCE)
    leaver = group.subscribe(ignore, int, name="leaver")
    async with bus.running():
        await bus.publish("now")
        while not due:  # noqa: ASYNC110  # it is the observer that is told
            await anyio.sleep(0.001)
        await anyio.sleep_until(due[0])
        for _ in range(simulation.seed):
            await anyio.lowlevel.checkpoint()
        await leaver.unsubscribe()
        await anyio.sleep(5)
        assert [child.id for child in node_of(bus, "inner").children] == ["FailOnce"]


@pytest.mark.real_time
async def test_nobody_subscribes_from_another_thread(make_bus: MakeBus) -> None:
    bus = make_bus()

    def elsewhere() -> None:
        coroutine = bus.subscribe_now(ignore, int)
        try:
            coroutine.send(None)
        finally:
            coroutine.close()

    async with bus.running():
        with pytest.raises(WrongThread, match="only publish_from_thread"):
            await anyio.to_thread.run_sync(elsewhere)
        assert bus.subscriptions == {}


async def test_a_bus_keeps_nothing_of_who_has_unsubscribed(make_bus: MakeBus) -> None:
    class Handler:
        async def __call__(self, event: int) -> None: ...

    bus = make_bus()
    async with bus.running():
        handler = Handler()
        watched = weakref.ref(handler)
        subscription = await bus.subscribe_now(handler, int, name="one")
        await (await bus.publish(1)).settled()
        await subscription.unsubscribe()
        del handler, subscription
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        assert watched() is None


class FailOnce:
    """A handler that takes its group down with its first event."""

    failed = False

    async def __call__(self, event: str) -> None:
        if not self.failed:
            self.failed = True
            raise ConnectionError("the first time")


GIVEN_UP_AT_ONCE: Any = {"sick_after": 1, "intensity": RestartIntensity(0, 5.0)}


def tree_of(bus: EventBus) -> tuple[Any, ...]:
    tree = bus.statistics().tree
    assert tree is not None
    return tree.children


def node_of(bus: EventBus, name: str) -> Any:
    return next(child for child in tree_of(bus) if child.id == name)


# ── advice ──


async def test_what_is_very_likely_a_mistake_in_the_tree_is_a_warning_when_the_bus_runs(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int, unpark_after=5.0)
    with pytest.warns(SupervisionWarning, match="unpark_after=5 of child 'ignore' will not be consulted"):
        async with bus.running():
            pass


def test_a_bus_explains_the_tree_it_declares_with_its_groups(make_bus: MakeBus) -> None:
    bus = make_bus("shop")
    bus.group("inner").subscribe(ignore, int, grace_period=60.0)
    findings = [finding for finding in bus.explain() if finding.severity == "warning"]
    assert [(finding.supervisor, finding.rule) for finding in findings] == [("shop/inner", "stop_of_one_too_long")]
    assert not [finding for finding in bus.explain(shutdown_deadline=100.0) if finding.severity == "warning"]


def test_to_ask_for_an_explanation_warns_of_nothing(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int, unpark_after=5.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [finding.severity for finding in bus.explain()] == ["warning"]


@pytest.mark.parametrize("count", [1, 6, 30])
async def test_a_bus_of_defaults_warns_of_nothing(make_bus: MakeBus, count: int) -> None:
    bus = make_bus()
    for number in range(count):
        bus.subscribe(ignore, int, name=f"number {number}")
        bus.group(f"group {number}").subscribe(ignore, int, name=f"in group {number}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", SupervisionWarning)
        async with bus.running():
            pass
