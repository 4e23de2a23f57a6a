"""One client of the control socket.

Tasks: one reads lines, one answers them; between them is a channel without room, so a client that sends more than it
reads is not read any further. Both end with the connection, and the connection with either of: the client has gone, has
sent a line that is too long, has not taken an answer in `Limits.send` seconds, or has said nothing for `Limits.idle`.

A command belongs to the client that has asked for it. It is cancelled when its time is over, or `Limits.farewell`
seconds after the client has closed its side: not at once, as `echo … | socat` closes before it reads. What a
cancelled command leaves is the command's to say. Cancelled as a whole, a request may be done and not answered; the
client takes that for a broken conversation.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, assert_never, final

import anyio
from anyio.abc import AnyByteStream, ObjectReceiveStream, ObjectSendStream
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import define, field, frozen

from tocsin import EventBus
from tocsin.cli._log import OURS
from tocsin.cli._showing import shown

from ._errors import CommandRefused, unknown
from ._protocol import (
    MAX_REQUEST,
    BadRequest,
    Json,
    Request,
    error_line,
    parse_request,
    result_line,
)

logger = logging.getLogger(OURS)

Command: TypeAlias = Callable[[EventBus, Mapping[str, Json]], Awaitable[Json]]
"""Does what was asked for in the event loop of the bus, and gives the result; raises CommandRefused."""


@final
@frozen
class Limits:
    """How much a client may take, in seconds and bytes."""

    idle: float = 120.0
    send: float = 10.0
    farewell: float = 2.0
    request: int = MAX_REQUEST


@final
@define
class Connection:
    """Answers one client until it has gone."""

    stream: AnyByteStream
    bus: EventBus
    commands: Mapping[str, Command]
    limits: Limits = field(factory=Limits)
    _command: anyio.CancelScope = field(factory=anyio.CancelScope, init=False)  # around the one that runs, if any
    _has_left: bool = field(default=False, init=False)  # nothing more will come

    async def serve(self) -> None:
        """See the module. Raises nothing that the client has caused."""
        sender, lines = anyio.create_memory_object_stream[bytes | BadRequest](0)
        async with lines, anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, sender)
            await self._answer_all(lines)
            tasks.cancel_scope.cancel()

    async def _read(self, lines: ObjectSendStream[bytes | BadRequest]) -> None:
        buffered, limit = BufferedByteReceiveStream(self.stream), self.limits.request
        async with lines:
            try:
                while True:
                    await lines.send(await buffered.receive_until(b"\n", limit))
            except anyio.DelimiterNotFound:
                await lines.send(BadRequest(None, f"a line may have {limit} bytes"))
            except anyio.IncompleteRead:
                if buffered.buffer:
                    await lines.send(BadRequest(None, "the last line has no end"))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass
            self._has_left = True
            self._command.deadline = min(self._command.deadline, self._latest())

    async def _answer_all(self, lines: ObjectReceiveStream[bytes | BadRequest]) -> None:
        while True:
            line: bytes | BadRequest | None = None
            with anyio.move_on_after(self.limits.idle):
                try:
                    line = await lines.receive()
                except anyio.EndOfStream:
                    return
            if line is None or not await self._has_sent(await self._answer(line)):
                return

    async def _has_sent(self, answer: bytes) -> bool:
        with anyio.move_on_after(self.limits.send):
            try:
                await self.stream.send(answer)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return False
            return True
        return False

    async def _answer(self, line: bytes | BadRequest) -> bytes:
        request = line if isinstance(line, BadRequest) else parse_request(line)
        match request:
            case BadRequest(id=id, message=message):
                return error_line(id, "bad_request", message)
            case Request():
                try:
                    return await self._obey(request)
                except CommandRefused as error:
                    return error_line(request.id, error.kind, str(error))
                except Exception as error:  # a defect of a command of ours must not take the daemon with it
                    logger.exception("the command %s failed", shown(request.command, 60))
                    return error_line(request.id, "failed", f"{type(error).__name__}: {shown(error)}; see the log")
            case _:
                assert_never(request)

    async def _obey(self, request: Request) -> bytes:
        command = self.commands.get(request.command)
        if command is None:
            raise CommandRefused("unknown_command", unknown("command", request.command, self.commands))
        now = anyio.current_time()
        with anyio.CancelScope(deadline=min(now + request.timeout, self._latest())) as self._command:
            return result_line(request.id, await command(self.bus, request.params))
        raise CommandRefused("timeout", f"{request.command} was not done in {request.timeout:g} s, and is given up")

    def _latest(self) -> float:
        return anyio.current_time() + self.limits.farewell if self._has_left else math.inf
