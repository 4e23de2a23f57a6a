"""Takes the time of each attempt, for `EventBus(measure_times=True)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._plugins import Hooks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._subscription import Subscription


def _around(subscription: Subscription, call: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    actor = subscription.actor
    assert actor is not None
    assert actor.times is not None
    note, now = actor.times.note, actor.run.now

    async def timed(argument: Any) -> Any:
        began = now()
        try:
            return await call(argument)
        finally:  # also when it was cancelled, as one is whose time is over: it took its time
            ended = now()
            note(ended - began, ended)

    return timed


HOOKS_OF_TIMES: Final = Hooks(around_attempts=_around, around_plain=_around)
