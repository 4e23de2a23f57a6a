"""`dlq.…` at the daemon: its dead letters, a page at a time.

Letters are numbered in the order in which they come, and a number is never given again. So a page is the letters that
are meant with a number above `after` and up to `up_to`, the last one there was when the first page was asked for:
whatever comes, goes and comes back meanwhile, no letter is on two pages, and what fails again after its replay is a new
letter, which is on none. An answer says with which `after` the next page begins, if there may be one.

Everything is decided in one step of the event loop, but for a replay, which takes one letter after the other. When its
time is over, or it is cancelled, a letter that waits for room is back in the office, and those after it were not
touched.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self, final

import anyio
import anyio.lowlevel
import attrs

from tocsin import EventBus, TocsinError
from tocsin.cli._control._errors import CommandRefused
from tocsin.cli._control._params import Params, bad_params
from tocsin.cli._control._protocol import Json
from tocsin_supervisors import DeadLetter, DeadLetterNotFound, DeadLetterOffice

from ._choice import MOST, Choice, choice_in
from ._letter import facts_of

PAGE = 500  # letters
PAGE_BYTES = 1 << 20  # after which a page of letters ends
WAIT = 5.0  # seconds that a page of a replay takes, unless the client says
_GONE = "it was purged, evicted, or taken by another replay"


@final
@attrs.frozen
class _Asked:
    """What of a request says which letters are on the page."""

    choice: Choice
    after: int
    up_to: int
    limit: int

    @classmethod
    def of(cls, params: Params, office: DeadLetterOffice[Any]) -> Self:
        return cls(
            choice_in(params, datetime.now(UTC)),
            after=params.whole_number("after", 0, at_least=0, at_most=MOST),
            up_to=params.whole_number("up_to", office.added, at_least=0, at_most=MOST),
            limit=params.whole_number("limit", PAGE, at_least=1, at_most=PAGE),
        )

    def letters(self, office: DeadLetterOffice[Any]) -> tuple[list[DeadLetter[Any]], bool]:
        """Give those on the page, and whether there is another one."""
        meant = office.list(**self.choice.conditions())
        found = [letter for letter in meant if self.after < letter.id <= self.up_to]
        return found[: self.limit], len(found) > self.limit

    def answer(self, done: int, last: int | None, *, has_more: bool, **facts: Json) -> Json:
        """Give the answer: *done* of the letters are on the page, the *last* one of them has that number."""
        after = self.after if last is None else last
        return {**facts, "count": done, "up_to": self.up_to, "next": after if has_more else None}


async def list_letters(bus: EventBus, params: Mapping[str, Json]) -> Json:
    """Give a page of letters; with event and traceback if `full`."""
    taken = Params(params)
    asked, full = _Asked.of(taken, bus.dead_letters), taken.flag("full")
    taken.end()
    letters, has_more = asked.letters(bus.dead_letters)
    page: list[Json] = []
    size = 0
    for letter in letters:
        page.append(facts_of(letter, full=full))
        size += len(json.dumps(page[-1]))
        if size >= PAGE_BYTES:
            break
        await anyio.lowlevel.checkpoint()
    has_more = has_more or len(page) < len(letters)
    last = letters[len(page) - 1].id if page else None
    return asked.answer(len(page), last, has_more=has_more, letters=page)


async def show_letter(bus: EventBus, params: Mapping[str, Json]) -> Json:
    """Give the letter of the number `id` with all that it says."""
    taken = Params(params)
    number = taken.whole_number("id", 0, at_least=1, at_most=MOST)
    taken.end()
    try:
        return facts_of(bus.dead_letters.get(number), full=True)
    except DeadLetterNotFound as error:
        raise CommandRefused("not_found", str(error)) from error


async def purge_letters(bus: EventBus, params: Mapping[str, Json]) -> Json:
    """Delete a page of letters, unless `dry_run`, and give their numbers."""
    taken = Params(params)
    asked, dry_run = _Asked.of(taken, bus.dead_letters), taken.flag("dry_run")
    taken.end()
    letters, has_more = asked.letters(bus.dead_letters)
    numbers = [letter.id for letter in letters]
    if numbers and not dry_run:
        bus.dead_letters.purge(ids=numbers)
    purged: list[Json] = list(numbers)
    return asked.answer(len(numbers), numbers[-1] if numbers else None, has_more=has_more, purged=purged)


async def replay_letters(bus: EventBus, params: Mapping[str, Json]) -> Json:
    """Have a page of letters handled once more, `rate` of them a second at most, within `wait` seconds.

    Unless `dry_run`, which only says what would become of each. A letter that waits for room when the time is over is
    named by `waits`, and is the first one of the next page.
    """
    taken = Params(params)
    asked, dry_run = _Asked.of(taken, bus.dead_letters), taken.flag("dry_run")
    rate, wait = taken.optional_number("rate"), taken.optional_number("wait")
    taken.end()
    if rate is not None and not 0 < rate < math.inf:
        raise bad_params(f"rate={rate} must be letters per second, above 0")
    letters, has_more = asked.letters(bus.dead_letters)
    replay = _Replay(bus, dry_run=dry_run, pause=0.0 if rate is None or dry_run else 1.0 / rate)
    try:
        with anyio.move_on_after(WAIT if wait is None else wait):
            await replay.all(letters)
    except TocsinError as error:
        raise CommandRefused("refused", str(error)) from error
    last = letters[replay.done - 1].id if replay.done else None
    return asked.answer(
        replay.done,
        last,
        has_more=has_more or replay.done < len(letters),
        moved=replay.moved,
        refused=replay.refused,
        waits=replay.waits,
    )


@final
@attrs.define
class _Replay:
    """One page of a replay, as far as it has come."""

    bus: EventBus
    dry_run: bool = attrs.field(kw_only=True)
    pause: float = attrs.field(kw_only=True)  # seconds between two letters
    done: int = attrs.field(default=0, init=False)
    moved: list[Json] = attrs.field(factory=list[Json], init=False)
    refused: list[Json] = attrs.field(factory=list[Json], init=False)
    waits: int | None = attrs.field(default=None, init=False)

    async def all(self, letters: list[DeadLetter[Any]]) -> None:
        """Replay *letters*. Cancelled, `done` says how many of them."""
        for letter in letters:
            if self.moved and self.pause:
                await anyio.sleep(self.pause)
            self.waits = letter.id
            try:
                await self._one(letter.id)
            except anyio.get_cancelled_exc_class():
                # Cut short while it waited for room it is back; while it waited for its commit, it has left.
                if letter.id not in self.bus.dead_letters:
                    self._note_moved(letter.id)
                raise

    async def _one(self, number: int) -> None:
        report = await self.bus.replay(ids=[number], dry_run=self.dry_run)
        whys = [why for _, why in report.refused] if report.selected else [_GONE]
        if whys:
            self.refused.append({"id": number, "why": whys[0]})
            self.done += 1
            self.waits = None
        else:
            self._note_moved(number)

    def _note_moved(self, number: int) -> None:
        self.moved.append(number)
        self.done += 1
        self.waits = None
