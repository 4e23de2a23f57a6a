"""Makes dead letters out of deliveries, and sees that they are told of."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, final

from tocsin_supervisors import DeadLetterReason, DeadLetterRefused, qualified_name
from tocsin_supervisors._dead_letters import add_new
from tocsin_supervisors._letters import first_letter

from ._reports import DeliveryDeadLettered

if TYPE_CHECKING:
    from tocsin_supervisors import DeadLetter, Failure

    from ._delivery import AnyDelivery
    from ._envelope import Envelope
    from ._run import Run

UNDELIVERABLE = "undeliverable"  # stands for the subscription in dead letters of events that matched none


@final
class Undertaker:
    """The way into the dead-letter office, for one run of a bus."""

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    def bury(
        self, delivery: AnyDelivery, reason: DeadLetterReason, failure: Failure | None, *, incarnation: int
    ) -> int | None:
        """Put *delivery* into the office and give the id of the letter; None: a letter of a letter was refused."""
        now = self._run.wall_now()
        letter = first_letter(
            partial(_facts, delivery.envelope),
            event=delivery.envelope.event,
            subscription=delivery.subscription,
            incarnation=incarnation,
            reason=reason,
            attempts=delivery.attempt,
            died=(delivery.first_failed_at or now, now),
            failure=failure,
        )
        if delivery.replayed is not None:
            letter = letter.after(delivery.replayed)
        if not self._add(letter, delivery):
            return None
        if self._run.is_observed:
            self._run.report(
                DeliveryDeadLettered(
                    subscription=delivery.subscription,
                    event_id=letter.event_id,
                    reason=reason,
                    attempts=delivery.attempt,
                    letter=letter.id,
                    failure=failure,
                    at=self._run.now(),
                )
            )
        return letter.id

    def bury_undeliverable(self, envelope: Envelope[Any]) -> None:
        """Put an event that matched nobody into the office."""
        now = self._run.wall_now()
        letter = first_letter(
            partial(_facts, envelope),
            event=envelope.event,
            subscription=UNDELIVERABLE,
            incarnation=0,
            reason=DeadLetterReason.UNDELIVERABLE,
            attempts=0,
            died=(now, now),
            failure=None,
        )
        self._add(letter, None)

    def _add(self, letter: DeadLetter[Any], delivery: AnyDelivery | None) -> bool:
        """Put *letter*, that of *delivery*, into the office and the store, and tell of it in the log; False if it was
        refused.
        """
        office, log = self._run.office, self._run.log
        errors = office.sink_errors
        try:
            add_new(office, letter)
        except DeadLetterRefused as refusal:
            log.letter_refused(refusal)
            return False
        log.dead_lettered(letter, delivery)
        if self._run.keeper is not None:
            self._run.keeper.letters.keep(letter, delivery)
        if office.sink_errors > errors and office.sink_failure is not None:
            log.sink_failed(letter, office.sink_failure)
        return True


def _facts(envelope: Envelope[Any]) -> dict[str, Any]:
    """Give what a dead letter says of an envelope, beside the event."""
    event: object = envelope.event
    return {
        "event_id": envelope.id,
        "event_type": qualified_name(type(event)),
        "topic": envelope.topic,
        "priority": envelope.priority,
        "published_at": envelope.published_at,
        "correlation_id": envelope.correlation_id,
        "causation_id": envelope.causation_id,
        "headers": envelope.headers,
        "schema_version": envelope.schema_version,
    }
