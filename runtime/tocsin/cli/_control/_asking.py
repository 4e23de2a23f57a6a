"""A command line that asks a daemon: it finds it, prints the answer or why there is none, and gives an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, TypeAlias, final

import anyio
import attrs
from cyclopts import Parameter

from tocsin.cli._exit_codes import AnswerCode
from tocsin.cli._output import say
from tocsin.cli._showing import shown

from ._client import TIMEOUT, call
from ._errors import BrokenConversation, CommandRefused, ControlError, NoDaemon, SeveralDaemons
from ._finding import find
from ._protocol import MAX_TIMEOUT, Json


def _check_seconds(_type: object, seconds: float | None) -> None:
    if seconds is not None and not 0 < seconds <= MAX_TIMEOUT:
        raise ValueError(f"timeout={seconds}: must be seconds, above 0 and up to {MAX_TIMEOUT:g}.")


SOCKET = Parameter(env_var="TOCSIN_SOCKET")


@final
@attrs.frozen(kw_only=True)
class Asking:
    """How a daemon is asked: the options that every such command has."""

    socket: Annotated[Path | None, SOCKET] = None
    """Control socket of the daemon; by default that of the only one that listens."""
    timeout: Annotated[float | None, Parameter(validator=_check_seconds)] = None
    """Seconds after which the daemon gives the command up; by default 10, or 90 where actors are stopped."""
    json: Annotated[bool, Parameter(negative="")] = False
    """Print the answer as JSON, also a refusal."""


AskingOptions: TypeAlias = Annotated[Asking, Parameter(name="*")]


def ask(options: Asking, command: str, params: Mapping[str, Json] | None = None, *, timeout: float = TIMEOUT) -> Json:
    """Ask the daemon that *options* name for *command*, and give its result. Raise ControlError.

    *timeout*: after how many seconds it gives up, unless *options* say.
    """
    path = find() if options.socket is None else options.socket
    seconds = timeout if options.timeout is None else options.timeout
    return anyio.run(partial(call, path, command, params, timeout=seconds))


def answer(
    options: Asking,
    command: str,
    params: Mapping[str, Json] | None,
    text_of: Callable[[Json], str],
    code_of: Callable[[Json], AnswerCode] = lambda _: AnswerCode.DONE,
    *,
    timeout: float = TIMEOUT,
) -> int:
    """Ask for *command*, and print the result: what *text_of* makes of it, which must be escaped, or all of it as JSON.

    Give the exit code: *code_of* the result, or that of the trouble, which is told on standard error. *timeout* is as
    for `ask`.
    """
    try:
        result = ask(options, command, params, timeout=timeout)
        text = as_json(result) if options.json else text_of(result)
        code = code_of(result)
    except ControlError as error:
        return failure(options, error)
    say(text)
    return code


def as_json(result: Json) -> str:
    """Give *result* for programs: ASCII, so that nothing in it reaches a terminal as more than letters."""
    return json.dumps(result, indent=2)


def failure(options: Asking, error: ControlError) -> int:
    """Say why there is no answer, and give the exit code."""
    kind, code = _kind_and_code(error)
    return tell_trouble(options, kind, error, code)


def tell_trouble(options: Asking, kind: str, error: object, code: int) -> int:
    """Say what has gone wrong, on standard error and, if that was asked for, as JSON; give *code* back."""
    print(f"tocsin: {shown(error, 1000)}", file=sys.stderr)
    if options.json:
        say(as_json(_document_of(kind, error)))
    return code


def error_document(error: ControlError) -> Json:
    """Give *error* for programs."""
    return _document_of(_kind_and_code(error)[0], error)


def _document_of(kind: str, error: object) -> Json:
    return {"error": {"kind": kind, "message": str(error)}}


def _kind_and_code(error: ControlError) -> tuple[str, AnswerCode]:
    match error:
        case CommandRefused(kind=kind):
            return kind, AnswerCode.REFUSED
        case NoDaemon():
            return "no_daemon", AnswerCode.NO_DAEMON
        case SeveralDaemons():
            return "several_daemons", AnswerCode.USAGE
        case BrokenConversation():
            return "broken", AnswerCode.BROKEN
        case _:
            raise error
