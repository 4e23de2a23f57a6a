"""Whether a bus lives, decided from one snapshot after another: what a watchdog is petted for.

Whoever looks runs in the event loop, so a loop that is blocked is not looked at, and its watchdog not petted. Beyond
that these are no signs of life, although the loop turns:

* the tree does not run, but the bus is in a phase in which it should: whoever waits for the end waits for ever;
* an actor that is up has deliveries ready and none in hand, and has moved nothing in `LOOKS` looks. One look, or two,
  may fall between two steps of a busy loop.

A handler that takes long is no sign of death: it has a time limit of its own. Nor are actors that are suspended,
parked, or hold deliveries back behind a retry; mailboxes that are full; dead letters: a restart of the process would
mend none of them, and lose what is in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from attrs import define, field, frozen

from ._showing import shown

if TYPE_CHECKING:
    from tocsin import BusStatistics, SubscriptionStatistics

LOOKS = 3
_NEEDS_ITS_TREE = ("running", "draining")


@final
@frozen
class _Standstill:
    """An actor that could work, at one look."""

    moved: tuple[int, ...]  # everything that would have grown if it had
    looks: int  # that have seen the same, this one included


@final
@define
class Vigil:
    """Looks at snapshots of one bus, in their order."""

    _still: dict[str, _Standstill] = field(factory=dict[str, "_Standstill"], init=False)  # by name of the actor

    def look(self, statistics: BusStatistics) -> str | None:
        """Say what is wrong; None: it lives."""
        if statistics.phase not in _NEEDS_ITS_TREE:
            self._still = {}
            return None  # it starts or stops, and each has a limit of its own
        tree = statistics.tree
        if tree is None or tree.state == "stopped":
            return f"the bus is {statistics.phase}, but its supervision tree does not run"
        self._still = {
            name: self._one_more_look(name, actor)
            for name, actor in statistics.subscriptions.items()
            if _could_work(actor)
        }
        dead = [name for name, seen in self._still.items() if seen.looks >= LOOKS]
        if dead:
            return f"{shown(dead[0])} has deliveries ready and does not take them ({len(dead)} such)"
        return None

    def _one_more_look(self, name: str, actor: SubscriptionStatistics) -> _Standstill:
        moved = _moved(actor)
        before = self._still.get(name)
        return _Standstill(moved, 1 if before is None or before.moved != moved else before.looks + 1)


def _could_work(actor: SubscriptionStatistics) -> bool:
    return actor.state == "running" and actor.depth > 0 and actor.in_flight == 0 and actor.waiting_retry == 0


def _moved(actor: SubscriptionStatistics) -> tuple[int, ...]:
    return actor.handled, actor.retried, actor.dead_lettered, actor.dropped, actor.returned, actor.incarnation
