"""Common cause: many children that fail at once of one cause have not failed many times.

When `MANY` different children fail of the same cause within `AT_ONCE` seconds, that is an *outbreak*: most likely
something they all depend on is down. The first of them is the canary: it is restarted as ever, and each of its failures
is charged. The others are held, uncharged to the supervisor: were all of them to try again on their own, the budget
meant for single failures would be used up in a moment, and what is down would be met by a stampede when it comes back.
Whoever fails of that cause later is held, too. A child that fails while a sibling that it needs is down is held for
that one in the same way, and from the first. The canary has proved itself when it has been up for `PROOF` seconds; then
the held ones are started, spread over `SPREAD` seconds. A canary that is gone is replaced by one that was held.

A canary is never held itself, of whatever cause it fails, and who is held is never made a canary for others: else two
could wait for each other for ever. Who has been started meanwhile, or is not to be, is not held any more, and is no
canary for those who are.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = 3  # two may be chance
AT_ONCE = 1.0  # seconds
PROOF = 1.0  # seconds; a child that still cannot work fails sooner than that, most often at once
SPREAD = 1.0  # seconds
_REMEMBERED = 1000  # failures; a storm beyond that was recognised long before


@final
@enum.unique
class Role(enum.Enum):
    """What part a child plays that has failed."""

    ALONE = "alone"
    CANARY = "canary"
    HELD = "held"


@final
@attrs.frozen
class Ruling:
    """What follows from one failure.

    `canary` is whom the others wait for; `joined` had failed before, and are held from now on. `forgiven`: how many of
    these had been charged for what turns out to be part of one failure.
    """

    role: Role
    canary: str = ""
    joined: tuple[str, ...] = ()
    forgiven: int = 0


@final
@attrs.define
class Outbreak:
    """One cause that is common at the moment."""

    canary: str
    held: dict[str, None] = attrs.field(factory=dict[str, None])  # ids, in the order of failing


@final
class Outbreaks:
    """The outbreaks among the children of one supervisor."""

    __slots__ = ("_current", "_recent")

    def __init__(self) -> None:
        self._current: dict[str, Outbreak] = {}  # by cause
        # time, child, cause, whether it is charged; oldest first
        self._recent: deque[tuple[float, str, str, bool]] = deque(maxlen=_REMEMBERED)

    def failed(self, child: str, cause: str, now: float, *, is_charged: bool = True) -> Ruling:
        """Take note that *child* failed of *cause* at *now*, and say what part it plays. *is_charged*: to the
        supervisor, unless it is held."""
        self.let_go(child)
        if self.is_canary(child):
            return Ruling(Role.CANARY, child)
        outbreak = self._current.get(cause)
        if outbreak is None:
            return self._perhaps_new(child, cause, now, is_charged)
        outbreak.held[child] = None
        return Ruling(Role.HELD, outbreak.canary)

    def _perhaps_new(self, child: str, cause: str, now: float, is_charged: bool) -> Ruling:
        recent = self._recent
        recent.append((now, child, cause, is_charged))
        while recent[0][0] <= now - AT_ONCE:
            recent.popleft()
        alike = {who: charged for _, who, why, charged in recent if why == cause}
        if len(alike) < MANY:
            return Ruling(Role.ALONE)
        self._recent = deque((each for each in recent if each[2] != cause), _REMEMBERED)  # these have been judged
        canary, *others = (who for who in alike if not self.is_held(who) and not self.is_canary(who))
        self._current[cause] = Outbreak(canary, dict.fromkeys(others))
        role = Role.CANARY if child == canary else Role.HELD
        joined = tuple(other for other in others if other != child)
        return Ruling(role, canary, joined, sum(alike[each] for each in joined))

    def wait_for(self, needed: str, cause: str, child: str) -> None:
        """Have *child* held until *needed*, which it cannot work without, has proved itself."""
        self.let_go(child)
        self._current.setdefault(cause, Outbreak(needed)).held[child] = None

    def is_canary(self, child: str) -> bool:
        """True while others wait for *child* to prove itself."""
        return any(outbreak.canary == child for outbreak in self._current.values())

    def is_held(self, child: str) -> bool:
        """True while *child* waits for a canary."""
        return self.canary_of(child) is not None

    def canary_of(self, child: str) -> str | None:
        """Give the canary that *child* is held for."""
        return next((each.canary for each in self._current.values() if child in each.held), None)

    def canaries(self) -> list[str]:
        """Give the canaries of all outbreaks."""
        return [outbreak.canary for outbreak in self._current.values()]

    def let_go(self, child: str) -> None:
        """Take *child* off those held: it was started already, or is not to be."""
        for outbreak in self._current.values():
            outbreak.held.pop(child, None)

    def proved(self, canary: str) -> list[str]:
        """End the outbreaks of *canary*, and give who was held."""
        over = [cause for cause, outbreak in self._current.items() if outbreak.canary == canary]
        return [held for cause in over for held in self._current.pop(cause).held]

    def lost(self, canary: str, is_waiting: Callable[[str], bool]) -> list[str]:
        """Give each outbreak of *canary*, which is gone, another one out of those held that are still waiting; give the
        new canaries."""
        chosen: list[str] = []
        for cause, outbreak in list(self._current.items()):
            if outbreak.canary != canary:
                continue
            waiting = [id for id in outbreak.held if is_waiting(id)]
            if not waiting:
                del self._current[cause]
                continue
            outbreak.canary = waiting[0]
            outbreak.held = dict.fromkeys(waiting[1:])
            chosen.append(outbreak.canary)
        return chosen
