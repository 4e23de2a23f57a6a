"""Lines of JSON: one request, one answer, in their order.

    {"id": 1, "command": "status", "params": {}, "timeout": 10}
    {"id": 1, "ok": true, "result": …}
    {"id": 1, "ok": false, "error": {"kind": "unknown_command", "message": "…"}}

`id` is a text, a whole number or null, and comes back; all but `command` may be left out. `timeout` is after how many
seconds the daemon gives up. Kinds that any command may be refused with: bad_request, unknown_command, bad_params,
busy, timeout, too_large, failed.

Everything here may come from anybody who may connect: it is read as JSON and nothing else, and what does not fit is
told in an answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias, cast, final

from attrs import frozen

from tocsin.cli._showing import shown

from ._errors import BrokenConversation, CommandRefused

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Id: TypeAlias = str | int | None

# An event has 1 MiB unless its registry says otherwise, and escaping makes up to six bytes of one.
MAX_REQUEST = 8 * 1024 * 1024
MAX_ANSWER = 32 * 1024 * 1024  # of one page; what may be longer is asked for in pages
TIMEOUT = 60.0  # seconds, for a request that names none
MAX_TIMEOUT = 24 * 3600.0  # a replay at a low rate takes long; a client that has gone ends it, see `_connection`


@final
@frozen
class Request:
    """What a client asks for."""

    id: Id
    command: str
    params: Mapping[str, Json]
    timeout: float
    """Seconds."""


@final
@frozen
class BadRequest:
    """A line that is no request, and why."""

    id: Id
    message: str


def parse_request(line: bytes) -> Request | BadRequest:
    """Read one line of a client."""
    try:
        value = read_json(line)
    except ValueError as error:
        return BadRequest(None, f"the line is no JSON: {shown(error)}")
    if not isinstance(value, dict):
        return BadRequest(None, 'a request is an object, such as {"command": "status"}')
    found = value.get("id")
    id = found if isinstance(found, str | int) and not isinstance(found, bool) else None
    try:
        return _request(id, value)
    except ValueError as error:
        return BadRequest(id, str(error))


def _request(id: Id, value: dict[str, Json]) -> Request:
    unknown = sorted(value.keys() - {"id", "command", "params", "timeout"})
    if unknown:
        raise ValueError(f"{shown(unknown[0], 60)}: a request has id, command, params and timeout")
    command, params, timeout = value.get("command"), value.get("params", {}), value.get("timeout", TIMEOUT)
    if not isinstance(command, str):
        raise ValueError("command must be a text")
    if not isinstance(params, dict):
        raise ValueError("params must be an object")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= MAX_TIMEOUT:
        raise ValueError(f"timeout must be seconds, above 0 and up to {MAX_TIMEOUT:g}")
    return Request(id, command, params, float(timeout))


def request_line(request: Request) -> bytes:
    """Write *request*."""
    fields = {"id": request.id, "command": request.command, "params": request.params, "timeout": request.timeout}
    return _line(fields)


def result_line(id: Id, result: Json) -> bytes:
    """Write the answer to a request that was obeyed. Raise CommandRefused if it is too large for a line."""
    line = _line({"id": id, "ok": True, "result": result})
    if len(line) > MAX_ANSWER:
        text = f"the answer has {len(line)} bytes, and {MAX_ANSWER} are allowed: ask for less at a time"
        raise CommandRefused("too_large", text)
    return line


def error_line(id: Id, kind: str, message: str) -> bytes:
    """Write the answer to a request that was not."""
    return _line({"id": id, "ok": False, "error": {"kind": kind, "message": message}})


def parse_answer(line: bytes, id: Id) -> Json:
    """Give the result in the answer to request *id*; raise CommandRefused or BrokenConversation."""
    try:
        value = read_json(line)
    except ValueError as error:
        raise BrokenConversation(f"the answer is no JSON: {error}") from error
    match value:
        case {"id": found, "ok": True, "result": result} if found == id:
            return result
        case {"id": found, "ok": False, "error": {"kind": str(kind), "message": str(message)}} if found in (id, None):
            raise CommandRefused(kind, message)
        case _:
            raise BrokenConversation("the answer is not one to this request")


def read_json(text: bytes | str) -> Json:
    """Read *text* as JSON; raise ValueError, whatever is wrong with it. NaN and the infinities are not JSON."""
    try:
        return cast("Json", json.loads(text, parse_constant=_refuse, parse_float=_finite))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{shown(text, 40)} is too large a number")
    return number


def _line(value: Mapping[str, Any]) -> bytes:
    """Write *value* in ASCII, in which no character of a text can end the line."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
