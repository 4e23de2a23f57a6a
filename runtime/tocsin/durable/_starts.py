"""Which attempts have begun and ended: written down as it happens, in case a handler takes the process with it.

A handler that ends its process (a segmentation fault, the memory killer, `kill -9`) leaves nothing behind that could
say so. A commit before each attempt would; it costs a thousand times what this does: 24 bytes written to a file of its
own, which the operating system has from then on, whatever becomes of the process. It is not waited for until they are
on the disk: after a loss of power, attempts that had begun then may not be counted.

A slot stays taken until what became of the attempt is committed. That it has ended is written down, too: whoever ended
just before another took the process along is innocent, and what was handled is not handled again.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, final

from ._records import Begun
from .exceptions import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

SLOT = struct.Struct("<QQII")  # delivery, attempt, state, checksum of these
_FACTS = struct.Struct("<QQI")
EMPTY = bytes(SLOT.size)
BEGUN, ENDED, HANDLED = 1, 2, 3  # states


@final
class Starts:
    """See the module. One thread uses it at a time; *path* is made if it is not there."""

    def __init__(self, path: Path) -> None:
        self._free: list[int] = []
        self._over: set[int] = set()  # slots that say that their attempt has ended
        self._slots = 0
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            self._file = os.open(path, flags, 0o600)
        except OSError as error:
            raise StoreUnavailable(path, f"it cannot be opened ({error.strerror})") from error

    def read(self) -> dict[int, Begun]:
        """Give what has begun, by delivery. What was torn while it was written had not begun."""
        return _begun_in(os.pread(self._file, os.fstat(self._file).st_size, 0))

    def clear(self) -> None:
        """Forget everything: it is counted elsewhere now."""
        os.ftruncate(self._file, 0)
        self._free.clear()
        self._over.clear()
        self._slots = 0

    def begin(self, delivery: int, attempt: int) -> int:
        """Write down that *attempt* of *delivery* begins, and give the slot to be freed when it is counted."""
        if self._free:
            slot = self._free.pop()
        else:
            slot, self._slots = self._slots, self._slots + 1
        self._write(slot, delivery, attempt, BEGUN)
        return slot

    def over(self, slot: int, delivery: int, attempt: int, *, handled: bool) -> None:
        """Write down that it has ended, and whether the delivery was handled."""
        self._write(slot, delivery, attempt, HANDLED if handled else ENDED)
        self._over.add(slot)

    def _write(self, slot: int, delivery: int, attempt: int, state: int) -> None:
        facts = _FACTS.pack(delivery, attempt, state)
        os.pwrite(self._file, facts + zlib.crc32(facts).to_bytes(4, "little"), slot * SLOT.size)

    def end(self, slot: int) -> None:
        """What became of the attempt in *slot* is counted.

        If the slot says that it has ended, it may go on saying so: the delivery is gone, or has that attempt counted.
        """
        if slot in self._over:
            self._over.discard(slot)
        else:
            os.pwrite(self._file, EMPTY, slot * SLOT.size)
        self._free.append(slot)

    def close(self) -> None:
        """Let go of the file. What is to be written later raises OSError: its number may be another file's by then."""
        file, self._file = self._file, -1
        os.close(file)


def noted_beside(store: Path) -> dict[int, Begun]:
    """Give what the notes of the store at *store* say, without opening them for a run; nothing if there are none."""
    try:
        return _begun_in(notes_of(store).read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreUnavailable(notes_of(store), f"it cannot be read ({error.strerror})") from error


def notes_of(store: Path) -> Path:
    """Give the file with the notes of the store at *store*."""
    return store.with_name(f"{store.name}-starts")


def _begun_in(data: bytes) -> dict[int, Begun]:
    begun: dict[int, Begun] = {}
    for offset in range(0, len(data) - SLOT.size + 1, SLOT.size):
        delivery, attempt, state, crc = SLOT.unpack_from(data, offset)
        if not delivery or crc != zlib.crc32(_FACTS.pack(delivery, attempt, state)):
            continue
        if delivery not in begun or begun[delivery].attempt < attempt:
            begun[delivery] = Begun(attempt, state != BEGUN, state == HANDLED)
    return begun
