"""The one thread that has the connection: it commits what has come in during the commit before, all at once.

So a commit is shared by everybody who waited for one, and costs each of them a fraction; nobody waits for company, as
the disk itself makes the pause. What is asked for is done in the order of asking.

    submitted ──▶ in a batch ──▶ committed
                     │  └─▶ alone (the batch failed: whose fault was it?) ──▶ committed | refused
                     └─▶ again later: an end of a delivery is never refused while the store lives

The thread changes nothing but its own batch; all answers go back to the event loop, once for each batch.
"""

from __future__ import annotations

import math
import queue
import sqlite3
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias, final

from attrs import define

from ._applying import apply
from ._opening import as_store_error
from ._records import Accept
from .exceptions import StoreCorrupt, StoreError, StoreFailed, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ._records import Change, Contents

Done: TypeAlias = "Callable[[StoreError | None], object]"

BATCH = 1000  # changes in one commit: some milliseconds of work
AGAIN_AFTER = 0.5  # seconds after which what could not be written is tried again: long enough not to be a hot loop
SAY_AGAIN_AFTER = 60.0  # seconds after which is said once more that it still cannot be written
LOOK_AFTER = 1.0  # seconds between two looks at whether the file is still the one that was opened


@final
@define(eq=False)
class Request:
    """One change that was asked for, and whom to tell."""

    change: Change
    done: Done

    @property
    def may_be_refused(self) -> bool:
        """Of what is accepted, the publisher is told; what has happened, has happened."""
        return isinstance(self.change, Accept)


class Owner(Protocol):
    """Whose connection it is. All but `answer` and what it is given is called in the thread."""

    def connect(self) -> tuple[sqlite3.Connection, Contents]:
        """Open the store and read what it holds; raise StoreError."""
        ...

    def look(self) -> None:
        """Raise StoreError if the file is not the one that was opened any more."""
        ...

    def answer(self, what: Callable[[], object]) -> None:
        """Have *what* called in the loop; raise RuntimeError when that has ended."""
        ...

    def behind(self, error: StoreError | None) -> None:
        """In the loop: something cannot be written, and is tried again; None: nothing is any more."""
        ...

    def opened(self, what: Contents | StoreError) -> None:
        """In the loop: it is open, or could not be opened."""
        ...

    def closed(self) -> None:
        """In the loop: everything is written that could be, and the connection is closed."""
        ...


@final
class Writer:
    """See the module."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self._path = path
        self._owner = owner
        self._requests: queue.SimpleQueue[list[Request] | None] = queue.SimpleQueue()
        self._left: deque[Request] = deque()  # of those that came in, in the thread
        self._again: deque[Request] = deque()
        self._submitted = 0  # counted in the loop
        self._begun = 0  # counted in the thread
        self._is_closing = False
        self._said_behind = -math.inf  # when; of what is tried again now
        self._looked = 0.0
        self._failure: StoreError | None = None  # after which nothing is written any more
        self.commits: int = 0
        threading.Thread(target=self._run, name=f"tocsin store {path.name}", daemon=True).start()

    @property
    def backlog(self) -> int:
        """How many changes have been asked for and not been begun."""
        return self._submitted - self._begun + len(self._again)

    def submit(self, requests: list[Request]) -> None:
        """Have these committed, and `done` of each called in the loop then, with the error if it was refused."""
        self._submitted += len(requests)
        self._requests.put(requests)

    def close(self) -> None:
        """Write what was asked for by now, and end. What cannot be written then stays as it was."""
        self._requests.put(None)

    # ── in the thread ──

    def _run(self) -> None:
        owner = self._owner
        try:
            connection, contents = owner.connect()
        except StoreError as error:
            self._tell(partial(owner.opened, error))
            return
        except BaseException as error:  # a mistake of ours: whoever waits must be told, as nobody looks at this thread
            self._tell(partial(owner.opened, self._broken(error)))
            return
        try:
            self._tell(partial(owner.opened, contents))
            while self._write_next(connection):
                pass
        finally:
            connection.close()
            self._tell(owner.closed)

    def _write_next(self, connection: sqlite3.Connection) -> bool:
        """Commit what is there, or wait until there is something; False: that was all."""
        requests = [*self._again, *self._next_batch()]
        is_last = self._is_closing and not self._left
        self._again.clear()
        answers = self._commit(connection, requests) if requests else []
        if is_last:
            answers += [(request, StoreUnavailable(self._path, "it was closed before")) for request in self._again]
        self._tell(partial(_answer_all, answers))
        if not self._again and self._said_behind > -math.inf:
            self._said_behind = -math.inf
            self._tell(partial(self._owner.behind, None))
        return not is_last

    def _next_batch(self) -> list[Request]:
        """Take what has come in, up to a `BATCH`; wait if there is nothing."""
        left = self._left
        with suppress(queue.Empty):
            if not left and not self._is_closing:
                self._take_in(self._requests.get(timeout=AGAIN_AFTER if self._again else None))
            while len(left) < BATCH and not self._is_closing:
                self._take_in(self._requests.get_nowait())
        batch = [left.popleft() for _ in range(min(BATCH, len(left)))]
        self._begun += len(batch)
        return batch

    def _take_in(self, requests: list[Request] | None) -> None:
        if requests is None:
            self._is_closing = True
        else:
            self._left.extend(requests)

    def _commit(
        self, connection: sqlite3.Connection, requests: list[Request]
    ) -> list[tuple[Request, StoreError | None]]:
        """Commit *requests* together; if that fails, one by one, to find out whose fault it was."""
        error = self._failure or self._try(connection, requests)
        if error is None:
            return [(request, None) for request in requests]
        if isinstance(error, StoreFailed | StoreCorrupt):
            self._failure = error
            return [(request, error) for request in requests]
        if len(requests) > 1:
            return [answer for request in requests for answer in self._commit(connection, [request])]
        (request,) = requests
        if request.may_be_refused:
            return [(request, error)]
        self._again.append(request)
        self._say_behind(error)
        return []

    def _say_behind(self, error: StoreError) -> None:
        now = time.monotonic()
        if now >= self._said_behind + SAY_AGAIN_AFTER:
            self._said_behind = now
            self._tell(partial(self._owner.behind, error))

    def _try(self, connection: sqlite3.Connection, requests: list[Request]) -> StoreError | None:
        try:
            self._look()
            connection.execute("BEGIN IMMEDIATE")
            apply(connection, [request.change for request in requests])
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            return self._undone(connection, error)
        except StoreError as error:
            return error
        except Exception as error:  # a mistake of ours, as above
            return self._broken(error)
        self.commits += 1
        return None

    def _broken(self, error: BaseException) -> StoreFailed:
        failed = StoreFailed(self._path, f"tocsin itself has failed, please report it: {error!r}")
        failed.__cause__ = error
        return failed

    def _undone(self, connection: sqlite3.Connection, error: sqlite3.Error) -> StoreError:
        """Take back what was begun, and say what was wrong."""
        if connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error as worse:
                return StoreFailed(self._path, f"{error}, and what was begun could not be taken back ({worse})")
        return as_store_error(self._path, error)

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._looked + LOOK_AFTER:
            self._looked = now
            self._owner.look()

    def _tell(self, what: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has ended without closing us: nobody is there who could be told
            self._owner.answer(what)


def _answer_all(answers: list[tuple[Request, StoreError | None]]) -> None:
    for request, error in answers:
        request.done(error)
