"""The fast way into a mailbox and out of it, past everything that it can do for other cases.

As long as nothing but the lane of NORMAL is used, publishers append receipts to `lane` while it holds fewer than
`room`, and wake a server if one sleeps; servers take them from there, in a loop. Whatever is not that simple makes
`room` 0, so that publishers come in by the door, and calls for the attention of those who are in the loop.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from ._receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._backends import Sleeper
    from ._delivery import Entry

NO_LANE: deque[Entry] = deque()  # before anything was put in: a deque takes 760 bytes, and most mailboxes are idle


class Attentive(Protocol):
    """What takes from a mailbox without asking it: it has to look up when told to, and says what it has in hand."""

    attention: bool | str

    def has_in_hand(self, receipt: Receipt) -> bool:
        """Tell whether it is handling the plain delivery of *receipt*."""
        ...


class Gate:
    """See the module. `taken`: how many came in, as far as they were counted."""

    __slots__ = (
        "_attentive",
        "_more_sleepers",
        "drops",
        "is_simple",
        "lane",
        "room",
        "sleeper",
        "taken",
        "was_served",
    )

    def __init__(self) -> None:
        self.lane: deque[Entry] = NO_LANE
        self.room: int = 0
        # What happens to the oldest plain delivery if a newer one may take its place; None: it may not.
        self.drops: Callable[[Receipt], None] | None = None
        self.taken: int = 0
        self._attentive: tuple[Attentive, ...] = ()  # who takes from `lane`
        self.is_simple: bool = False  # there is nothing to do but to take from `lane`
        self.was_served: bool = False  # from `lane`, which those who keep the order of the lanes have not seen
        # Servers that found nothing to do: the one that sleeps longest, and the others in their turn; never many.
        self.sleeper: Sleeper | None = None
        self._more_sleepers: tuple[Sleeper, ...] = ()

    def holds(self, receipt: Receipt) -> bool:
        """Tell whether the plain delivery of *receipt* is in here or in hand, and nothing else is known of it."""
        return any(entry is receipt for entry in self.lane) or any(
            each.has_in_hand(receipt) for each in self._attentive
        )

    def lead_to(self, lane: deque[Entry]) -> None:
        """Let publishers append to *lane* from now on."""
        self.lane = lane

    def set_room(self, room: int, *, is_simple: bool) -> None:
        """Say how far `lane` may be filled, and whether there is nothing to do but to take from it."""
        self.room = room
        self.is_simple = is_simple

    def noted_as_served(self) -> bool:
        """Tell whether `lane` was served since this was last asked."""
        was_served, self.was_served = self.was_served, False
        return was_served

    def drop_for_plain(self) -> bool:
        """Make room in a full `lane` for one more plain delivery, if that is the policy; False: it is not done."""
        if self.drops is None or not self.room or not self.lane or type(self.lane[0]) is not Receipt:
            return False
        oldest = self.lane.popleft()
        assert type(oldest) is Receipt
        self.drops(oldest)
        return True

    def look_after(self, each: Attentive) -> None:
        """*each* takes from `lane` from now on."""
        self._attentive = (*self._attentive, each)

    def overlook(self, each: Attentive) -> None:
        """*each* does not take from `lane` any more."""
        self._attentive = tuple(other for other in self._attentive if other is not each)

    def look_up(self) -> None:
        """Have whoever takes from `lane` look at what has changed."""
        for each in self._attentive:
            each.attention = True

    # ── servers that sleep ──

    def lie_down(self, sleeper: Sleeper) -> None:
        """The caller is about to sleep on *sleeper*, and is woken in its turn."""
        if self.sleeper is None:
            self.sleeper = sleeper
        else:
            self._more_sleepers = (*self._more_sleepers, sleeper)

    def get_up(self, sleeper: Sleeper) -> bool:
        """The caller does not sleep any more: tell whether it was woken."""
        if self.sleeper is sleeper:
            self._next_sleeper()
        else:
            self._more_sleepers = tuple(each for each in self._more_sleepers if each is not sleeper)
        return sleeper.is_woken

    def wake_all(self) -> None:
        """Wake every sleeping server, so that each looks at the state of its actor."""
        while self.sleeper is not None:
            self.wake_one()

    def wake_one(self) -> None:
        """Wake the server that has slept longest, if one sleeps."""
        sleeper = self.sleeper
        if sleeper is not None:
            if self._more_sleepers:
                self._next_sleeper()
            else:
                self.sleeper = None
            sleeper.wake()

    def _next_sleeper(self) -> None:
        more = self._more_sleepers
        self.sleeper, self._more_sleepers = (more[0], more[1:]) if more else (None, ())
