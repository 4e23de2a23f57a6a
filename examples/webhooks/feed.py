"""Where the webhooks come from: a file of real ones, in an order and with repetitions that the seed decides."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import anyio
from attrs import define, evolve, field

from tocsin import EventBus, Receipt

from .events import Webhook, parse, priority_of

ARCHIVE: Final = Path(__file__).parent / "data" / "github-webhooks.ndjson.xz"
SENT_TWICE: Final = 0.03  # GitHub promises "at least once"


def archive() -> list[Webhook]:
    """Read all recorded webhooks."""
    with lzma.open(ARCHIVE) as lines:
        return [parse(line) for line in lines]


def webhooks(*, repeat: int, random: Random) -> Iterator[Webhook]:
    """Give the archive *repeat* times, shuffled after the first time, and now and then a webhook twice."""
    recorded = archive()
    for number in range(repeat):
        for event in recorded:
            event = event if number == 0 else evolve(event, delivery=f"{event.delivery}/{number}")
            yield event
            if random.random() < SENT_TWICE:
                yield event
        random.shuffle(recorded)


@define
class Feed:
    """Publishes webhooks on a bus at a steady rate."""

    events: list[Webhook]
    rate: float | None
    """Webhooks a second; None for as fast as they are taken."""
    receipts: list[Receipt] = field(factory=list[Receipt])

    async def publish(self, bus: EventBus) -> None:
        """Publish everything, then wait until everything was handled or given up."""
        start = anyio.current_time()
        for number, event in enumerate(self.events):
            if self.rate is not None:
                await anyio.sleep_until(start + number / self.rate)
            receipt = await bus.publish(event, priority=priority_of(event), topic=event.topic)
            self.receipts.append(receipt)
        for receipt in self.receipts:
            await receipt.settled()
