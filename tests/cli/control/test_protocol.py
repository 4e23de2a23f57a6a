"""Lines of the control socket: what is read of anybody, and what is written."""

from __future__ import annotations

import json

import pytest

from tocsin.cli._control import _protocol
from tocsin.cli._control._errors import BrokenConversation, CommandRefused
from tocsin.cli._control._protocol import (
    MAX_TIMEOUT,
    TIMEOUT,
    BadRequest,
    Request,
    error_line,
    parse_answer,
    parse_request,
    request_line,
    result_line,
)


def test_a_request_comes_through_as_it_was() -> None:
    request = Request("a", "publish", {"data": {"ä": [1, None, "\ud800"]}}, 2.5)
    assert parse_request(request_line(request)) == request


def test_only_the_command_is_needed() -> None:
    assert parse_request(b'{"command": "status"}') == Request(None, "status", {}, TIMEOUT)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "no JSON"),
        (b"status", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"command": "status", "timeout": NaN}', "NaN is not JSON"),
        (b'{"command": "status", "timeout": 1e999}', "too large a number"),
        (b'{"command": "status", "params": {"n": ' + b"9" * 5000 + b"}}", "no JSON"),
        (b"[]", "a request is an object"),
        (b'"status"', "a request is an object"),
        (b"{}", "command must be a text"),
        (b'{"command": 7}', "command must be a text"),
        (b'{"command": "status", "params": []}', "params must be an object"),
        (b'{"command": "status", "timeout": 0}', "timeout must be seconds"),
        (b'{"command": "status", "timeout": -1}', "timeout must be seconds"),
        (b'{"command": "status", "timeout": true}', "timeout must be seconds"),
        (b'{"command": "status", "timeout": "1"}', "timeout must be seconds"),
        (b'{"command": "status", "timeout": 1e9}', f"up to {MAX_TIMEOUT:g}"),
        (b'{"command": "status", "parms": {}}', "parms: a request has"),
        (b'{"command": "status", "\\u001b[2J": {}}', "\\x1b[2J: a request has"),
    ],
)
def test_what_is_no_request_is_told(line: bytes, why: str) -> None:
    found = parse_request(line)
    assert isinstance(found, BadRequest)
    assert why in found.message


@pytest.mark.parametrize("id", ["a", 7, 0, ""])
def test_a_bad_request_is_answered_under_its_id(id: str | int) -> None:
    assert parse_request(json.dumps({"id": id}).encode()) == BadRequest(id, "command must be a text")


@pytest.mark.parametrize("id", [True, 1.5, [], {}])
def test_an_id_of_another_kind_counts_as_none(id: object) -> None:
    found = parse_request(json.dumps({"id": id, "command": "status"}).encode())
    assert found == Request(None, "status", {}, TIMEOUT)


def test_an_answer_is_one_line_whatever_is_in_it() -> None:
    line = result_line(1, {"text": "a\nb\u2028c\x1b[2J\ud800"})
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert b"\x1b" not in line


def test_the_result_comes_through_as_it_was() -> None:
    assert parse_answer(result_line(1, [{"a": None}, 2.5, "\u00e9"]), 1) == [{"a": None}, 2.5, "\u00e9"]


def test_a_refusal_comes_through_as_it_was() -> None:
    with pytest.raises(CommandRefused, match="not now") as raised:
        parse_answer(error_line(1, "busy", "not now"), 1)
    assert raised.value.kind == "busy"


def test_a_refusal_of_somebody_whose_request_was_not_read_is_meant_for_whoever_reads_it() -> None:
    with pytest.raises(CommandRefused, match="not now"):
        parse_answer(error_line(None, "busy", "not now"), 1)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1 400 Bad Request",
        b"[]",
        b"{}",
        b'{"id": 1, "ok": true}',
        b'{"id": 1, "ok": false}',
        b'{"id": 1, "ok": false, "error": "busy"}',
        b'{"id": 2, "ok": true, "result": null}',
        b'{"id": 2, "ok": false, "error": {"kind": "busy", "message": "no"}}',
        b'{"id": null, "ok": true, "result": null}',
    ],
)
def test_what_is_no_answer_is_a_broken_conversation(line: bytes) -> None:
    with pytest.raises(BrokenConversation):
        parse_answer(line, 1)


def test_a_result_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_protocol, "MAX_ANSWER", 100)
    with pytest.raises(CommandRefused, match="ask for less") as raised:
        result_line(1, "x" * 100)
    assert raised.value.kind == "too_large"


@pytest.mark.parametrize("result", [float("nan"), object()])
def test_a_result_that_is_not_json_is_an_error(result: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        result_line(1, result)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # on purpose
