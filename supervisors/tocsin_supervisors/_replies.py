"""Those who wait for what becomes of their requests to a supervisor."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, final

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@final
class Reply:
    """Somebody waits for what becomes of one request."""

    __slots__ = ("_event", "error", "token", "value")

    def __init__(self, token: int) -> None:
        self.token = token
        self.value: object = None
        self.error: Exception | None = None
        self._event = anyio.Event()

    async def wait(self) -> None:
        """Wait until it is there."""
        await self._event.wait()

    def give(self, value: object, error: Exception | None) -> None:
        """Let whoever waits go on. The first answer counts: who waits for it may not have woken up yet when the
        supervisor ends."""
        if not self._event.is_set():
            self.value, self.error = value, error
            self._event.set()


@final
class Replies:
    """All that are waited for, by the token that the machine answers under."""

    __slots__ = ("_tokens", "_waiting")

    def __init__(self) -> None:
        self._tokens = count(1)
        self._waiting: dict[int, Reply] = {}

    def expect(self) -> Reply:
        """Begin to wait."""
        token = next(self._tokens)
        reply = self._waiting[token] = Reply(token)
        return reply

    def forget(self, reply: Reply) -> None:
        """Nobody waits any more."""
        self._waiting.pop(reply.token, None)

    def give(self, token: int, value: object, error: Exception | None) -> None:
        """Answer whoever waits under *token*, if anybody does."""
        reply = self._waiting.get(token)
        if reply is not None:
            reply.give(value, error)

    def refuse_all(self, error: Callable[[], Exception]) -> None:
        """Answer all that have no answer yet, each with an error of its own: they are raised in different tasks."""
        for reply in self._waiting.values():
            reply.give(None, error())

    def errors(self) -> Iterator[Exception | None]:
        """Give what was answered to those who have not taken it yet."""
        return (reply.error for reply in self._waiting.values())
