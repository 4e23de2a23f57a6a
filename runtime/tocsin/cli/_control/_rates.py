"""How much a bus does in a second, from two looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from attrs import field, frozen

from ._view import BusView


@final
@frozen
class ActorRates:
    """What one actor does in a second."""

    handled: float
    retried: float
    dead_lettered: float


@final
@frozen
class Rates:
    """What a bus does in a second. None, and no actor: there were no two looks at one run of it."""

    published: float | None = None
    handled: float | None = None
    dead_lettered: float | None = None
    actors: Mapping[str, ActorRates] = field(factory=dict[str, ActorRates])

    def handled_by(self, actor: str) -> float | None:
        """Give how many deliveries *actor* handles in a second; None if that is not known."""
        found = self.actors.get(actor)
        return None if found is None else found.handled


def rates_between(before: BusView | None, after: BusView) -> Rates:
    """Give what happened in a second between *before* and *after*, by the clock of the daemon.

    Another process, and another run in one, count from 0: then nothing is known.
    """
    if before is None or before.process != after.process:
        return Rates()
    seconds = after.clock - before.clock
    if seconds <= 0 or after.published < before.published or after.handled < before.handled:
        return Rates()
    return Rates(
        published=(after.published - before.published) / seconds,
        handled=(after.handled - before.handled) / seconds,
        dead_lettered=max(0, after.dead_lettered - before.dead_lettered) / seconds,
        actors=_of_actors(before, after, seconds),
    )


def _of_actors(before: BusView, after: BusView, seconds: float) -> dict[str, ActorRates]:
    earlier = {row.name: row.actor for row in before.rows}
    rates: dict[str, ActorRates] = {}
    for row in after.rows:
        then, now = earlier.get(row.name), row.actor
        if then is None or now is None or now.handled < then.handled:  # new, or subscribed anew under its name
            continue
        rates[row.name] = ActorRates(
            handled=(now.handled - then.handled) / seconds,
            retried=max(0, now.retried - then.retried) / seconds,
            dead_lettered=max(0, now.dead_lettered - then.dead_lettered) / seconds,
        )
    return rates
