"""What a bus wants from a store: the protocols. `SQLiteStore` is one, `tocsin.testing.MemoryStore` another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.codecs import CodecRegistry

    from ._records import Change, Contents
    from .exceptions import StoreError


class OpenStore(Protocol):
    """A store that is open, for one run of a bus, in one thread."""

    @property
    def contents(self) -> Contents:
        """What it held when it was opened."""
        ...

    @property
    def backlog(self) -> int:
        """How many changes have been asked for and not been begun."""
        ...

    def submit(self, change: Change, done: Callable[[StoreError | None], object]) -> None:
        """Have *change* kept, whole, after all that was submitted before, and return at once.

        *done* is called later in the loop: with None when it is kept, and with the error when it is not. An `Accept`
        may be refused. Anything else is tried again until the store is closed or has failed.
        """
        ...

    def begin(self, delivery: int, attempt: int) -> int:
        """Keep, before this returns, that *attempt* of *delivery* begins; give the slot that says so.

        It outlives the process, whatever ends it.
        """
        ...

    def over(self, slot: int, delivery: int, attempt: int, *, handled: bool) -> None:
        """Keep, before this returns, that this attempt has ended, and whether its delivery was handled."""
        ...

    def end(self, slot: int) -> None:
        """What became of the attempt in *slot* is kept."""
        ...

    def forget_begun(self) -> None:
        """The attempts in `contents.begun` are counted by now, by changes that are kept."""
        ...

    def watch(self, behind: Callable[[StoreError | None], object]) -> None:
        """Have *behind* called in the loop when something that must be kept cannot be, with the error, and seldom again
        while that lasts; with None when it is kept.
        """
        ...

    async def close(self) -> None:
        """Keep what was submitted, as far as that is possible at once, and let go.

        Cancelled, it goes on with that as long as it can, and tells nobody.
        """
        ...


class Store(Protocol):
    """Where a bus keeps what must outlive its process."""

    @property
    def codecs(self) -> CodecRegistry:
        """How events become bytes, and come back."""
        ...

    async def open(self) -> OpenStore:
        """Open it for one run, and read what it holds; raise StoreError."""
        ...
