"""Dropping what a subscription has taken before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, final

from attrs import Attribute, field, frozen

from tocsin_supervisors._text import safe_repr

if TYPE_CHECKING:
    from ._envelope import Envelope


def _window(instance: object, attribute: Attribute[Any], value: object) -> None:
    if not ((type(value) is float or type(value) is int) and value > 0):
        raise ValueError(
            f"{attribute.name}={safe_repr(value, 60)}: must be seconds above 0, math.inf for no limit in time"
        )


def _at_least_one(instance: object, attribute: Attribute[Any], value: object) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"{attribute.name}={safe_repr(value, 60)}: must be a whole number of at least 1")


def _key_function(instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and not callable(value):
        raise TypeError(
            f"{attribute.name}={safe_repr(value, 60)}: must be a function that gives the key of an event, "
            "or None for the id of the envelope"
        )


@final
@frozen
class Deduplicate:
    """Drop an event whose key this subscription has accepted less than *window* seconds ago.

    The window begins with the first acceptance; duplicates do not prolong it. At most *max_entries* keys are
    remembered: when there are more, the oldest is forgotten before its time, and a duplicate of it is delivered.
    In memory, so what was accepted before a restart of the program is not known; except by a durable subscription,
    whose store keeps the keys with what it accepts.
    """

    window: float = field(default=300.0, validator=_window)
    """Seconds. 5 minutes: longer than the usual redelivery by a broker or a webhook sender."""
    max_entries: int = field(default=10_000, kw_only=True, validator=_at_least_one)
    """About one megabyte with ids as keys."""
    by: Callable[[Any], Hashable] | None = field(default=None, kw_only=True, validator=_key_function)
    """Gives the key of an event; by default the id of the envelope. Called while publishing, so it must be quick."""

    def key_of(self, envelope: Envelope[Any]) -> Hashable:
        """Return what two envelopes must have in common to be duplicates. Raises what `by` raises."""
        return envelope.id if self.by is None else self.by(envelope.event)


@final
class DuplicateWindow:
    """The keys that one subscription remembers. All operations take constant time, spread over the calls."""

    __slots__ = ("_policy", "_recorded")

    def __init__(self, policy: Deduplicate) -> None:
        self._policy = policy
        # Key → when it was recorded, monotonic seconds; oldest first. A plain dict would look for its first key among
        # all those deleted before it.
        self._recorded: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._recorded)

    def seen_before(self, key: Hashable, now: float) -> bool:
        """Tell whether *key* was recorded less than the window ago; if not, record it at *now*.

        A key recorded at t counts until t + window, that moment excluded. Raise TypeError if it is not hashable.
        """
        self._forget_expired(now)
        if key in self._recorded:
            return True
        if len(self._recorded) >= self._policy.max_entries:
            self._recorded.popitem(last=False)
        self._recorded[key] = now
        return False

    def remember(self, key: Hashable, at: float) -> None:
        """Record *key* as accepted at *at*, monotonic seconds, later than all that are recorded: a store knew of it."""
        self._recorded[key] = at

    def forget(self, key: Hashable) -> None:
        """Forget *key*: its event was not accepted after all, so publishing it again must not count as a duplicate."""
        self._recorded.pop(key, None)

    def _forget_expired(self, now: float) -> None:
        while self._recorded:
            oldest = next(iter(self._recorded.values()))
            if now - oldest < self._policy.window:
                return
            self._recorded.popitem(last=False)
