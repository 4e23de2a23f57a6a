"""The trace of a bus: all that happened to its events, in order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar, final

from attrs import Factory, define, frozen

from tocsin._overflow import Coalesce
from tocsin._registry import Group

from ._invariants import violations_in

if TYPE_CHECKING:
    from tocsin._ledger import Ledger
    from tocsin._registry import Registry
    from tocsin._settings import Settings
    from tocsin_supervisors import RestartIntensity, RestartPolicy, Strategy

    from ._facts import Fact
    from ._invariants import Violation

F = TypeVar("F")


@final
@frozen(kw_only=True)
class Terms:
    """What a subscription has asked for, as far as the invariants depend on it."""

    mailbox: int
    concurrency: int
    max_attempts: int
    is_keyed: bool
    coalesces: bool
    is_strict: bool
    intensity: RestartIntensity
    restart: RestartPolicy


def terms_of(settings: Settings) -> Terms:
    """Give the terms of a subscription with *settings*."""
    coalesces = isinstance(settings.overflow, Coalesce)
    return Terms(
        mailbox=settings.mailbox,
        concurrency=settings.concurrency,
        max_attempts=settings.retry.max_attempts,
        is_keyed=settings.key is not None,
        coalesces=coalesces,
        is_strict=settings.strict_order,
        intensity=settings.intensity,
        restart=settings.restart,
    )


@final
@define
class Trace:
    """See the module. `Simulation.watch` makes one, and fills it.

    `facts` are in the order in which they happened, as far as that can be told from outside: that a mailbox has taken
    an event, or that a delivery has its outcome, is noted at the next thing that is looked at, in the same step or
    right after it. Publishes from threads, by `ask` and by `replay` are not in it, their deliveries are, with negative
    numbers.
    """

    facts: list[Fact] = Factory(list[Any])
    terms: dict[str, Terms] = Factory(dict[str, Terms])  # subscription → what it asked for
    strategies: dict[str, Strategy] = Factory(dict[str, Any])  # the path of a supervisor → its strategy
    places: dict[str, dict[str, int]] = Factory(dict[str, Any])  # the same → its children → their places in its order
    ledger: Ledger | None = None  # at the end
    shutdown_deadline: float = math.inf  # seconds that the stop may take

    def know(self, registry: Registry, above: str = "") -> None:
        """Take note of the supervisors of *registry* and of the groups below it."""
        path = above + registry.name
        self.strategies[path] = registry.strategy
        places = self.places.setdefault(path, {})
        for name, member in registry.members.items():
            places.setdefault(name, len(places))
            if isinstance(member, Group):
                self.know(member, f"{path}/")

    def of(self, kind: type[F]) -> list[F]:
        """Give the facts of one kind, in order."""
        facts: list[object] = [*self.facts]
        return [fact for fact in facts if isinstance(fact, kind)]

    def violations(self) -> tuple[Violation, ...]:
        """Give all that breaks what the bus promises (`docs/testing.md`); empty: every promise was kept."""
        return violations_in(self)
