"""One question to a running daemon."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from ._errors import BrokenConversation, NoDaemon
from ._protocol import MAX_ANSWER, Json, Request, parse_answer, request_line
from ._streams import connect_to

TIMEOUT = 10.0  # seconds
SLACK = 2.0  # seconds beyond the limit of the daemon, in which it says that this is reached


async def call(
    path: str | os.PathLike[str],
    command: str,
    params: Mapping[str, Json] | None = None,
    *,
    timeout: float = TIMEOUT,  # noqa: ASYNC109  # the daemon is told of it, too
) -> Json:
    """Ask the daemon at the socket *path* for *command*, and give its result.

    Raise CommandRefused if the daemon does not do it, or not in *timeout* seconds; NoDaemon if none listens there, or
    not to this user; BrokenConversation if it does not answer: then it is not known what it has done. Cancelled, the
    daemon gives the command up soon after.
    """
    where, line = os.fspath(path), request_line(Request(1, command, params or {}, timeout))
    try:
        with anyio.fail_after(timeout + SLACK):
            return parse_answer(await _ask(where, line), 1)
    except TimeoutError as error:
        text = f"the daemon at {where} has not answered in {timeout + SLACK:g} s: its event loop may be blocked"
        raise BrokenConversation(text) from error


async def _ask(path: str, line: bytes) -> bytes:
    try:
        stream = await connect_to(path)
    except OSError as error:
        raise NoDaemon(f"no daemon listens at {path}: {error.strerror or error}") from error
    async with stream:
        with suppress(anyio.BrokenResourceError):  # it may have said why before it closed
            await stream.send(line)
        try:
            return await BufferedByteReceiveStream(stream).receive_until(b"\n", MAX_ANSWER)
        except (anyio.IncompleteRead, anyio.BrokenResourceError) as error:
            raise BrokenConversation(f"the daemon at {path} has closed the connection before its answer") from error
        except anyio.DelimiterNotFound as error:
            raise BrokenConversation(f"the answer of {path} has more than {MAX_ANSWER} bytes") from error
