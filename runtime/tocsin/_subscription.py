"""What a subscriber asked for, and the handle to end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from ._handlers import check_interests, inspect_actor, inspect_handler
from .exceptions import BusNotRunning, InvalidHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._actor import Actor
    from ._handlers import ActorPlan, HandlerPlan
    from ._registry import Registry
    from ._settings import Settings
    from ._statistics import SubscriptionStatistics


@final
class Subscription:
    """The standing request of one subscriber: what it wants, who handles it, under which settings.

    It belongs to its bus from `subscribe` to `unsubscribe`, over any number of runs. Read `name`, `settings`,
    `interests`; while the bus runs, `statistics()`.
    """

    __slots__ = (
        "__weakref__",
        "actor",
        "actor_plan",
        "factory",
        "handler_plan",
        "interests",
        "name",
        "patterns",
        "registry",
        "settings",
        "types",
    )

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        interests: tuple[type | str, ...],
        *,
        handler_plan: HandlerPlan | None = None,
        actor_plan: ActorPlan | None = None,
        factory: Callable[[], Any] | None = None,
        default_name: str,
    ) -> None:
        self.name: str = settings.name if settings.name is not None else default_name
        self.settings: Settings = settings
        self.interests: tuple[type | str, ...] = interests
        self.types: tuple[type, ...]
        self.patterns: tuple[str, ...]
        self.types, self.patterns = check_interests(interests)
        # For the bus:
        self.registry: Registry = registry
        self.handler_plan: HandlerPlan | None = handler_plan
        self.actor_plan: ActorPlan | None = actor_plan
        self.factory: Callable[[], Any] = factory if factory is not None else _nothing
        self.actor: Actor | None = None  # of the run that is up, or of the last one

    @property
    def is_stateful(self) -> bool:
        """True for actor classes, whose state a failure may have damaged."""
        return self.actor_plan is not None

    @property
    def has_stopping(self) -> bool:
        """True for actor classes with a `stopping()`."""
        return self.actor_plan is not None and self.actor_plan.stopping is not None

    @property
    def can_be_pooled(self) -> bool:
        """True if its actor needs no task of its own, so that workers of the pool may serve it, one at a time."""
        plan = self.actor_plan
        has_hooks = plan is not None and (plan.started is not None or plan.stopping is not None)
        return not has_hooks and self.settings.concurrency == 1 and self.settings.context == "actor"

    async def unsubscribe(self) -> None:
        """End the subscription: it matches nothing more, its actor stops within its grace period, what it had not
        handled is returned.

        What was returned is counted, and its receipts settle. Once this has returned, the handler does not run any
        more. From inside the subscription's own handler it only asks for the end and returns, since it would wait for
        itself. Idempotent. Cancelled, the end goes on by itself.
        """
        await self.registry.end(self)

    def pause(self) -> None:
        """Begin no delivery until `resume`: no new one, no retry, no answer to a question; what is in flight ends.

        The mailbox goes on accepting, so back-pressure and overflow policies hold as ever, and what waits keeps its
        order. Limits hold, too: what expires meanwhile becomes a dead letter when its turn comes, and who asks waits
        until its timeout. It outlasts restarts of the actor and ends with the run. A drain does not wait for what a
        paused subscription has not begun: that is returned by the stop, and a durable one has it in the next run.

        Idempotent, and from anywhere in the thread of the bus, its own handler included. Raise BusNotRunning when the
        bus does not run, UnknownSubscription after `unsubscribe`.
        """
        self.registry.pause(self)

    def resume(self) -> None:
        """Go on after `pause`, with what has waited longest. Idempotent; it raises what `pause` does."""
        self.registry.resume(self)

    async def restart(self) -> None:
        """Replace the actor by a fresh incarnation, whether it is up, down or parked, with all its restarts to spare.

        One that is up is stopped as always: it may finish its delivery within its grace period, else the delivery is
        first in line again and not counted. The mailbox is kept and goes on accepting. One that waits for a restart or
        is suspended does not wait any longer. Nothing is charged to a restart intensity, and the rest of its group
        stays as it is. One that does not stop is reported (`StopTimedOut`) and waited for.

        A call while another one restarts it waits for that one. From inside the subscription's own handler it only asks
        for the restart and returns, since it would wait for itself. Cancelled, the restart goes on by itself.

        Raise ChildStartError if it does not start, or was stopped before it had (it stays down then, as after `stop`);
        ChildRestarting while `subscribe_now` waits for its first start; ChildNotFound for a temporary one that has
        ended; SupervisorNotRunning while its group is down; UnknownSubscription after `unsubscribe`; BusNotRunning when
        the bus does not run, or ends meanwhile.
        """
        await self.registry.restart(self)

    async def stop(self) -> None:
        """Stop the actor within its grace period, and leave it down until `restart`; it stays subscribed.

        It is then like one that is parked: what is in its mailbox waits for the restart, what it is sent becomes dead
        letters, which can be replayed, and who asks is told at once (`ActorStopped`). To hold events back instead, use
        `pause`. The end of the run returns what is left, and a durable subscription has it in the next run, in which
        the actor starts again. As in OTP, a restart of its group starts it, too. A temporary one is gone for good.

        Idempotent; of several calls of `stop` and `restart` the last one wins. Of its own handler, a cancellation, and
        what is raised, the same is true as for `restart`; what is down already is no error.
        """
        await self.registry.bring_down(self)

    def statistics(self) -> SubscriptionStatistics:
        """Give a frozen snapshot of the counters and gauges of the current or last run; raise BusNotRunning if there
        was none with it.
        """
        found = self.registry.bus.statistics().subscriptions.get(self.name)
        if found is None:
            raise BusNotRunning(
                f"subscription {self.name!r} has no statistics: its bus has not run with it, or it was unsubscribed"
            )
        return found

    def __repr__(self) -> str:
        kind = "actor" if self.is_stateful else "handler"
        wanted = ", ".join(each if isinstance(each, str) else each.__qualname__ for each in self.interests)
        ended = "" if self.registry.has(self) else ", ended"
        return f"<Subscription {self.name}: {kind} for {wanted}{ended}>"


def _nothing() -> None:
    """The factory of a plain handler: it has no state."""


def subscription_of_handler(
    registry: Registry, settings: Settings, handler: Callable[..., Any], interests: tuple[type | str, ...]
) -> Subscription:
    """Make the subscription of a function, a bound method or a callable object."""
    plan = inspect_handler(handler)
    return Subscription(registry, settings, interests, handler_plan=plan, default_name=plan.name)


def subscription_of_actor(
    registry: Registry, settings: Settings, factory: Callable[[], Any], of: type | None
) -> Subscription:
    """Make the subscription of an actor class, or of a factory for one; `@handles` says what it is interested in."""
    actor_class = of if of is not None else _class_made_by(factory)
    plan = inspect_actor(actor_class)
    return Subscription(
        registry, settings, plan.interests, actor_plan=plan, factory=factory, default_name=actor_class.__name__
    )


def _class_made_by(factory: Any) -> type:
    made = getattr(factory, "func", factory)  # functools.partial(Class, …)
    if isinstance(made, type):
        return made
    raise InvalidHandler(
        f"{factory!r} does not tell which actor class it makes: subscribe the class itself, "
        "functools.partial(Class, …), or name the class with of=Class"
    )
