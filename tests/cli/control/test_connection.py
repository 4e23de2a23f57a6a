"""One client of the control socket, on virtual time: the stream is in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import ObjectStream
from anyio.streams.stapled import StapledObjectStream
from attrs import define

from tocsin import EventBus
from tocsin.cli._control._connection import Command, Connection, Limits
from tocsin.cli._control._errors import CommandRefused
from tocsin.cli._control._protocol import Json

MakeBus = Callable[..., EventBus]


async def echo(bus: EventBus, params: Mapping[str, Json]) -> Json:
    return {"bus": bus.name, "params": dict(params)}


async def refuse(bus: EventBus, params: Mapping[str, Json]) -> Json:
    raise CommandRefused("not_today", "come back tomorrow")


async def fail(bus: EventBus, params: Mapping[str, Json]) -> Json:
    raise ZeroDivisionError("a\x1bb")


async def nonsense(bus: EventBus, params: Mapping[str, Json]) -> Any:
    return object()


@define
class Hanging:
    """A command that takes for ever, and how it ended."""

    ended_after: float | None = None

    async def __call__(self, bus: EventBus, params: Mapping[str, Json]) -> Json:
        begun = anyio.current_time()
        try:
            await anyio.sleep_forever()
            raise AssertionError
        finally:
            self.ended_after = anyio.current_time() - begun


@define
class Client:
    stream: ObjectStream[bytes]
    hanging: Hanging
    is_served: bool = True

    async def send(self, text: str) -> None:
        await self.stream.send(text.encode())

    async def hear(self) -> Any:
        return json.loads(await self.stream.receive())

    async def ask(self, **request: Any) -> Any:
        await self.send(json.dumps(request) + "\n")
        return await self.hear()


@asynccontextmanager
async def client(bus: EventBus, limits: Limits | None = None, room: int = 100) -> AsyncGenerator[Client]:
    """Serve a client; *room*: how many answers it takes without reading them."""
    to_server, at_server = anyio.create_memory_object_stream[bytes](100)
    to_client, at_client = anyio.create_memory_object_stream[bytes](room)
    hanging = Hanging()
    commands: dict[str, Command] = {"echo": echo, "refuse": refuse, "fail": fail, "nonsense": nonsense, "hang": hanging}
    connection = Connection(StapledObjectStream(to_client, at_server), bus, commands, limits or Limits())
    found = Client(StapledObjectStream(to_server, at_client), hanging)

    async def serve() -> None:
        async with to_client, at_server:
            await connection.serve()
        found.is_served = False

    async with to_server, at_client, anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        yield found
        tasks.cancel_scope.cancel()


async def test_a_command_gets_the_bus_and_its_parameters(make_bus: MakeBus) -> None:
    async with client(make_bus("shop")) as one:
        answer = await one.ask(id=1, command="echo", params={"a": [1]})
    assert answer == {"id": 1, "ok": True, "result": {"bus": "shop", "params": {"a": [1]}}}


async def test_several_requests_are_answered_in_their_order(make_bus: MakeBus) -> None:
    async with client(make_bus()) as one:
        await one.send('{"id":1,"command":"echo"}\n{"id":2,"com')
        await one.send('mand":"refuse"}\n{"id":3,"command":"echo"}\n')
        ids = [(await one.hear())["id"] for _ in range(3)]
    assert ids == [1, 2, 3]


async def test_a_refusal_is_an_answer(make_bus: MakeBus) -> None:
    async with client(make_bus()) as one:
        answer = await one.ask(id="x", command="refuse")
    assert answer == {"id": "x", "ok": False, "error": {"kind": "not_today", "message": "come back tomorrow"}}


async def test_an_unknown_command_is_refused_with_those_that_are_close(make_bus: MakeBus) -> None:
    async with client(make_bus()) as one:
        answer = await one.ask(command="hagn")
    assert answer["error"] == {"kind": "unknown_command", "message": "there is no command hagn: did you mean hang?"}


async def test_an_unknown_command_that_is_close_to_none_is_refused_escaped(make_bus: MakeBus) -> None:
    async with client(make_bus()) as one:
        answer = await one.ask(command="\x1b" * 1000)
    message = answer["error"]["message"]
    assert message.startswith("there is no command \\x1b")
    assert len(message) < 100


async def test_a_bad_line_is_answered_and_the_next_one_obeyed(make_bus: MakeBus) -> None:
    async with client(make_bus()) as one:
        await one.send("nonsense\n")
        assert (await one.hear())["error"]["kind"] == "bad_request"
        assert (await one.ask(command="echo"))["ok"]


@pytest.mark.parametrize("command", ["fail", "nonsense"])
async def test_a_defect_of_a_command_is_answered_and_logged_and_the_next_one_obeyed(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture, command: str
) -> None:
    async with client(make_bus()) as one:
        answer = await one.ask(command=command)
        assert (await one.ask(command="echo"))["ok"]
    assert answer["error"]["kind"] == "failed"
    assert answer["error"]["message"].endswith("; see the log")
    assert "\x1b" not in answer["error"]["message"]
    assert caplog.messages == [f"the command {command} failed"]


async def test_a_command_is_given_up_after_the_time_of_its_client(make_bus: MakeBus) -> None:
    async with client(make_bus()) as one:
        answer = await one.ask(command="hang", timeout=3)
    assert answer["error"] == {"kind": "timeout", "message": "hang was not done in 3 s, and is given up"}
    assert one.hanging.ended_after == 3.0


async def test_a_command_is_given_up_soon_after_its_client_has_gone(make_bus: MakeBus) -> None:
    async with client(make_bus()) as one:
        await one.send('{"command":"hang"}\n')
        await anyio.sleep(5.0)
        await one.stream.aclose()
        await anyio.sleep(5.0)
        assert not one.is_served
    assert one.hanging.ended_after == 5.0 + Limits().farewell


async def test_a_client_that_has_closed_its_side_is_still_answered(make_bus: MakeBus) -> None:
    async with client(make_bus()) as one:
        await one.send('{"command":"echo"}\n')
        await one.stream.send_eof()
        assert (await one.hear())["ok"]
        with pytest.raises(anyio.EndOfStream):
            await one.hear()


async def test_the_time_of_a_command_that_begins_after_its_client_has_closed_is_short(make_bus: MakeBus) -> None:
    async with client(make_bus(), room=0) as one:
        await one.send('{"command":"echo"}\n{"command":"hang"}\n')
        await one.stream.send_eof()
        await anyio.sleep(1.0)
        await one.hear()
        assert (await one.hear())["error"]["kind"] == "timeout"
    assert one.hanging.ended_after == Limits().farewell


async def test_a_last_line_without_an_end_is_told(make_bus: MakeBus) -> None:
    async with client(make_bus()) as one:
        await one.send('{"command":"echo"}')
        await one.stream.send_eof()
        assert (await one.hear())["error"]["message"] == "the last line has no end"


async def test_a_line_that_is_too_long_is_told_and_ends_the_connection(make_bus: MakeBus) -> None:
    async with client(make_bus(), Limits(request=100)) as one:
        await one.send("x" * 101)
        assert (await one.hear())["error"]["message"] == "a line may have 100 bytes"
        await anyio.sleep(1.0)
        assert not one.is_served


async def test_a_client_that_says_nothing_is_let_go(make_bus: MakeBus) -> None:
    async with client(make_bus()) as one:
        await one.send('{"command":')
        await anyio.sleep(Limits().idle - 1.0)
        assert one.is_served
        await anyio.sleep(2.0)
        assert not one.is_served


async def test_a_client_whose_command_takes_long_is_not_let_go(make_bus: MakeBus) -> None:
    async with client(make_bus()) as one:
        answer = await one.ask(command="hang", timeout=10 * Limits().idle)
        assert answer["error"]["kind"] == "timeout"
        assert (await one.ask(command="echo"))["ok"]


async def test_a_client_that_does_not_take_its_answer_is_let_go(make_bus: MakeBus) -> None:
    async with client(make_bus(), room=0) as one:
        await one.send('{"command":"echo"}\n')
        await anyio.sleep(Limits().send - 1.0)
        assert one.is_served
        await anyio.sleep(2.0)
        assert not one.is_served


async def test_a_client_that_is_gone_when_its_answer_comes_is_let_go(make_bus: MakeBus) -> None:
    async with client(make_bus(), room=0) as one:
        await one.send('{"command":"echo"}\n')
        await anyio.sleep(1.0)
        await one.stream.aclose()
        await anyio.sleep(0.1)
        assert not one.is_served
