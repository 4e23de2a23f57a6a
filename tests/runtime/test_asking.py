"""Questions: one actor, one answer, or an error that says why there is none."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from tocsin import (
    ActorRestarting,
    ActorStopped,
    AskError,
    AskFailed,
    AskTimeout,
    Coalesce,
    DropOldest,
    EventBus,
    InvalidTopic,
    NobodyToAsk,
    Priority,
    Reject,
    RestartIntensity,
    RestartPolicy,
    RouteError,
    TocsinError,
    UnknownSubscription,
    WouldDeadlock,
    handles,
)
from tocsin._asking import Question
from tocsin.exceptions import FinishActor

MakeBus = Callable[..., EventBus]
DROPPED = "the question was dropped by the policy of 'slow' (oldest): ask again later"


async def double(number: int) -> int:
    return 2 * number


def plain(number: int) -> int:
    return number + 1


async def slow(number: int) -> int:
    await anyio.sleep(1)
    return number


async def fail(number: int) -> int:
    raise LookupError(number)


async def ignore(event: object) -> None: ...


async def asking(bus: EventBus, errors: list[BaseException], event: object, **options: Any) -> None:
    """Ask, and note the error."""
    try:
        await bus.ask(event, **options)
    except AskError as error:
        errors.append(error)


# ── whom ──


async def test_the_return_value_of_the_handler_is_the_answer(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(double, int)
    async with bus.running():
        assert await bus.ask(21) == 42
    assert bus.ledger().handled == 1


@pytest.mark.real_time
async def test_a_synchronous_handler_answers_from_its_thread(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(plain, int)
    async with bus.running():
        assert await bus.ask(1) == 2


async def test_who_listens_to_everything_is_not_meant(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, object)
    bus.subscribe(double, int)
    async with bus.running():
        assert await bus.ask(1) == 2
        assert await bus.ask(1, to="ignore") is None


async def test_a_question_may_be_addressed_by_name_or_by_handle(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(double, int)
    subscription = bus.subscribe(slow, int)
    async with bus.running():
        assert await bus.ask(3, to="double") == 6
        assert await bus.ask(3, to=subscription) == 3


async def test_a_question_that_nobody_or_several_would_get_is_refused(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(double, int)
    bus.subscribe(slow, int)
    async with bus.running():
        with pytest.raises(
            NobodyToAsk, match=r"a question is for one actor, .* matches double, slow: name one with to="
        ):
            await bus.ask(1)
        with pytest.raises(NobodyToAsk, match=r"matches nobody"):
            await bus.ask("a")
        with pytest.raises(
            UnknownSubscription, match=r"no subscription is named 'x'; known ones: double, slow"
        ) as caught:
            await bus.ask(1, to="x")
    assert caught.value.name == "x"
    assert bus.ledger().matched == 0


async def test_predicates_and_priorities_decide_who_is_meant(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(double, int, when=lambda number: number < 10, priorities=[Priority.NORMAL])
    bus.subscribe(slow, int, when=lambda number: number >= 10)
    async with bus.running():
        assert await bus.ask(9) == 18
        assert await bus.ask(10) == 10
        with pytest.raises(NobodyToAsk, match="nobody"):
            await bus.ask(9, priority=Priority.HIGH)


async def test_a_predicate_that_raises_refuses_the_question(make_bus: MakeBus) -> None:
    def hostile(number: int) -> bool:
        raise LookupError

    bus = make_bus()
    bus.subscribe(double, int, when=hostile)
    async with bus.running():
        with pytest.raises(RouteError, match="the predicate"):
            await bus.ask(1)
        with pytest.raises(InvalidTopic):
            await bus.ask(1, topic="a..b")
    assert bus.ledger().matched == 0


# ── no answer ──


@pytest.mark.parametrize("value", [-1, math.nan, "5", None, True])
async def test_the_limit_of_a_question_is_seconds(make_bus: MakeBus, value: Any) -> None:
    bus = make_bus()
    bus.subscribe(double, int)
    async with bus.running():
        with pytest.raises(ValueError, match=r"timeout=.*: must be seconds, 0 or more"):
            await bus.ask(1, timeout=value)
        assert await bus.ask(1, timeout=math.inf) == 2


async def test_a_question_that_is_answered_too_late_is_worked_on_for_nobody(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        before = anyio.current_time()
        with pytest.raises(AskTimeout, match=r"no answer from 'slow' within 0.5 s to <Envelope") as caught:
            await bus.ask(1, timeout=0.5)
        assert anyio.current_time() - before == pytest.approx(0.5, abs=0.05)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.subscription == "slow"
        await anyio.sleep(1)
    assert bus.ledger().handled == 1


async def test_a_question_that_still_waits_is_withdrawn(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        await bus.publish(1)
        with pytest.raises(AskTimeout):
            await bus.ask(2, timeout=0.5)
        assert bus.ledger().rejected == 1
        assert bus.ledger().queued == 0
    assert bus.ledger().handled == 1


async def test_a_cancelled_question_is_withdrawn(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        await bus.publish(1)
        with anyio.move_on_after(0.5) as scope:
            await bus.ask(2)
        assert scope.cancelled_caught
        assert bus.ledger().rejected == 1


@pytest.mark.parametrize("overflow", [None, Reject(), DropOldest()], ids=str)
async def test_a_question_waits_for_room_whatever_the_policy_for_events(make_bus: MakeBus, overflow: Any) -> None:
    bus, answers = make_bus(), list[int]()
    options: Any = {} if overflow is None else {"overflow": overflow}
    bus.subscribe(slow, int, mailbox=1, **options)

    async def ask(number: int) -> None:
        answers.append(await bus.ask(number, timeout=100))

    async with bus.running(), anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
    assert answers == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("how", ["late", "cancelled"])
async def test_a_question_that_waits_for_room_is_withdrawn(make_bus: MakeBus, how: str) -> None:
    bus = make_bus()
    bus.subscribe(slow, int, mailbox=1)
    async with bus.running():
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        await bus.publish(2)
        if how == "late":
            with pytest.raises(AskTimeout):
                await bus.ask(3, timeout=0.5)
        else:
            with anyio.move_on_after(0.5):
                await bus.ask(3)
        assert bus.ledger().rejected == 1
        assert bus.ledger().blocked == 0
    assert bus.ledger().handled == 2


async def test_who_waits_for_room_gets_that_of_a_question_that_is_withdrawn(make_bus: MakeBus) -> None:
    bus, errors = make_bus(), list[BaseException]()
    bus.subscribe(slow, int, mailbox=1)
    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(partial(asking, bus, errors, 2, timeout=0.5))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(bus.publish, 3)
        await anyio.sleep(0.75)  # the question has left the mailbox that it had filled; the handler is at the first
        assert (len(errors), bus.ledger().blocked, bus.ledger().handled) == (1, 0, 0)


async def test_a_handler_that_raises_is_told_of_once_and_not_retried(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(fail, int)
    async with bus.running():
        with pytest.raises(AskFailed, match=r"'fail' failed to answer: builtins.LookupError: 7") as caught:
            await bus.ask(7)
    assert isinstance(caught.value.__cause__, LookupError)
    assert caught.value.failure.type == "builtins.LookupError"
    assert bus.ledger().rejected == 1
    assert bus.statistics().subscriptions["fail"].retried == 0
    assert len(bus.dead_letters) == 0


async def test_a_question_that_takes_longer_than_the_handler_may_has_failed(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int, timeout=0.5)
    async with bus.running():
        with pytest.raises(AskFailed, match="TimedOut"):
            await bus.ask(7)


async def test_an_answer_that_nobody_would_run_is_a_failure_of_the_handler(make_bus: MakeBus) -> None:
    async def lazy(number: int) -> Any:
        return double(number)

    bus = make_bus()
    bus.subscribe(lazy, int)
    async with bus.running():
        with pytest.raises(AskFailed, match="which nobody would run"):
            await bus.ask(7)


async def test_a_question_that_expires_before_its_turn_is_late(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        await bus.publish(1)
        with pytest.raises(AskTimeout, match="expired"):
            await bus.ask(2, expires_in=0.5)


async def test_a_question_that_makes_room_for_events_is_told_so(make_bus: MakeBus) -> None:
    bus, errors = make_bus(), list[BaseException]()
    bus.subscribe(slow, int, mailbox=1, overflow=DropOldest())
    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(functools.partial(asking, bus, errors, 2, timeout=100))
        await anyio.wait_all_tasks_blocked()
        await bus.publish(3)
        await anyio.wait_all_tasks_blocked()
        assert [str(error) for error in errors] == [DROPPED]


async def test_a_question_that_is_coalesced_away_is_told_so(make_bus: MakeBus) -> None:
    bus, errors = make_bus(), list[BaseException]()
    bus.subscribe(slow, int, overflow=Coalesce(by=bool))
    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(functools.partial(asking, bus, errors, 2, timeout=100))
        await anyio.wait_all_tasks_blocked()
        await bus.publish(3)
        await anyio.wait_all_tasks_blocked()
        assert len(errors) == 1


# ── nobody there ──


async def test_a_suspended_actor_is_not_asked(make_bus: MakeBus) -> None:
    bus, errors = make_bus(), list[BaseException]()

    async def sick(number: int) -> None:
        await anyio.sleep(1)
        raise ConnectionError

    bus.subscribe(sick, int, sick_after=1)
    async with bus.running(drain_timeout=0), anyio.create_task_group() as group:
        await bus.publish(1)
        group.start_soon(functools.partial(asking, bus, errors, 2, timeout=100))
        await anyio.sleep(1.5)
        await asking(bus, errors, 3)
    assert [type(error) for error in errors] == [ActorRestarting, ActorRestarting]
    assert [getattr(error, "event", None) for error in errors] == [2, 3]
    assert "is not up at the moment" in str(errors[0])


async def test_who_waits_for_room_of_an_actor_that_goes_down_is_told_at_once(make_bus: MakeBus) -> None:
    bus, errors = make_bus(), list[BaseException]()

    async def sick(number: int) -> None:
        await anyio.sleep(1)
        raise ConnectionError

    bus.subscribe(sick, int, sick_after=1, mailbox=1)
    async with bus.running(drain_timeout=0), anyio.create_task_group() as group:
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        await bus.publish(2)
        group.start_soon(functools.partial(asking, bus, errors, 3, timeout=100))
        await anyio.sleep(1.5)
        assert [type(error) for error in errors] == [ActorRestarting]


async def test_a_parked_actor_answers_nobody(make_bus: MakeBus) -> None:
    bus, errors = make_bus(), list[BaseException]()

    async def sick(number: int) -> None:
        await anyio.sleep(1)
        raise ConnectionError

    bus.subscribe(sick, int, sick_after=1, intensity=RestartIntensity(0, 5.0), on_exhausted="park")
    async with bus.running(drain_timeout=0):
        await bus.publish(1)
        await anyio.sleep(2)
        await asking(bus, errors, 3)
    assert [type(error) for error in errors] == [ActorStopped]
    assert "does not run any more" in str(errors[0])


async def test_an_actor_that_finishes_leaves_no_asker_waiting(make_bus: MakeBus) -> None:
    bus, errors = make_bus(), list[BaseException]()

    async def once(number: int) -> None:
        await anyio.sleep(1)
        raise FinishActor

    bus.subscribe(once, int, restart=RestartPolicy.TRANSIENT)
    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(functools.partial(asking, bus, errors, 2, timeout=100))
        await anyio.sleep(2)
        await asking(bus, errors, 3, to="once")
    assert {type(error) for error in errors} <= {ActorStopped, ActorRestarting}
    assert len(errors) == 2


async def test_who_asks_an_actor_that_is_unsubscribed_is_told(make_bus: MakeBus) -> None:
    bus, errors = make_bus(), list[BaseException]()
    subscription = bus.subscribe(slow, int, mailbox=1, grace_period=0)
    async with bus.running(), anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(functools.partial(asking, bus, errors, number, timeout=100))
            await anyio.wait_all_tasks_blocked()
        await subscription.unsubscribe()
    assert {type(error) for error in errors} <= {ActorStopped, ActorRestarting}
    assert len(errors) == 3
    assert bus.ledger().live == 0


async def test_the_state_of_an_actor_is_renewed_when_a_question_fails(make_bus: MakeBus) -> None:
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        @handles(int)
        async def add(self, number: int) -> int:
            self.count += 1
            if number < 0:
                raise LookupError
            return self.count

    bus = make_bus()
    bus.subscribe_actor(Counter)
    async with bus.running():
        assert [await bus.ask(1), await bus.ask(1)] == [1, 2]
        with pytest.raises(AskFailed):
            await bus.ask(-1)
        await anyio.wait_all_tasks_blocked()
        assert await bus.ask(1) == 1


async def test_the_first_word_to_an_asker_counts() -> None:
    told, answered = Question(), Question()
    told.fail(ActorStopped("a", 7))
    told.answer(42)
    answered.answer(42)
    answered.fail(ActorStopped("a", 7))
    assert await answered.wait() == 42
    with pytest.raises(ActorStopped):
        await told.wait()


# ── from handlers ──


async def test_a_handler_that_asks_itself_is_refused_at_once(make_bus: MakeBus) -> None:
    bus, caught = make_bus(), list[TocsinError]()

    async def own(number: int) -> None:
        with pytest.raises(WouldDeadlock) as error:
            await bus.ask(number + 1, to="own")
        caught.append(error.value)

    bus.subscribe(own, int)
    async with bus.running():
        await (await bus.publish(1)).settled()
    (error,) = caught
    assert isinstance(error, WouldDeadlock)
    assert error.cycle == ("own", "own")
    assert "own → own" in str(error)


@pytest.mark.parametrize("length", [2, 3, 5])
async def test_a_ring_of_questions_is_refused_where_it_would_close(make_bus: MakeBus, length: int) -> None:
    bus, caught = make_bus(), list[WouldDeadlock]()

    def asker(number: int) -> Callable[[int], Any]:
        async def ask(event: int) -> str:
            try:
                return str(await bus.ask(event, to=str((number + 1) % length)))
            except WouldDeadlock as error:
                caught.append(error)
                return "refused"

        return ask

    for number in range(length):
        bus.subscribe(asker(number), int, name=str(number))
    async with bus.running():
        assert await bus.ask(1, to="0") == "refused"
    (error,) = caught
    assert len(error.cycle) == length + 1
    assert error.cycle[0] == error.cycle[-1]


async def test_a_task_that_a_handler_started_may_ask_what_the_handler_could_not(make_bus: MakeBus) -> None:
    bus, answers = make_bus(), list[object]()

    async def ask(number: int) -> None:
        answers.append(await bus.ask(number, to="own", timeout=1))

    async def own(number: int) -> int:
        if number == 1:
            group.start_soon(ask, 2)
            await anyio.sleep(0.1)
        return number

    bus.subscribe(own, int)
    async with bus.running(), anyio.create_task_group() as group:
        await (await bus.publish(1)).settled()
    assert answers == [2]


async def test_a_question_inherits_the_correlation_and_has_its_cause(make_bus: MakeBus) -> None:
    bus, envelopes = make_bus(), list[Any]()

    async def relay(text: str) -> None:
        await bus.ask(1)

    async def note(number: int, delivery: Any) -> None:
        envelopes.append(delivery.envelope)

    bus.subscribe(relay, str)
    bus.subscribe(note, int)
    async with bus.running():
        receipt = await bus.publish("a", correlation_id="c")
        await receipt.settled()
    assert [(each.correlation_id, each.causation_id) for each in envelopes] == [("c", receipt.event_id)]
