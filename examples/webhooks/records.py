"""Subscribers that write down: the audit log, and the search index, whose handler is a plain function."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, TypeAlias

import anyio
from attrs import define

from tocsin import Delivery

from .events import Webhook

Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | float | bool | None"
READABLE: Final = frozenset({"title", "body", "message", "name", "description", "login", "full_name", "summary"})


@define
class AuditLog:
    """Writes one JSON line for each webhook."""

    file: anyio.AsyncFile[str]
    lines: int = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, path: Path) -> AsyncGenerator[AuditLog]:
        """Open the file for the time of the block."""
        async with await anyio.open_file(path, "w", encoding="utf-8") as file:
            yield cls(file)

    async def record(self, event: Webhook, delivery: Delivery[Webhook]) -> None:
        """Append *event*. The second parameter is optional: who has one gets the delivery, too."""
        line = {
            "delivery": event.delivery,
            "topic": event.topic,
            "repository": event.repository,
            "sender": event.sender,
            "priority": delivery.priority.name,
            "published_at": delivery.envelope.published_at.isoformat(),
        }
        await self.file.write(json.dumps(line) + "\n")
        self.lines += 1


class SearchIndex:
    """A full-text index in SQLite, which can only be used synchronously.

    The bus runs a handler that is no coroutine function in a worker thread, a different one each time. So the
    connection must not be tied to a thread; the lock is for `search`, which is called from outside of the bus.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")  # with WAL, no wait for the disk at each row
        self._connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS webhooks USING fts5 (title, text)")

    def __enter__(self) -> SearchIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def add(self, event: Webhook) -> None:
        """Index what a human can read in *event*: a synchronous handler."""
        text = "\n".join(readable(event.payload))
        with self._lock:
            self._connection.execute("INSERT INTO webhooks (title, text) VALUES (?, ?)", (event.title, text))

    def search(self, words: str, *, limit: int = 3) -> tuple[int, list[str]]:
        """Give the number of webhooks that hold all *words*, and the titles of the best ones."""
        with self._lock:
            found = self._connection.execute(
                "SELECT title FROM webhooks WHERE webhooks MATCH ? ORDER BY rank, rowid", (words,)
            ).fetchall()
        return len(found), list(dict.fromkeys(title for (title,) in found))[:limit]


def readable(value: Json) -> Iterator[str]:
    """Walk through a payload and give its human-readable texts."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            if isinstance(each, str):
                if key in READABLE:
                    yield each
            else:
                yield from readable(each)
    elif isinstance(value, list):
        for each in value:
            yield from readable(each)
