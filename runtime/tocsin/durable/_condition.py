"""How a store is doing: what statistics and the log say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from .exceptions import StoreCorrupt, StoreFailed

if TYPE_CHECKING:
    from tocsin._log import BusLog

    from .exceptions import StoreError


@final
class Condition:
    """Told of everything that goes wrong, by `Keeper`, in the loop."""

    def __init__(self, log: BusLog) -> None:
        self._log = log
        self.errors: int = 0  # changes that were refused, and looks at what is tried again
        self._is_behind = False  # something is tried again and again
        self._has_failed = False  # nothing is taken until the next run

    @property
    def is_well(self) -> bool:
        """False while the store cannot keep what has happened."""
        return not self._is_behind and not self._has_failed

    def refused(self, error: StoreError) -> None:
        """A change was refused."""
        self.errors += 1
        self._has_failed = self._has_failed or isinstance(error, StoreFailed | StoreCorrupt)
        self._log.not_kept(error)

    def behind(self, error: StoreError | None) -> None:
        """What has happened cannot be written, and is tried again; None: it is written by now."""
        self._is_behind = error is not None
        self.errors += error is not None
        self._log.store_behind(error)
