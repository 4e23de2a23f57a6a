"""Makes the envelope of an event that is being published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._envelope import Envelope, Priority, check_priority
from ._events import Event, topic_of
from ._publish_options import PUBLISH_OPTIONS

if TYPE_CHECKING:
    from ._publish_options import PublishOptions
    from ._run import Run
    from ._server import Server


def cause_of(server: Server | None) -> Envelope[Any] | None:
    """Give the envelope that *server* is handling: what it publishes now is caused by that."""
    return None if server is None or server.delivery is None else server.delivery.envelope


def compose(run: Run, event: object, options: PublishOptions, cause: Envelope[Any] | None) -> Envelope[Any]:
    """Make the envelope of *event*. It inherits the correlation of its *cause*.

    Raise InvalidPriority, InvalidTopic, TypeError or ValueError for options that are none; nothing has happened then.
    """
    if options and not options.keys() <= PUBLISH_OPTIONS:
        unknown = ", ".join(sorted(options.keys() - PUBLISH_OPTIONS))
        allowed = ", ".join(sorted(PUBLISH_OPTIONS))
        raise TypeError(f"unknown option of publish: {unknown}; allowed are {allowed}")
    expires_in = options.get("expires_in")
    priority = options.get("priority", Priority.NORMAL)
    return Envelope(
        event,
        run.ids,
        priority if type(priority) is Priority else check_priority(priority),
        topic_of(event, options.get("topic")),
        headers=options.get("headers"),
        correlation_id=options.get("correlation_id") or (None if cause is None else cause.correlation_id),
        causation_id=None if cause is None else cause.id,
        expires_at=None if expires_in is None else run.now() + check_duration("expires_in", expires_in),
        schema_version=options.get("schema_version", event.schema_version if type(event) is Event else 1),
    )


def check_duration(name: str, value: float) -> float:
    """Give *value* back if it is a number of seconds, 0 or more; raise ValueError otherwise."""
    if type(value) not in (int, float) or not value >= 0:
        raise ValueError(f"{name}={value!r}: must be seconds, 0 or more (math.inf for no limit)")
    return value
