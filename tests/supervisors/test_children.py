"""Child specs are checked at the door; contexts are what children see of their supervision."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.supervisors.scripted import settle
from tocsin_supervisors import ChildContext, ChildSpec, ChildState, Supervisor


async def plain() -> None: ...


async def with_context(context: ChildContext) -> None: ...


async def with_two(one: object, two: object) -> None: ...


async def with_keyword(*, one: object) -> None: ...


async def with_defaults(one: object = None, *rest: object, two: object = None, **others: object) -> None: ...


async def stream() -> AsyncIterator[int]:
    yield 1  # pragma: no cover  # never run


class Callable:
    async def __call__(self, context: ChildContext) -> None: ...

    async def method(self) -> None: ...


@pytest.mark.parametrize(
    ("start", "wants"),
    [
        (plain, False),
        (with_context, True),
        (with_defaults, False),
        (Callable(), True),
        (Callable().method, False),
        (functools.partial(with_two, 1), True),
        (functools.partial(with_two, 1, 2), False),
        (functools.partial(with_keyword, one=1), False),
        (lambda: plain(), False),
        (type, False),  # callable, but without a signature
        (Supervisor(), True),
    ],
)
def test_a_context_is_given_to_what_requires_one_positional_argument(start: Any, wants: bool) -> None:
    assert ChildSpec("a", start).wants_context is wants


@pytest.mark.parametrize(
    ("start", "hint"),
    [
        (None, "must be an async function"),
        ("plain", "must be an async function"),
        (with_two, "requires the arguments one, two"),
        (with_keyword, "requires the arguments one"),
        (stream, "is a generator function"),
    ],
)
def test_what_cannot_be_started_is_refused_with_a_hint(start: Any, hint: str) -> None:
    with pytest.raises(TypeError, match=hint):
        ChildSpec("a", start)


def test_the_states_of_a_child_are_words() -> None:
    assert {each.value for each in ChildState} == {
        "starting",
        "running",
        "stopping",
        "waiting",
        "suspended",
        "parked",
        "stopped",
        "finished",
    }


async def test_a_context_says_in_words_what_it_is() -> None:
    texts: list[str] = []

    async def child(context: ChildContext) -> None:
        texts.append(repr(context))
        context.started()
        texts.append(repr(context))
        await context.wait_stop_requested()
        texts.append(repr(context))

    async with Supervisor("root", [ChildSpec("a", child)]).running():
        pass
    assert texts == [f"<ChildContext root/a: incarnation 1, {state}>" for state in ("starting", "up", "stopping")]


async def test_being_up_twice_is_an_error() -> None:
    async def child(context: ChildContext) -> None:
        context.started()
        with pytest.raises(RuntimeError, match="twice"):
            context.started()
        await context.wait_stop_requested()

    async with Supervisor(children=[ChildSpec("a", child)]).running() as supervisor:
        await settle()
        assert supervisor.which_children()[0].incarnation == 1


async def test_a_stop_is_a_flag_a_call_and_something_to_wait_for() -> None:
    calls: list[str] = []

    async def child(context: ChildContext) -> None:
        context.on_stop(lambda: calls.append("before"))
        context.started()
        assert not context.stop_requested
        with anyio.move_on_after(60.0):
            await context.wait_stop_requested()
        assert context.stop_requested
        context.on_stop(lambda: calls.append("after"))
        await context.wait_stop_requested()
        calls.append("waited")

    async with Supervisor(children=[ChildSpec("a", child)]).running():
        pass
    assert calls == ["before", "after", "waited"]


async def test_any_number_of_tasks_may_wait_for_the_stop() -> None:
    waited: list[str] = []

    async def child(context: ChildContext) -> None:
        context.started()

        async def wait() -> None:
            await context.wait_stop_requested()
            waited.append("told")

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)

    async with Supervisor(children=[ChildSpec("a", child)]).running():
        await settle()
    assert waited == ["told", "told"]
