"""What follows a failed attempt: for the delivery first, then for the actor. Retry is not restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from tocsin_supervisors import (
    Bury,
    DeadLetterReason,
    Diagnosis,
    Failure,
    RenewChild,
    Retry,
    SuspendChild,
    decide,
    forget_traceback,
)

from ._outcomes import DropReason, RejectReason
from ._reports import DeliveryRetried
from .exceptions import AskFailed

if TYPE_CHECKING:
    from ._actor import Actor
    from ._delivery import AnyDelivery
    from ._judgement import Failed


@final
class CrashActor(Exception):  # named for what it asks for
    """Ends an incarnation that must be replaced, cell and all, because a stranger cancelled its handler."""


def attempt_failed(actor: Actor, delivery: AnyDelivery, failed: Failed) -> None:
    """Decide what becomes of *delivery*, then of the incarnation of *actor* that failed it."""
    failure = Failure.of(failed.error)
    actor.last_error = failure
    actor.mailbox.look_up()  # a success of any server counts now
    actor.missed += delivery.missed  # it was not handled, so the gap before it is still to be told
    # Only a stop ends a delivery whose handler still runs, and then it is interrupted, whatever it raises.
    assert not delivery.ended, f"{delivery!r} had ended before its attempt"
    if delivery.question is not None:
        _fail_question(actor, delivery, failed.error, failure)
    else:
        _retry_or_bury(actor, delivery, failed, failure)
    forget_traceback(failed.error)
    if failed.foreign:
        actor.end_incarnation(CrashActor(f"{actor.name}: {failure.message}"))
    elif actor.subscription.is_stateful and actor.settings.on_failure == "restart":
        renewal = RenewChild(f"{actor.name} failed, its state may be damaged", after=failure)
        renewal.__cause__ = failed.error
        actor.end_incarnation(renewal)


def bad_result(actor: Actor, delivery: AnyDelivery, error: TypeError) -> None:
    """The handler returned what it must not: no other attempt would change that, and the actor is well."""
    failure = Failure.of(error)
    actor.last_error = failure
    actor.missed += delivery.missed
    if delivery.question is not None:
        _fail_question(actor, delivery, error, failure)
    else:
        actor.bury(delivery, DeadLetterReason.BAD_HANDLER, failure)


def _fail_question(actor: Actor, delivery: AnyDelivery, error: Exception, failure: Failure) -> None:
    """Tell the asker, and nobody else: a question is attempted once."""
    answer = AskFailed(actor.name, failure)
    answer.__cause__ = error
    assert delivery.question is not None
    delivery.question.fail(answer)
    actor.rejected(delivery, RejectReason.ASK_FAILED)


def _retry_or_bury(actor: Actor, delivery: AnyDelivery, failed: Failed, failure: Failure) -> None:
    run, settings = actor.run, actor.settings
    if delivery.first_failed_at is None:
        delivery.first_failed_at = run.wall_now()
    verdict = decide(settings.retry, delivery.attempt, failed.error, timed_out=failed.timed_out, random=run.random)
    if isinstance(verdict, Bury) and verdict.reason is DeadLetterReason.NON_RETRYABLE:
        # The message is at fault, and says so: that tells nothing about the actor.
        actor.bury(delivery, DeadLetterReason.NON_RETRYABLE, failure)
        return
    is_sick = actor.health.on_failure(delivery.number, delivery.attempt) is Diagnosis.SICK
    if is_sick and not settings.strict_order:
        _spare(actor, delivery)
    elif isinstance(verdict, Retry) and actor.mailbox.is_superseded(delivery):
        actor.dropped(delivery, DropReason.COALESCED)
    elif isinstance(verdict, Retry):
        _retry(actor, delivery, verdict.delay, failure)
    else:
        actor.bury(delivery, DeadLetterReason.FOREIGN_CANCEL if failed.foreign else verdict.reason, failure)
    run.one_ended(0)  # if the actor is paused, a drain does not wait for another attempt
    if is_sick:
        actor.health.begin_probation()
        request = SuspendChild(f"{actor.name} is sick", cause=failure.type)
        request.__cause__ = failed.error
        actor.end_incarnation(request)


def _spare(actor: Actor, delivery: AnyDelivery) -> None:
    """The actor is at fault: the attempt does not count, so no outage empties a mailbox into the dead letters."""
    actor.not_in_flight(delivery)
    delivery.attempt -= 1
    if delivery.kept is not None:
        delivery.kept.interrupted()
    actor.mailbox.put_behind(delivery)


def _retry(actor: Actor, delivery: AnyDelivery, delay: float, failure: Failure) -> None:
    run = actor.run
    actor.not_in_flight(delivery)
    actor.counters.retried += 1
    now = run.now()
    if delivery.kept is not None:
        delivery.kept.failed(delivery, now + delay)
    actor.mailbox.put_for_retry(delivery, now + delay)
    if run.is_observed:
        run.report(
            DeliveryRetried(
                subscription=actor.name,
                event_id=delivery.envelope.id,
                attempt=delivery.attempt,
                delay=delay,
                failure=failure,
                at=now,
            )
        )
