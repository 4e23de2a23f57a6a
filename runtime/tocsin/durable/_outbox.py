"""Publishing in a transaction of the user's own: the event is there if, and only if, the transaction was committed.

    added (in the user's transaction) ──▶ committed ──▶ offered ──▶ in the store, with a mark ──▶ deleted ──▶ mark gone
               └─▶ rolled back: was never there              └─▶ set aside, if it cannot be read or routed

All but the first step is the relay's, a task of the bus; see `_relay.py`. Nothing here waits for the bus or knows of
one, so any process and any thread may add.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, final

from tocsin._composing import cause_of, check_duration
from tocsin._context import current_server
from tocsin._envelope import NORMAL, check_priority, id_of, read_only_headers
from tocsin._events import Event, topic_of
from tocsin._publish_options import PUBLISH_OPTIONS
from tocsin._topics import check_topic
from tocsin.codecs import CodecRegistry, encode_headers

from ._outbox_table import add_row, check_place, cursor_of, make_tables, pending, put_back, rows_aside
from ._records import StoredEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from tocsin._publish_options import PublishOptions

    from ._outbox_table import SetAside

SERIAL_BITS = 79  # as in the ids of a bus
MAX_PENDING = 100_000  # events that may wait: hours of a usual daemon that is down, some hundred megabytes at most


@final
class Outbox:
    """Publishes events in transactions on the SQLite database at *path*, which is the application's own::

        outbox = Outbox("app.db")
        bus = EventBus("shop", store=SQLiteStore("bus.db"), outbox=outbox)

        with connection:  # one transaction
            connection.execute("INSERT INTO orders …")
            outbox.add(connection, OrderPlaced("o-1"))
        outbox.notify()

    Once the transaction is committed, the running bus, in this process or another, accepts the event as if it had been
    published: exactly once for each durable subscription, in the order of commits. After a rollback, or an end of the
    process before the commit, there is no event.

    *codecs* make bytes of events; the bus reads them by those of its store. *max_pending*: how many may wait for the
    relay before `add` raises StoreFull; None: any number. *poll*: seconds between two looks of the relay at whether
    there is something new, if nobody says so by `notify`.

    Safe to use from any thread, and in a forked child, as far as the connections given to it are.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        codecs: CodecRegistry | None = None,
        max_pending: int | None = MAX_PENDING,
        poll: float = 0.2,
    ) -> None:
        if max_pending is not None and (type(max_pending) is not int or max_pending < 1):
            raise ValueError(
                f"max_pending={max_pending!r}: must be a number of events, 1 or more, or None for no limit"
            )
        if not check_duration("poll", poll):
            raise ValueError(f"poll={poll!r}: must be above 0: it is the pause between two looks")
        self.path: Path = Path(path).absolute()
        self.codecs: CodecRegistry = CodecRegistry() if codecs is None else codecs
        self.max_pending: int | None = max_pending
        self.poll: float = poll
        self.listeners: set[Callable[[], object]] = set()  # relays of this process

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables of the outbox, `tocsin_outbox` and `tocsin_set_aside`, unless they are there.

        In the transaction that is open, if one is. The relay does so, too. Raise StoreUnavailable if *connection* is
        not one to the file of the outbox, StoreCorrupt if there are other tables of these names, or sqlite3.Error.
        """
        make_tables(self._cursor(connection), self.path)

    def add(self, connection: sqlite3.Connection, event: object, **options: Unpack[PublishOptions]) -> str:
        """Add *event* to the transaction that is open on *connection*, and give the event id it will have.

        Nothing is committed. On a connection that begins transactions by itself (Python's default) it may be the first
        statement of one; on others (`isolation_level=None`, `autocommit=True`) raise RuntimeError if none has begun, as
        the event would be committed alone. *options* are those of `publish`; in a handler, the event is caused by what
        is being handled. The time of `expires_in` starts now.

        Raise EncodeError or another error that `publish` raises for what cannot be published, StoreFull if there are
        `max_pending`, StoreUnavailable if *connection* is one to another file, or sqlite3.Error, such as for a table
        that was not prepared. Nothing is added then, and the transaction is as it was.
        """
        _check_transaction(connection)
        stored = self._as_stored(event, options)
        add_row(self._cursor(connection), stored, self.path, self.max_pending)
        return stored.event_id

    def notify(self) -> None:
        """Say, after a commit, that there is something new: a relay in this process looks at once.

        Without effect if there is none: that of another process looks every `poll` seconds.
        """
        for listener in tuple(self.listeners):
            listener()

    def pending(self, connection: sqlite3.Connection) -> int:
        """Say how many events wait for the relay; a little more than that when some were set aside lately."""
        return pending(self._cursor(connection))

    def set_aside(self, connection: sqlite3.Connection) -> list[SetAside]:
        """Give the events that could not be relayed, in order: damaged, of unknown type, refused by a predicate."""
        return list(rows_aside(self._cursor(connection)))

    def try_again(self, connection: sqlite3.Connection, number: int) -> bool:
        """Have an event that was set aside relayed again, once the transaction is committed; False: there is none."""
        _check_transaction(connection)
        return put_back(self._cursor(connection), number)

    def _cursor(self, connection: sqlite3.Connection) -> sqlite3.Cursor:
        cursor = cursor_of(connection)
        check_place(cursor, self.path)
        return cursor

    def _as_stored(self, event: object, options: PublishOptions) -> StoredEvent:
        if not options.keys() <= PUBLISH_OPTIONS:
            unknown = ", ".join(sorted(options.keys() - PUBLISH_OPTIONS))
            raise TypeError(f"unknown option of add: {unknown}; allowed are {', '.join(sorted(PUBLISH_OPTIONS))}")
        now = time.time()
        topic = topic_of(event, options.get("topic"))
        headers = options.get("headers")
        expires_in = options.get("expires_in")
        cause = cause_of(current_server.get())
        encoded = self.codecs.encode(event)
        return StoredEvent(
            id=0,
            # By chance alone, without a counter: there are other processes, and threads, and forks of this one.
            event_id=id_of(now, secrets.randbits(SERIAL_BITS)),
            type_name=encoded.name,
            version=encoded.version,
            body=encoded.data,
            topic=None if topic is None else check_topic(topic),
            priority=int(check_priority(options.get("priority", NORMAL))),
            published_at=now,
            correlation_id=options.get("correlation_id") or (None if cause is None else cause.correlation_id),
            causation_id=None if cause is None else cause.id,
            headers=encode_headers(read_only_headers(headers)) if headers else None,
            schema_version=options.get("schema_version", event.schema_version if type(event) is Event else 1),
            expires_at=None if expires_in is None else now + check_duration("expires_in", expires_in),
        )


def _check_transaction(connection: sqlite3.Connection) -> None:
    """Raise RuntimeError if what is written on *connection* now would be committed by itself."""
    if connection.in_transaction:
        return
    # Python 3.12 and newer; elsewhere, and by default, `isolation_level` decides.
    autocommit: object = getattr(connection, "autocommit", None)
    begins_by_itself = autocommit is False or (autocommit is not True and connection.isolation_level is not None)
    if not begins_by_itself:
        raise RuntimeError(
            "no transaction is open: execute BEGIN first, so that the event shares the fate of your data"
        )
