"""The dead letters of a daemon that runs: it is asked for them, a page after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import final

import attrs

from tocsin.cli._control._asking import Asking, ask
from tocsin.cli._control._client import TIMEOUT
from tocsin.cli._control._errors import BrokenConversation, CommandRefused
from tocsin.cli._control._protocol import Json
from tocsin.cli._control._reading import Reading

from ._choice import Choice
from ._letter import LetterView
from ._office import LetterNotFound, Refusal, Replayed

PAGE = 500  # letters, as many as a daemon gives
PATIENCE = 60.0  # seconds for a letter to find room in the mailbox
MARGIN = 2.0  # seconds: a page of a replay ends before the time for its answer is over
_A_MOMENT = 1.0  # seconds; a page of a replay with a rate takes about that


@final
@attrs.frozen
class OnLine:
    """An `Office` by way of the control socket. *sleep* takes seconds."""

    options: Asking
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def letters(self, choice: Choice, *, full: bool) -> Iterator[LetterView]:
        """See `Office`."""
        for page in self._pages("dlq.list", choice, PAGE, full=full):
            for facts in page.objects("letters"):
                yield LetterView.read(facts.values())

    def letter(self, id: int) -> LetterView:
        """See `Office`."""
        try:
            return LetterView.read(ask(self.options, "dlq.show", {"id": id}))
        except CommandRefused as error:
            if error.kind != "not_found":
                raise
            raise LetterNotFound(str(error)) from error

    def purge(self, choice: Choice, *, dry_run: bool) -> Iterator[int]:
        """See `Office`."""
        for page in self._pages("dlq.purge", choice, PAGE, dry_run=dry_run):
            yield from _numbers(page, "purged")

    def replay(self, choice: Choice, *, rate: float | None, dry_run: bool) -> Iterator[Replayed]:
        """See `Office`. It ends early at a letter that finds no room in its mailbox for a minute."""
        seconds = TIMEOUT if self.options.timeout is None else self.options.timeout
        size = PAGE if rate is None else min(PAGE, max(1, int(rate * _A_MOMENT)))
        progress = self.clock()
        for page in self._pages(
            "dlq.replay", choice, size, rate=rate, dry_run=dry_run, wait=max(0.0, seconds - MARGIN)
        ):
            done = _read(page)
            yield done
            waits = page.optional_number("waits")
            if page.count("count"):
                progress = self.clock()
            elif waits is not None and self.clock() - progress >= PATIENCE:
                yield Replayed((), (Refusal(int(waits), no_room(PATIENCE)),))
                return
            if done.moved and rate is not None and not dry_run and page.optional_number("next") is not None:
                self.sleep(1.0 / rate)

    def _pages(self, command: str, choice: Choice, size: int, **more: Json) -> Iterator[Reading]:
        """Ask for one page after the other, until *choice* is satisfied."""
        params = {**choice.params(), **more}
        after: int | None = 0
        up_to, left = None, choice.limit
        while after is not None and (left is None or left > 0):
            limit = size if left is None else min(size, left)
            page = Reading(ask(self.options, command, {**params, "after": after, "up_to": up_to, "limit": limit}))
            yield page
            follows = page.optional_number("next")
            up_to, after = int(page.number("up_to")), None if follows is None else int(follows)
            left = None if left is None else left - page.count("count")


def _read(page: Reading) -> Replayed:
    refused = [Refusal(int(each.number("id")), each.text("why")) for each in page.objects("refused")]
    return Replayed(_numbers(page, "moved"), tuple(refused))


def _numbers(page: Reading, name: str) -> tuple[int, ...]:
    found = page.values().get(name)
    numbers = tuple(each for each in found if type(each) is int) if isinstance(found, list) else None
    if numbers is None or list(numbers) != found:
        raise BrokenConversation(f"the answer.{name} is no list of numbers: is the daemon of another version?")
    return numbers


def no_room(seconds: float) -> str:
    return f"its mailbox has had no room for it for {seconds:g} s; those after it were left alone, too"
