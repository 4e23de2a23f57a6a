"""Events, and what the tests of stores need again and again."""

from __future__ import annotations

from attrs import frozen

from tocsin import Backoff, RetryPolicy
from tocsin.durable import Accept, StoredDelivery, StoredEvent, StoredLetter

AT_ONCE = RetryPolicy(max_attempts=3, backoff=Backoff(initial=0.0, jitter=0.0))
LATER = RetryPolicy(max_attempts=3, backoff=Backoff(initial=60.0, maximum=60.0, jitter=0.0))


@frozen
class Order:
    number: int


@frozen
class Refund(Order):
    reason: str = ""


def accept(number: int, *subscriptions: str, event: int | None = None) -> Accept:
    """Give the change that accepts event *number* for *subscriptions*, whose deliveries are numbered from there on."""
    stored = StoredEvent(
        id=number if event is None else event,
        event_id=f"id-{number}",
        type_name="order",
        version=1,
        body=b'{"number":%d}' % number,
        published_at=1_000.0 + number,
    )
    deliveries = [
        StoredDelivery(id=number + offset, event=stored.id, subscription=name)
        for offset, name in enumerate(subscriptions or ("s",))
    ]
    return Accept(event=stored, deliveries=tuple(deliveries))


def letter(number: int) -> StoredLetter:
    return StoredLetter(number=number, document=b"{}", type_name="order", version=1, body=b"{}")
