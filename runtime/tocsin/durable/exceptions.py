"""What can be wrong with a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.exceptions import TocsinError

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin._receipt import Receipt


class StoreError(TocsinError):
    """Base of what goes wrong with a store. Nothing of the change that was asked for is in it, unless it says so.

    `receipt`: of the publish that was refused; its `accepted` says who has taken the event all the same.
    """

    def __init__(self, path: Path | str, text: str, receipt: Receipt | None = None) -> None:
        super().__init__(f"store {str(path)!r}: {text}")
        self.path: str = str(path)
        self.text: str = text
        self.receipt: Receipt | None = receipt

    def about(self, receipt: Receipt) -> StoreError:
        """Give the same error once more, for one of several publishers that it has struck at once."""
        return type(self)(self.path, self.text, receipt)


class StoreUnavailable(StoreError):
    """The store cannot be opened or written to at the moment, or not by this process."""


class StoreFull(StoreError):
    """There is no room: on the disk, or within `max_bytes`. What is settled makes room again."""


class StoreCorrupt(StoreError):
    """The file is no store, or damaged; nothing is repaired behind your back."""


class StoreFailed(StoreError):
    """The disk has failed while it was to keep what was written: whether the last changes are kept is not known.

    Nothing is taken any more: an operating system that has failed to keep a page may forget it and report success the
    next time. Begin another run, which reads what is really there.
    """
