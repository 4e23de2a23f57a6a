"""Buses that are wrong on purpose, each in one way, to see whether that is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from tocsin import Priority
from tocsin._account import Account
from tocsin._lanes import Lanes


@frozen
class Sabotage:
    """How a bus is made wrong, and the promises that are broken then, one of them at least."""

    apply: Callable[[pytest.MonkeyPatch], None]
    breaks: frozenset[str]


def _counts_twice(patch: pytest.MonkeyPatch) -> None:
    handled = Account.handled

    def wrong(self: Account, delivery: Any, answer: object) -> None:
        handled(self, delivery, answer)
        self.counters.handled += delivery.attempt == 2

    patch.setattr(Account, "handled", wrong)


def _last_in_first_out(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: Lanes[Any], item: Any, priority: Priority) -> None:
        self.appendleft(item, priority)

    patch.setattr(Lanes, "append", wrong)


def _one_lane_for_all(patch: pytest.MonkeyPatch) -> None:
    append = Lanes[Any].append

    def wrong(self: Lanes[Any], item: Any, priority: Priority) -> None:
        append(self, item, Priority.NORMAL)

    patch.setattr(Lanes, "append", wrong)


def _forgets_to_say(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: Account, delivery: Any) -> None:
        self.mailbox.put(delivery)

    patch.setattr(Account, "take_in", wrong)


sabotaged: dict[str, Sabotage] = {
    "what is handled at the second attempt is counted twice": Sabotage(_counts_twice, frozenset({"I1"})),
    "the last that comes is handed out first": Sabotage(_last_in_first_out, frozenset({"I4"})),
    "what is urgent waits with all the others": Sabotage(_one_lane_for_all, frozenset({"I5"})),
    "that a mailbox has taken an event is not said": Sabotage(_forgets_to_say, frozenset({"I2", "I3"})),
}
