"""How the handler of a subscription is called: one function from a delivery to something to await, made once per
incarnation.

An asynchronous handler without a second parameter is called directly, with no coroutine of ours around it. Synchronous
ones run in a worker thread of the bus's own limiter, so that they starve neither the loop nor the threads of others.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import anyio
import anyio.to_thread

from tocsin_supervisors import carry_supervision

from ._context import current_server
from ._handlers import select_method
from ._pinned import PinnedServer
from ._plugins import Handle as Handle
from ._plugins import Invoke as Invoke

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._delivery import AnyDelivery
    from ._handlers import ActorPlan, HandlerPlan
    from ._server import Server

T = TypeVar("T")
Handles: TypeAlias = "Callable[[Server], Handle]"  # each server has its own
MAX_CHOICES = 1024  # of methods that are remembered: topics are data, and classes may be made on the fly


def invoke_handler(plan: HandlerPlan, call: Callable[..., Any], limiter: anyio.CapacityLimiter) -> Invoke:
    """Give the function that has *call* handle a delivery as its *plan* says."""
    if not plan.is_async:
        if plan.wants_delivery:
            return lambda delivery: run_in_thread(partial(call, delivery.envelope.event, delivery), limiter)
        return lambda delivery: run_in_thread(partial(call, delivery.envelope.event), limiter)
    if plan.wants_delivery:
        return lambda delivery: call(delivery.envelope.event, delivery)
    return lambda delivery: call(delivery.envelope.event)


def invoke_actor(plan: ActorPlan, instance: object, limiter: anyio.CapacityLimiter) -> Invoke:
    """Give the function that has the method of *instance* handle a delivery that its event asks for; the choice is
    remembered.
    """
    chosen: dict[tuple[type, str | None], Invoke] = {}

    def invoke(delivery: AnyDelivery) -> Awaitable[Any]:
        envelope = delivery.envelope
        event: object = envelope.event
        kind = (type(event), envelope.topic)
        method = chosen.get(kind)
        if method is None:
            if len(chosen) >= MAX_CHOICES:
                chosen.clear()
            selected = _selected(plan, *kind)
            method = chosen[kind] = invoke_handler(selected, getattr(instance, selected.name), limiter)
        return method(delivery)

    return invoke


def handles_of_function(plan: HandlerPlan) -> Handles | None:
    """Give the short way to handle plain deliveries, if the handler runs in the task of the server."""
    return None if not plan.is_async else lambda server: _handle(plan, plan.call, server)


def handles_of_actor(plan: ActorPlan, instance: object) -> Handles | None:
    """Give the short way to have the methods of *instance* handle plain deliveries, if all of them run in the task."""
    if not all(method.plan.is_async for method in plan.methods):
        return None

    def handle_of(server: Server) -> Handle:
        chosen: dict[type, Handle] = {}

        def handle(event: object) -> Awaitable[Any]:
            method = chosen.get(type(event))
            if method is None:
                if len(chosen) >= MAX_CHOICES:
                    chosen.clear()
                selected = _selected(plan, type(event), None)
                method = chosen[type(event)] = _handle(selected, getattr(instance, selected.name), server)
            return method(event)

        return handle

    return handle_of


def _selected(plan: ActorPlan, event_type: type, topic: str | None) -> HandlerPlan:
    """Select a method; the choice is remembered with the plan, over all lives."""
    kind = (event_type, topic)
    selected = plan.selected.get(kind)
    if selected is None:
        if len(plan.selected) >= MAX_CHOICES:
            plan.selected.clear()
        selected = plan.selected[kind] = select_method(plan, *kind)
    return selected


def _handle(plan: HandlerPlan, call: Callable[..., Any], server: Server) -> Handle:
    if plan.wants_delivery:
        return lambda event: call(event, server.begin_plain())
    return call


def in_context_of_publisher(invoke: Invoke) -> Invoke:
    """Give a function that runs *invoke* in a copy of the publisher's context: what the handler sets does not outlive
    the delivery.

    It costs a task: there is no other way to run a coroutine in another context that both backends and their scopes
    understand.
    """

    cancelled = anyio.get_cancelled_exc_class()

    async def invoke_in_context(delivery: AnyDelivery) -> Any:
        server = current_server.get()
        assert isinstance(server, PinnedServer)
        assert delivery.context is not None
        context = delivery.context.copy()
        context.run(current_server.set, server)
        carry_supervision(context)
        answers: list[Any] = []
        errors: list[BaseException] = []

        async def body() -> None:
            server.is_in(anyio.get_current_task().id)  # here its handler waits, for whom it may have to wait
            try:
                answers.append(await invoke(delivery))
            except BaseException as error:  # raised again below: the group would wrap it, swallow a cancellation by a
                errors.append(error)  # stranger, and on asyncio a task that raises SystemExit stops the loop

        try:
            async with anyio.create_task_group() as group:
                context.run(group.start_soon, body)
            if errors:
                raise errors[0]
            return answers[0]
        except cancelled:
            if errors and not issubclass(type(errors[0]), cancelled):
                raise errors[0]  # noqa: B904  # from its cleanup: it says more than the cancellation, its context
            raise
        finally:
            errors.clear()  # its traceback holds this frame

    return invoke_in_context


async def run_in_thread(call: Callable[[], T], limiter: anyio.CapacityLimiter, *, abandon: bool = False) -> T:
    """Run *call* in a worker thread and wait for it, also when cancelled: a thread cannot be stopped, and must not
    outlive its actor.

    With *abandon*, a cancelled wait ends at once; the thread goes on, and nobody learns of its result.
    """
    (result,) = await anyio.to_thread.run_sync(_in_a_box, call, limiter=limiter, abandon_on_cancel=abandon)
    return result


def _in_a_box(call: Callable[[], T]) -> tuple[T]:
    """Box the result: trio refuses a bare coroutine that comes out of a thread, and what that means is for us to say.

    A StopIteration cannot travel through a future; coroutines turn it into RuntimeError, so a thread does, too.
    """
    try:
        return (call(),)
    except StopIteration as error:
        raise RuntimeError("handler raised StopIteration") from error
