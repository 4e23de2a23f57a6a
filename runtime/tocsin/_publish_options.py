"""The keyword options of all ways to publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._envelope import Priority
    from ._receipt import Receipt


class PublishOptions(TypedDict, total=False):
    """What may be said about an event when it is published; everything has a default."""

    priority: Priority
    """Which lane it waits in; NORMAL."""
    topic: str | None
    """The topic it is published on, beside its type; an `Event` brings its own."""
    headers: Mapping[str, object] | None
    """Text to values, for what belongs to the transport rather than to the event; read-only for subscribers."""
    correlation_id: str | None
    """Ties events of one business process together; inherited inside of handlers, otherwise the event's own id."""
    expires_in: float | None
    """Seconds after which it is not handled any more, but dead-lettered as expired when its turn comes."""
    schema_version: int
    """The version of the event's form; 1, or what an `Event` says."""


class PublishOptionsAndReceipt(PublishOptions, total=False):
    """What may be said where the publisher may be cancelled while it waits."""

    receipt: Receipt | None
    """To be filled, instead of a new one: so that it can be read after a cancellation."""


PUBLISH_OPTIONS = PublishOptions.__optional_keys__
