"""What a full mailbox does: the closed set of overflow policies. Which one is right depends on who must learn of it.

| policy | the publisher | the event | the subscriber |
|---|---|---|---|
| `WaitForRoom` | waits | is delivered | learns nothing |
| `Reject` | gets `MailboxFull` | is rejected | learns nothing |
| `DropOldest` | learns nothing | replaces an older one, which is dropped | finds a gap: `delivery.missed` |
| `DropNewest` | learns nothing | is dropped | finds a gap: `delivery.missed` |
| `DeadLetterNewest` | learns nothing | becomes a dead letter, to be replayed | learns nothing |
| `Coalesce` | learns nothing | replaces the queued one with its key, which is dropped | sees the newest of each key |

Whatever is dropped is counted in the statistics, and reported. `publish_nowait` cannot wait: there `WaitForRoom` acts
like `Reject`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias, final

from attrs import Attribute, field, frozen

from tocsin_supervisors._text import safe_repr


def _wait_limit(instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is None:
        return
    if not ((type(value) is float or type(value) is int) and 0 < value < math.inf):
        raise ValueError(
            f"{attribute.name}={safe_repr(value, 60)}: must be seconds above 0, or None to wait as long as it takes; "
            "not to wait at all, use Reject()"
        )


def _key_function(instance: object, attribute: Attribute[Any], value: object) -> None:
    if not callable(value):
        raise TypeError(
            f"{attribute.name}={safe_repr(value, 60)}: must be a function that gives the key of an event, "
            "like lambda price: price.symbol"
        )


@final
@frozen
class WaitForRoom:
    """Let the publisher wait until there is room: nothing is lost, and who publishes too fast is slowed down.

    After *limit* seconds without room the publisher gets `MailboxFull`, and the event is rejected for this
    subscription. None: no limit, since a limit fitting every handler does not exist. Publishers of one priority are
    let in in order.
    """

    limit: float | None = field(default=None, validator=_wait_limit)


@final
@frozen
class Reject:
    """Refuse the event: the publisher gets `MailboxFull` at once and decides. Other subscriptions have taken it."""


@final
@frozen
class DropOldest:
    """Drop the oldest of the least urgent deliveries, the new one included: for feeds where only news count."""


@final
@frozen
class DropNewest:
    """Drop the new delivery: for samples and hints, of which a burst carries no more than its beginning."""


@final
@frozen
class DeadLetterNewest:
    """Send the new delivery to the dead letters, to be replayed when there is room: nothing waits and little is lost.

    The office of dead letters is bounded as well; what it evicts is counted there.
    """


@final
@frozen
class Coalesce:
    """Keep one queued delivery for each key, the newest event in the place of the older: for states, not for steps.

    *by* gives the key of an event; it is called while publishing, so it must be quick. Coalescing happens also while
    there is room. If there is none, and none with this key is waiting, it acts like `DropOldest`.
    """

    by: Callable[[Any], Hashable] = field(validator=_key_function)


Overflow: TypeAlias = WaitForRoom | Reject | DropOldest | DropNewest | DeadLetterNewest | Coalesce
