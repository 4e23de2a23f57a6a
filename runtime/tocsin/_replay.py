"""Dead letters handled once more: each only by the subscriber that failed, oldest first, as slowly as asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import anyio
from attrs import frozen

from ._envelope import Envelope
from ._outcomes import RejectReason
from ._presence import Presence
from ._receipt import Receipt, open_receipt
from ._undertaker import UNDELIVERABLE
from ._waiting import WaitingPublisher

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
    for letter in letters:
        why_not = _refusal(run, letter)
        if why_not is None and not dry_run:
            await anyio.sleep(max(0.0, next_at - run.now()))
            next_at = run.now() + (0.0 if rate is None else 1.0 / rate)
            receipt = await _replay_one(run, letter)
            if receipt is not None:
                replayed.append(letter.id)
                receipts.append(receipt)
                continue
            why_not = "it was taken by another replay or purged, or its subscription ended meanwhile"
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
    if letter.subscription == UNDELIVERABLE:
        event: object = letter.event
        routed = run.router.route(type(event), letter.topic)
        return None if routed else "still no subscription matches it"
    actor = run.actors.get(letter.subscription)
    if actor is None:
        return f"there is no subscription {letter.subscription!r} any more"
    if actor.presence in (Presence.PARKED, Presence.GONE):
        return f"actor {letter.subscription!r} is {actor.presence.value}: start it again first"
    return None


async def _replay_one(run: Run, letter: DeadLetter[Any]) -> Receipt | None:
    """Move one letter from the office to the mailbox. Whatever goes wrong, it is back in the office."""
    if letter.id not in run.office:
        return None
    run.office.take(letter.id)
    receipt = Receipt()
    try:
        envelope = _envelope_of(run, letter)
        if letter.subscription == UNDELIVERABLE:
            return await run.publisher.publish(envelope, receipt)
        accepted = await _offer(run, run.actors[letter.subscription], envelope, letter, receipt)
    except BaseException:
        if not receipt.accepted:
            run.office.put_back(letter)
        raise
    if not accepted:
        run.office.put_back(letter)
        return None
    return receipt


async def _offer(run: Run, actor: Actor, envelope: Envelope[Any], letter: DeadLetter[Any], receipt: Receipt) -> bool:
    """Put a delivery with attempts counted anew into the mailbox of *actor*, waiting for room."""
    open_receipt(receipt, envelope.id, [actor.name])
    delivery = run.publisher.new_delivery(actor, envelope, receipt)
    delivery.replayed = letter
    actor.routed(delivery)
    if actor.mailbox.has_room:
        actor.mailbox.put(delivery)
        actor.accepted(delivery)
        return True
    waiting = WaitingPublisher(run.now, from_handler=False)
    waiting.wait_for(actor, delivery, None)
    await waiting.wait()
    return actor.name in receipt.accepted and RejectReason.CLOSED not in waiting.refused.values()


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
