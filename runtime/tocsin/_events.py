"""The ready-made event, for those who do not want a class for each kind, and where an event's topic comes from."""

from __future__ import annotations

from typing import Any, final

from attrs import Attribute, field, frozen

from tocsin_supervisors._text import safe_repr

from ._topics import check_topic


def _version(instance: object, attribute: Attribute[int], value: object) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"{attribute.name}={safe_repr(value, 60)}: must be a whole number of at least 1")


@final
@frozen
class Event:
    """An event that says by its text what it is: `Event("order.placed", {"id": 7})`.

    Its `type` is its topic: subscribe to it by topic or pattern (`"order.*"`), or to all of them by `Event`. Raise
    `InvalidTopic` if it is none. All subscribers get the same *payload*, so do not change it once published.
    """

    type: str = field(converter=check_topic)
    """The topic: segments separated by dots."""
    payload: Any = None
    """Whatever the event carries."""
    schema_version: int = field(default=1, kw_only=True, validator=_version)
    """The version of the payload's form, for subscribers that must tell old events from new ones."""


def topic_of(event: object, explicit: str | None) -> str | None:
    """Return the topic that *event* is published on: the one given explicitly, the type of an `Event`, or none.

    Raise `InvalidTopic` if *explicit* is no text. Its form is checked by the router, once for each route it remembers:
    checking it here would cost each publish more than the rest of the routing.
    """
    if explicit is None:
        # The true type: `__class__` may lie, and `Event` is final.
        return event.type if type(event) is Event else None
    return explicit if type(explicit) is str else check_topic(explicit)
