"""Dead letters handled once more: each only by the subscriber that failed, oldest first, as slowly as asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import anyio
import anyio.lowlevel
from attrs import frozen

from tocsin_supervisors import DeadLetterReason

from ._envelope import Envelope
from ._lifecycle import may_publish
from ._publishing import own_server
from ._receipt import Receipt, open_receipt
from ._unreadable import Unreadable
from ._waiting import WaitingPublisher
from .exceptions import TocsinError, WouldDeadlock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin_supervisors import DeadLetter

    from ._actor import Actor
    from ._run import Run


@final
@frozen(kw_only=True)
class ReplayReport:
    """What a replay did, by ids of dead letters."""

    selected: tuple[int, ...]
    """The letters that matched the filters, oldest first."""
    replayed: tuple[int, ...]
    """Taken out of the office and accepted by the mailbox of their subscriber. Empty after a dry run."""
    refused: tuple[tuple[int, str], ...]
    """Still in the office, each with the reason."""
    receipts: tuple[Receipt, ...] = ()
    """One for each replayed letter: await `settled()` to learn how it ended this time."""


async def replay(run: Run, letters: Sequence[DeadLetter[Any]], *, rate: float | None, dry_run: bool) -> ReplayReport:
    """Replay *letters* one after the other, *rate* of them a second at most. See `EventBus.replay`."""
    replayed: list[int] = []
    receipts: list[Receipt] = []
    refused: list[tuple[int, str]] = []
    next_at = run.now()
    await anyio.lowlevel.checkpoint()
    for letter in letters:
        if not dry_run:
            await anyio.sleep(max(0.0, next_at - run.now()))
        # Looked at only now: much may have happened meanwhile.
        why_not = _refusal(run, letter)
        if why_not is None and not dry_run:
            next_at = run.now() + (0.0 if rate is None else 1.0 / rate)
            receipt = Receipt()
            why_not = await _replay_one(run, letter, receipt)
            if why_not is None:
                replayed.append(letter.id)
                receipts.append(receipt)
        if why_not is not None:
            refused.append((letter.id, why_not))
    return ReplayReport(
        selected=tuple(letter.id for letter in letters),
        replayed=tuple(replayed),
        refused=tuple(refused),
        receipts=tuple(receipts),
    )


def _refusal(run: Run, letter: DeadLetter[Any]) -> str | None:
    """Say why *letter* cannot be replayed now, or None."""
    if not may_publish(run.phase, from_handler=own_server(run) is not None):
        return f"the bus is {run.phase}"
    if letter.id not in run.office:
        return "it was purged, evicted, or taken by another replay"
    if letter.reason is DeadLetterReason.UNDELIVERABLE:
        return None
    if type(letter.event) is Unreadable:
        return f"it cannot be read: {letter.event.why}"
    if run.dormant.called(letter.subscription) is not None:
        return None
    actor = run.actors.get(letter.subscription)
    if actor is None:
        return f"there is no subscription {letter.subscription!r} any more"
    if actor.presence.is_for_good:
        return f"actor {letter.subscription!r} is {actor.presence.value}: start it again first"
    return None


async def _replay_one(run: Run, letter: DeadLetter[Any], receipt: Receipt) -> str | None:
    """Move one letter from the office to the mailbox, or say why not. Whatever goes wrong, it is back in the office."""
    if run.keeper is not None:
        run.keeper.letters.hold(letter.id)
    run.office.take(letter.id)
    is_moved = False
    try:
        envelope = _envelope_of(run, letter)
        if letter.reason is DeadLetterReason.UNDELIVERABLE:
            why_not = await _publish(run, envelope, receipt)
        else:
            actor = run.members.actor_called(letter.subscription)
            assert actor is not None, "it was there in this very step"
            why_not = await _offer(run, actor, envelope, letter, receipt)
        is_moved = why_not is None
    except TocsinError as error:
        why_not = None if receipt.accepted else str(error)
    finally:
        if not is_moved and not receipt.accepted:
            run.office.put_back(letter)
        if run.keeper is not None:
            run.keeper.letters.let_go_of(letter.id, is_moved=is_moved or bool(receipt.accepted))
    return why_not


async def _publish(run: Run, envelope: Envelope[Any], receipt: Receipt) -> str | None:
    """Publish the event of a letter that nobody matched once more."""
    if not run.publisher.matching(envelope):
        return "still no subscription matches it"
    await run.publisher.publish(envelope, receipt)
    return None


async def _offer(
    run: Run, actor: Actor, envelope: Envelope[Any], letter: DeadLetter[Any], receipt: Receipt
) -> str | None:
    """Put a delivery with attempts counted anew into the mailbox of *actor*, waiting for room; or say why not."""
    server = own_server(run)
    waits = server if server is not None and server.runs_here else None
    delivery = run.publisher.new_delivery(actor, envelope, receipt)
    delivery.replayed = letter
    keeping = None if run.keeper is None else run.keeper.prepare(envelope, [(actor, delivery)], may_wait=True)
    has_room = actor.mailbox.has_room
    if not has_room and waits is not None and (cycle := run.waits.cycle(waits.actor, [actor])) is not None:
        raise WouldDeadlock(cycle)
    open_receipt(receipt, envelope.id, [actor.name])
    actor.routed(delivery)
    waiting = WaitingPublisher(run, from_handler=server is not None)
    if not has_room:
        waiting.wait_for(actor, delivery, None)
        with run.waits.entered(waits, lambda: (actor,)):
            await waiting.wait()
    elif keeping is None:
        actor.take_in(delivery)
    else:
        keeping.offer(actor, delivery)
        keeping.submit()
    if keeping is not None:
        await keeping.confirmed(receipt)
    if actor.name in waiting.refused:
        return f"while it waited for room, the bus or its subscription ended ({waiting.refused[actor.name].value})"
    return None  # also when its actor was parked meanwhile: then there is a new letter, with this one's history


def _envelope_of(run: Run, letter: DeadLetter[Any]) -> Envelope[Any]:
    """Make the envelope anew, with the same id: who de-duplicates by it recognises the event."""
    return Envelope[Any].restored(
        letter.event,
        run.ids,
        event_id=letter.event_id,
        published_at=letter.published_at,
        priority=letter.priority,
        topic=letter.topic,
        headers=letter.headers,
        correlation_id=letter.correlation_id,
        causation_id=letter.causation_id,
        schema_version=letter.schema_version,
    )
