"""One life of an actor, from its factory to `stopping()`: what the supervisor starts as the actor's child."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import anyio

from tocsin_supervisors import Failure, forget_traceback, sort_leaves

from ._context import current_server
from ._invocation import (
    handles_of_actor,
    handles_of_function,
    in_context_of_publisher,
    invoke_actor,
    invoke_handler,
    run_in_thread,
)
from ._pinned import first_server, serve_all
from ._presence import Presence

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin_supervisors import ChildContext

    from ._actor import Actor
    from ._invocation import Handles, Invoke
    from ._subscription import Subscription


async def live(actor: Actor, context: ChildContext) -> None:
    """Live until stopped, finished, or ended by a failure; then raise what the supervisor is to do about it.

    The mailbox is served only between `started()` and `stopping()`. A renewal, suspension or crash is raised after all
    servers are idle.
    """
    actor.begin(context.incarnation)
    # Set before anything of the user's runs, so that what `started()` publishes is known to come from inside.
    current_server.set(first_server(actor))
    instance = await _build(actor)
    try:
        actor.context = context
        actor.came_up()
        context.on_stop(actor.wake_servers)
        context.started()
        await serve_all(actor, invoke_of(actor, instance), handles_of(actor, instance))
    finally:
        actor.went_down(Presence.DOWN)
        await _take_down(actor, instance, context)
    if actor.reason is not None:
        raise actor.reason


def invoke_of(actor: Actor, instance: object) -> Invoke:
    """Give the function that has a delivery handled."""
    subscription, limiter = actor.subscription, actor.run.limiter
    if subscription.actor_plan is not None:
        invoke = invoke_actor(subscription.actor_plan, instance, limiter)
    else:
        assert subscription.handler_plan is not None
        invoke = invoke_handler(subscription.handler_plan, subscription.handler_plan.call, limiter)
    # Inside of the context of the publisher: what plug-ins set there, the handler has to find.
    invoke = actor.run.instruments.around_attempts(subscription, invoke)
    return in_context_of_publisher(invoke) if actor.settings.context == "delivery" else invoke


def handles_of(actor: Actor, instance: object) -> Handles | None:
    """Give the short way to handle a plain delivery, if there is one."""
    handles = _short_way(actor.subscription, instance) if actor.is_plain else None
    return None if handles is None else actor.run.instruments.around_plain(actor.subscription, handles)


def _short_way(subscription: Subscription, instance: object) -> Handles | None:
    if subscription.actor_plan is not None:
        return handles_of_actor(subscription.actor_plan, instance)
    assert subscription.handler_plan is not None
    return handles_of_function(subscription.handler_plan)


async def _build(actor: Actor) -> Any:
    """Make the state of an actor class anew, and let it start."""
    subscription = actor.subscription
    if subscription.actor_plan is None:
        return None
    instance: Any = subscription.factory()
    if subscription.actor_plan.started is not None:
        await _call(actor, subscription.actor_plan.started.is_async, instance.started)
    return instance


async def _take_down(actor: Actor, instance: Any, context: ChildContext) -> None:
    """Let the state stop: shielded, within the grace period; an error in it is told, and never hides why the
    incarnation ended.
    """
    plan = actor.subscription.actor_plan
    if plan is None or plan.stopping is None:
        return
    grace = actor.settings.grace_period
    deadline = math.inf if grace == math.inf else actor.run.now() + grace
    try:
        with anyio.CancelScope(shield=True, deadline=deadline) as scope:
            await _call(actor, plan.stopping.is_async, instance.stopping)
        if scope.cancelled_caught:
            raise TimeoutError(
                f"stopping() of {actor.name!r} took longer than its grace_period={grace} s and was cancelled"
            )
    except BaseException as error:  # whatever stopping() raises must not replace the reason why the incarnation ends
        if sort_leaves(error, actor.run.cancelled).fatal:
            raise
        actor.run.log.stop_error(actor, Failure.of(error))
        if actor.ending is None and context.stop_requested:
            raise  # nothing else ends it: the supervisor reports that the stop failed
        forget_traceback(error)


async def _call(actor: Actor, is_async: bool, function: Callable[[], Any]) -> None:
    if is_async:
        await function()
    else:
        await run_in_thread(function, actor.run.limiter)
