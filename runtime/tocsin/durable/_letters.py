"""What a bus that runs has kept of its dead letters: the mirror of its office."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from tocsin._unreadable import Unreadable
from tocsin.codecs import EncodeError

from ._documents import document_of
from ._kept import nobody_waits
from ._records import Bury, ForgetLetters, StoredLetter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tocsin._delivery import AnyDelivery
    from tocsin._log import BusLog
    from tocsin.codecs import CodecRegistry
    from tocsin_supervisors import DeadLetter

    from ._kept import Kept
    from ._records import Change, Settle
    from .exceptions import StoreError


@final
class LetterKeeper:
    """See the module. All of it happens in the loop; *submit* is `Keeper.submit`."""

    def __init__(
        self,
        submit: Callable[[Change, Callable[[StoreError | None], object]], None],
        codecs: CodecRegistry,
        log: BusLog,
    ) -> None:
        self._submit = submit
        self._codecs = codecs
        self._log = log
        self._held: set[int] = set()  # being replayed: the store is told of their end by other means

    def keep(self, letter: DeadLetter[Any], delivery: AnyDelivery | None) -> None:
        """Have *letter* kept, that of *delivery*, which ends with it if it is durable."""
        kept = None if delivery is None else delivery.kept
        stored = self._letter_as_stored(letter, kept)
        if stored is None:
            return
        if kept is None:
            self._submit(Bury(stored), nobody_waits)
        else:
            self._submit(Bury(stored, kept.settle), kept.done_with_slot())

    def set_aside(self, letter: DeadLetter[Any], damaged: Settle) -> None:
        """Have *letter* kept in the place of what was damaged."""
        stored = self._letter_as_stored(letter, None)
        assert stored is not None, "its event is bytes already"
        self._submit(Bury(stored, damaged), nobody_waits)

    def _letter_as_stored(self, letter: DeadLetter[Any], kept: Kept | None) -> StoredLetter | None:
        if kept is not None:
            name, version, body = kept.event.type_name, kept.event.version, kept.event.body
        elif type(letter.event) is Unreadable:  # as it was read, so that it can be read later
            name, version, body = letter.event.type_name, letter.event.version, letter.event.body
        else:
            try:
                encoded = self._codecs.encode(letter.event)
            except EncodeError as error:  # of a subscription that is not durable, so nobody has promised anything
                self._log.letter_not_kept(letter, error)
                return None
            name, version, body = encoded.name, encoded.version, encoded.data
        return StoredLetter(number=letter.id, document=document_of(letter), type_name=name, version=version, body=body)

    def left(self, numbers: Sequence[int]) -> None:
        """Letters were evicted, purged or taken; see `DeadLetterMirror`."""
        gone = tuple(number for number in numbers if number not in self._held)
        if gone:
            self._submit(ForgetLetters(gone), nobody_waits)

    def came_back(self, letter: DeadLetter[Any]) -> None:
        """A letter that was taken is here again; see `DeadLetterMirror`."""
        if letter.id not in self._held:
            self.keep(letter, None)

    def hold(self, number: int) -> None:
        """A letter is about to be replayed: it stays in the store until it is accepted."""
        self._held.add(number)

    def let_go_of(self, number: int, *, is_moved: bool) -> None:
        """Its replay is over."""
        self._held.discard(number)
        if is_moved:
            self.left((number,))
