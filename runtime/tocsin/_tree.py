"""The supervision tree that a bus declares: a supervisor for the bus and each group, a child for each subscription."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import anyio

from tocsin_supervisors import ChildSpec, SupervisionWarning, Supervisor

from ._subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin_supervisors import Finding
    from tocsin_supervisors._children import Start

    from ._registry import Registry


def child_of(subscription: Subscription, start: Start) -> ChildSpec:
    """Give the child that *subscription* asks for."""
    settings = subscription.settings
    return ChildSpec(
        subscription.name,
        start,
        restart=settings.restart,
        grace_period=settings.grace_period,
        # `stopping()` has the grace period for itself, and a second to come to it.
        cleanup_period=1.0 + (settings.grace_period if subscription.has_stopping else 0.0),
        start_timeout=settings.start_timeout,
        backoff=settings.backoff,
        suspension=settings.suspension,
        stable_after=settings.stable_after,
        intensity=settings.intensity,
        on_exhausted=settings.on_exhausted,
        unpark_after=settings.unpark_after,
        needs=settings.needs,
    )


def supervisor_of(
    registry: Registry,
    child: Callable[[Subscription], ChildSpec | None],
    made: Callable[[Registry, Supervisor], None],
    **options: Any,
) -> Supervisor:
    """Make the supervisor of *registry* and all below it; *made* is told of each, the innermost first.

    *child* gives None for who is no child yet.
    """
    children: list[ChildSpec] = []
    for member in registry.members.values():
        if isinstance(member, Subscription):
            spec = child(member)
            if spec is not None:
                children.append(spec)
        else:
            below = {name: value for name, value in options.items() if name != "stall_threshold"}
            children.append(ChildSpec(member.name, supervisor_of(member, child, made, **below)))
    supervisor = Supervisor(
        registry.name, children, strategy=registry.strategy, intensity=registry.intensity, **options
    )
    made(registry, supervisor)
    return supervisor


def explain(registry: Registry, shutdown_deadline: float) -> tuple[Finding, ...]:
    """Give what there is to say about the tree that *registry* declares."""

    async def never_started(_context: object) -> None:
        await anyio.sleep_forever()  # pragma: no cover  # the tree is looked at, not run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SupervisionWarning)  # who asks gets all of it
        tree = supervisor_of(
            registry,
            lambda subscription: child_of(subscription, never_started),
            lambda _registry, _supervisor: None,
            shutdown_deadline=shutdown_deadline,
        )
    return tree.explain()
