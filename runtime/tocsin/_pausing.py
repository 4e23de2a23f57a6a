"""Pausing: an operator has one actor begin nothing for a while. What it accepts waits, in order.

    going on ──pause──▶ paused ──resume──▶ going on

Both are one step in the thread of the bus, and change `is_paused` alone; nothing here waits, so no cancellation can
land in between. A server looks at `is_paused` only when it is called to attention, before each delivery that it would
take by whichever way, and sleeps in `hold_up` then. So it costs nothing while nobody is paused, and what is in flight
goes on to its end. Whoever resumes wakes all servers of the actor, also those that sleep in the mailbox, as a wake-up
may have reached one that was not allowed to act on it.

The state belongs to the actor, which outlives its incarnations, and ends with the run. It is apart from what else may
hold an actor up: it goes on when it is neither paused, nor in quarantine, nor on probation, nor down.

A drain does not wait for what a paused actor has not begun, and does not resume it: whoever has paused it had a reason,
which a stop does not end. It is left over, as what a parked actor has is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._reports import SubscriptionPaused, SubscriptionResumed

if TYPE_CHECKING:
    from ._actor import Actor
    from ._run import Run


def pause(actor: Actor) -> None:
    """Let *actor* begin nothing more. Idempotent."""
    if actor.is_paused:
        return
    run = actor.run
    actor.is_paused = True
    run.paused.add(actor)
    if run.keeper is not None:
        run.keeper.quarantine.paused(actor)
    actor.mailbox.look_up()
    run.log.paused(actor)
    run.report(SubscriptionPaused(subscription=actor.name, at=run.now()))
    run.one_ended(0)  # perhaps a drain had nothing else to wait for


def resume(actor: Actor) -> None:
    """Let *actor* go on. Idempotent."""
    if not actor.is_paused:
        return
    run = actor.run
    actor.is_paused = False
    run.paused.discard(actor)
    if run.keeper is not None:
        run.keeper.quarantine.resumed(actor)
    actor.mailbox.look_up()
    actor.mailbox.wake_all()
    actor.let_go_on()
    run.log.resumed(actor)
    run.report(SubscriptionResumed(subscription=actor.name, at=run.now()))


def left_alone(run: Run) -> int:
    """Give how many deliveries nobody will handle as things are: all that absent actors have, and what paused ones have
    not begun.
    """
    absent = sum(actor.ledger().live for actor in run.absent)
    return absent + sum(waiting_in(actor) for actor in run.paused if actor not in run.absent)


def waiting_in(actor: Actor) -> int:
    """Give how many deliveries of *actor* have not ended and are not in flight."""
    ledger = actor.ledger()
    return ledger.live - ledger.in_flight
