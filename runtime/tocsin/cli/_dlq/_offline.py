"""The dead letters in the file of a daemon that does not run; see `tocsin.durable._visiting` for what a visit leaves.

No event is decoded and nothing is imported: a letter is shown with the JSON that its event was stored as. What is no
JSON, as a codec of one's own may have written it, is shown as bytes in base64, as a daemon shows an event it cannot
read.

A replay moves letters into deliveries, all in one commit: the next run of the bus handles them, with their attempts
counted anew. Whether it still has the subscription only that run can tell; if not, they wait in the file for one of
that name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias, assert_never, final

import attrs

from tocsin.codecs import EncodeError
from tocsin.durable import Accept, Damaged, ForgetLetters, StoredLetter, Unreadable
from tocsin.durable._documents import letter_of
from tocsin.durable._replaying import replayed
from tocsin.durable._visiting import Visit, visiting
from tocsin_supervisors import DeadLetter, DeadLetterOffice, DeadLetterReason

from ._choice import Choice
from ._letter import LetterView
from ._office import LetterNotFound, Refusal, Replayed


@final
@attrs.frozen
class _Kept:
    """A row, and the letter that it is."""

    stored: StoredLetter
    letter: DeadLetter[Any]

    @property
    def id(self) -> int:
        return self.stored.number


@final
@attrs.frozen
class _Broken:
    """A row that cannot be read."""

    row: Damaged

    @property
    def id(self) -> int:
        return self.row.number


_Found: TypeAlias = _Kept | _Broken


@final
@attrs.frozen
class OffLine:
    """An `Office` in the file at *path*."""

    path: Path

    def letters(self, choice: Choice, *, full: bool) -> Iterator[LetterView]:
        """See `Office`. What cannot be read is given, too, unless its number is not meant: it may be anything."""
        with visiting(self.path, changes=False) as visit:
            found = _meant(_read(visit), choice, with_broken=True)
        return (_view(each, full=full) for each in found)

    def letter(self, id: int) -> LetterView:
        """See `Office`."""
        with visiting(self.path, changes=False) as visit:
            found = [each for each in _read(visit) if each.id == id]
        if not found:
            raise LetterNotFound(f"there is no dead letter {id} in {self.path}")
        return _view(found[0], full=True)

    def purge(self, choice: Choice, *, dry_run: bool) -> Iterator[int]:
        """See `Office`. What cannot be read goes if its number is given, or all are to go."""
        with visiting(self.path, changes=not dry_run) as visit:
            doomed = tuple(each.id for each in _meant(_read(visit), choice, with_broken=not choice.says_more_than_ids))
            if not dry_run:
                visit.apply([ForgetLetters(doomed)])
        return iter(doomed)

    def replay(self, choice: Choice, *, rate: float | None, dry_run: bool) -> Iterator[Replayed]:
        """See `Office`. There is no *rate*: the next run handles them as it handles everything."""
        assert rate is None, "refused with the command line"
        with visiting(self.path, changes=not dry_run) as visit:
            found = _meant(_read(visit), choice, with_broken=not choice.says_more_than_ids)
            moves = _moves(found, visit.last_event(), visit.last_delivery())
            accepts = [move for move in moves if isinstance(move, Accept)]
            if not dry_run:
                visit.apply(accepts)
        refused = tuple(move for move in moves if isinstance(move, Refusal))
        moved = tuple(each.replayed for each in accepts if each.replayed is not None)
        return iter([Replayed(moved, refused)])


def _read(visit: Visit) -> list[_Found]:
    stored, damaged = visit.letters()
    found: list[_Found] = [_kept(each) for each in stored]
    found += [_Broken(row) for row in damaged]
    return sorted(found, key=lambda each: each.id)


def _kept(stored: StoredLetter) -> _Found:
    try:
        letter = attrs.evolve(letter_of(stored.document, _event(stored)), id=stored.number)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"its document cannot be read: {error!r}"
        return _Broken(Damaged("letters", stored.number, "", 0, why, repr(stored.document[:500])))
    return _Kept(stored, letter)


def _event(stored: StoredLetter) -> Any:
    try:
        return json.loads(stored.body)
    except (ValueError, RecursionError):
        return Unreadable(stored.type_name, "it is no JSON", stored.body, stored.version)


def _meant(found: list[_Found], choice: Choice, *, with_broken: bool) -> list[_Found]:
    """Choose as the office of a bus does."""
    office: DeadLetterOffice[Any] = DeadLetterOffice(capacity=max(1, len(found)))
    office.restore([each.letter for each in found if isinstance(each, _Kept)])
    wanted = {letter.id for letter in office.list(**choice.conditions())}
    if with_broken:
        wanted |= {each.id for each in found if isinstance(each, _Broken) and each.id in (choice.ids or (each.id,))}
    return [each for each in found if each.id in wanted][: choice.limit]


def _view(found: _Found, *, full: bool) -> LetterView:
    match found:
        case _Kept(letter=letter):
            return LetterView.of(letter, full=full)
        case _Broken(row=row):
            return LetterView.of_damaged(row)
        case _:
            assert_never(found)


def _moves(found: list[_Found], last_event: int, last_delivery: int) -> list[Accept | Refusal]:
    events, deliveries = count(last_event + 1), count(last_delivery + 1)
    return [_move(each, next(events), next(deliveries)) for each in found]


def _move(found: _Found, event: int, delivery: int) -> Accept | Refusal:
    why_not = _refusal(found)
    if isinstance(found, _Kept) and why_not is None:
        try:
            return replayed(found.stored, found.letter, event=event, delivery=delivery)
        except EncodeError as error:
            why_not = str(error)
    return Refusal(found.id, str(why_not))


def _refusal(found: _Found) -> str | None:
    match found:
        case _Broken(row=row):
            return row.why
        case _Kept(letter=letter) if letter.reason is DeadLetterReason.UNDELIVERABLE:
            return "no subscription matched it: it can only be published again, by a bus that runs"
        case _Kept(stored=stored) if not stored.type_name:
            return "its event was damaged in the file: there is nothing left to handle"
        case _Kept():
            return None
        case _:
            assert_never(found)
