"""`publish`: an event from outside.

Cancelled, by the time limit of its client or with it, those who have not taken the event yet never do.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from tocsin import BusNotRunning, EventBus, MailboxFull, Priority, Receipt, TocsinError
from tocsin._publish_options import PublishOptions
from tocsin.cli._showing import shown

from ._errors import CommandRefused
from ._params import Params, bad_params
from ._protocol import Json
from ._types import known_types, type_named

WAIT = 5.0  # seconds, for room in full mailboxes


async def publish(bus: EventBus, params: Mapping[str, Json]) -> Json:
    """Publish `data` as an event of `type`, and say who has taken it.

    Both as the codecs of the bus have them. `topic`, `priority`, `headers`, `correlation_id`, `expires_in` are the
    options of `EventBus.publish`; `wait` is how many seconds there may be to wait for room.
    """
    asked = Params(params)
    kind = type_named(asked.text("type"), known_types(bus))
    event = kind.event(asked.value("data"))
    wait = asked.optional_number("wait")
    options = _options(asked)
    asked.end()
    receipt = Receipt()
    with anyio.move_on_after(WAIT if wait is None else wait):
        await _publish(bus, event, receipt, options)
    return {
        "type": kind.name,
        "event_id": receipt.event_id,
        "matched": list(receipt.matched),
        "accepted": list(receipt.accepted),
        "withdrawn": list(receipt.withdrawn),
    }


async def _publish(bus: EventBus, event: object, receipt: Receipt, options: PublishOptions) -> None:
    try:
        await bus.publish(event, receipt=receipt, **options)
    except MailboxFull:
        pass  # the receipt says whose
    except BusNotRunning as error:
        raise CommandRefused("not_running", str(error)) from error
    except (TocsinError, TypeError, ValueError) as error:
        raise CommandRefused("not_published", str(error)) from error


def _options(asked: Params) -> PublishOptions:
    options = PublishOptions(topic=asked.optional_text("topic"), correlation_id=asked.optional_text("correlation_id"))
    options["priority"] = _priority(asked.optional_text("priority"))
    options["expires_in"] = asked.optional_number("expires_in")
    headers = asked.value("headers")
    if headers is not None and not isinstance(headers, dict):
        raise bad_params(f"headers={shown(headers, 60)} must be an object")
    options["headers"] = headers
    return options


def _priority(name: str | None) -> Priority:
    if name is None:
        return Priority.NORMAL
    try:
        return Priority[name.upper()]
    except KeyError:
        allowed = ", ".join(each.name.lower() for each in Priority)
        raise bad_params(f"priority={shown(name, 60)} must be one of {allowed}") from None
