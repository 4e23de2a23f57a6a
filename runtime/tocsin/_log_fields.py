"""What a line of the log says about the delivery that is being handled, for structured logging.

The names are the same in the lines of the bus itself and in those of users. None of them is an attribute that a
`logging.LogRecord` has already: `extra` would be refused.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, final

from tocsin_supervisors._text import qualified_name

from ._context import current_server
from ._receipt import Receipt, held_event

if TYPE_CHECKING:
    from tocsin_supervisors import DeadLetter

    from ._delivery import AnyDelivery, Entry

FIELDS: Final = ("bus", "actor", "event_type", "event_id", "correlation_id", "attempt")
"""Those of a delivery, whoever adds what to them."""


def log_fields() -> dict[str, object]:
    """Give the fields of the delivery that is being handled here: `bus`, `actor`, `event_type`, `event_id`,
    `correlation_id` and `attempt`, and what plug-ins add (`trace_id` and `span_id`, by `tocsin.opentelemetry`).

    Empty outside of a handler. Tasks and worker threads that a handler has started have them, too, as long as it runs.
    New each time, so it may be changed: `structlog.contextvars.bind_contextvars(**log_fields())`.
    """
    server = current_server.get()
    if server is None:
        return {}
    actor, entry = server.actor, server.entry
    if entry is None or (type(entry) is not Receipt and entry.ended):
        return {}
    fields = {"bus": actor.run.name, **_fields_of(entry, actor.name)}
    more = actor.run.instruments.log_fields
    return fields if more is None else {**fields, **more(None)}


@final
class LogFields(logging.Filter):
    """Give each record that is logged inside of a handler the fields of `log_fields`; it lets every record pass.

    For handlers of the log, rather than loggers, so that it sees the records of all libraries::

        handler.addFilter(tocsin.LogFields())  # or, in a dictConfig, {"()": "tocsin.LogFields"}

    What a record has already stays as it is.
    """

    def __init__(self) -> None:
        super().__init__()

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields, and let *record* pass."""
        present = vars(record)
        for name, value in log_fields().items():
            present.setdefault(name, value)
        return True


def _fields_of(entry: Entry, name: str) -> dict[str, object]:
    if type(entry) is not Receipt:
        return fields_of_delivery(entry)
    # Another thread may ask, in which no delivery must be made of it: it was published without options.
    event, event_id = held_event(entry), entry.event_id
    kind = qualified_name(type(event))
    return _fields(name, kind, event_id, event_id, 1)


def fields_of_delivery(delivery: AnyDelivery) -> dict[str, object]:
    """Give the fields of *delivery*."""
    envelope = delivery.envelope
    event: object = envelope.event
    kind = qualified_name(type(event))
    return _fields(delivery.subscription, kind, envelope.id, envelope.correlation_id, delivery.attempt)


def fields_of_letter(letter: DeadLetter[Any]) -> dict[str, object]:
    """Give the fields of the delivery that *letter* was."""
    return _fields(letter.subscription, letter.event_type, letter.event_id, letter.correlation_id, letter.attempts)


def _fields(*values: object) -> dict[str, object]:
    return dict(zip(FIELDS[1:], values, strict=True))
