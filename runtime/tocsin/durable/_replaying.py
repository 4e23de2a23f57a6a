"""How a dead letter becomes a delivery in the store while no bus runs: by the same change that a running one makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tocsin.codecs import encode_headers

from ._records import Accept, StoredDelivery, StoredEvent

if TYPE_CHECKING:
    from tocsin_supervisors import DeadLetter

    from ._records import StoredLetter


def replayed(stored: StoredLetter, letter: DeadLetter[Any], *, event: int, delivery: int) -> Accept:
    """Give the change that moves *stored*, which says *letter*, into a delivery of its subscription.

    Its event is not decoded: the bytes are taken over. *event* and *delivery* are numbers that were never given. Raise
    EncodeError if the headers of the letter are none that an event can have.
    """
    kept = StoredEvent(
        id=event,
        event_id=letter.event_id,
        type_name=stored.type_name,
        version=stored.version,
        body=stored.body,
        topic=letter.topic,
        priority=letter.priority,
        published_at=letter.published_at.timestamp(),
        correlation_id=letter.correlation_id,
        causation_id=letter.causation_id,
        headers=encode_headers(letter.headers) if letter.headers else None,
        schema_version=1 if letter.schema_version is None else letter.schema_version,
    )
    record = StoredDelivery(id=delivery, event=event, subscription=letter.subscription, letter=stored.document)
    return Accept(event=kept, deliveries=(record,), replayed=stored.number)
