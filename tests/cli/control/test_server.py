"""A server and its clients over a true socket, in one process."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from tocsin import EventBus
from tocsin.cli._control import _client, _streams
from tocsin.cli._control._client import call
from tocsin.cli._control._connection import Limits
from tocsin.cli._control._errors import BrokenConversation, CommandRefused, NoDaemon
from tocsin.cli._control._protocol import Json
from tocsin.cli._control._server import ControlServer
from tocsin.cli._control._socket import listen_at
from tocsin.cli._control._streams import accept_from, connect_to

MakeBus = Callable[..., EventBus]
pytestmark = pytest.mark.real_time
LARGE = 3_000_000


async def name(bus: EventBus, params: Mapping[str, Json]) -> Json:
    return bus.name


async def echo(bus: EventBus, params: Mapping[str, Json]) -> Json:
    return dict(params)


async def large(bus: EventBus, params: Mapping[str, Json]) -> Json:
    return "x" * LARGE


async def hang(bus: EventBus, params: Mapping[str, Json]) -> Json:
    await anyio.sleep_forever()
    raise AssertionError


COMMANDS = {"name": name, "echo": echo, "large": large, "hang": hang}


@asynccontextmanager
async def serving(bus: EventBus, path: Path, **options: Any) -> AsyncGenerator[ControlServer]:
    with listen_at(path) as socket:
        server = ControlServer(bus, COMMANDS, socket, **options)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve)
            yield server
            tasks.cancel_scope.cancel()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.sock"


async def test_a_question_is_answered(make_bus: MakeBus, path: Path) -> None:
    async with serving(make_bus("shop"), path):
        assert await call(path, "name") == "shop"


async def test_much_is_asked_and_answered(make_bus: MakeBus, path: Path) -> None:
    async with serving(make_bus(), path):
        assert await call(path, "echo", {"text": "ä" * 1_000_000}) == {"text": "ä" * 1_000_000}


async def test_many_at_a_time_are_answered(make_bus: MakeBus, path: Path) -> None:
    answers: list[Json] = []

    async def ask(number: int) -> None:
        answers.append(await call(path, "echo", {"number": number}))

    async with serving(make_bus(), path), anyio.create_task_group() as clients:
        for number in range(20):
            clients.start_soon(ask, number)
        while len(answers) < 20:  # noqa: ASYNC110  # twenty tasks are to be waited for
            await anyio.sleep(0.01)
    assert sorted(str(each) for each in answers) == sorted(str({"number": number}) for number in range(20))


async def test_a_refusal_is_raised_at_the_client(make_bus: MakeBus, path: Path) -> None:
    async with serving(make_bus(), path):
        with pytest.raises(CommandRefused, match=r"there is no command nam: did you mean name\?") as raised:
            await call(path, "nam")
    assert raised.value.kind == "unknown_command"


async def test_a_command_that_takes_too_long_is_refused_in_the_end(make_bus: MakeBus, path: Path) -> None:
    async with serving(make_bus(), path):
        with pytest.raises(CommandRefused, match="given up") as raised:
            await call(path, "hang", timeout=0.1)
    assert raised.value.kind == "timeout"


async def test_a_client_that_takes_nothing_holds_up_nobody(make_bus: MakeBus, path: Path) -> None:
    async with serving(make_bus("shop"), path), await anyio.connect_unix(path) as slow:
        await slow.send(b'{"command":"large"}\n{"command":"hang"}\n' * 3)
        assert await call(path, "name") == "shop"


async def test_a_client_that_goes_without_its_answer_is_no_trouble(make_bus: MakeBus, path: Path) -> None:
    async with serving(make_bus("shop"), path):
        for _ in range(5):
            async with await anyio.connect_unix(path) as gone:
                await gone.send(b'{"command":"name"}\n')
                await anyio.wait_readable(gone.extra(anyio.abc.SocketAttribute.raw_socket))
        assert await call(path, "name") == "shop"


async def test_a_client_that_somebody_else_has_accepted_is_not_waited_for(path: Path) -> None:
    with listen_at(path) as control, control.listener.dup() as same:
        same.setblocking(False)
        accepted: list[SocketStream] = []

        async def accept(listener: socket.socket) -> None:
            accepted.append(await accept_from(listener))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(accept, control.listener)
            tasks.start_soon(accept, same)
            await anyio.sleep(0.05)
            for count in (1, 2):
                accepted.append(await connect_to(str(path)))
                await anyio.sleep(0.05)
                assert len(accepted) == 2 * count
        for stream in accepted:
            await stream.aclose()


async def test_cancelled_while_it_connects_it_leaves_no_socket_open(path: Path) -> None:
    with listen_at(path) as control:
        with anyio.CancelScope() as scope:
            scope.cancel()
            async with await connect_to(str(path)):
                pass
        async with await accept_from(control.listener) as stream:
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()


async def test_a_client_that_takes_nothing_does_not_hold_up_the_end(make_bus: MakeBus, path: Path) -> None:
    async with await left_by_its_server(make_bus(), path) as slow:
        taken = b"".join([chunk async for chunk in slow])
    assert len(taken) < LARGE


async def left_by_its_server(bus: EventBus, path: Path) -> SocketStream:
    async with serving(bus, path):
        slow = await anyio.connect_unix(path)
        await slow.send(b'{"command":"large"}\n')
        await anyio.sleep(0.05)
        return slow


async def test_too_many_clients_are_turned_away_until_one_has_gone(make_bus: MakeBus, path: Path) -> None:
    async with serving(make_bus("shop"), path, most_clients=1):
        async with await anyio.connect_unix(path) as first:
            await first.send(b'{"command":"name"}\n')
            await first.receive()
            with pytest.raises(CommandRefused, match="1 clients are connected") as raised:
                await call(path, "name")
        assert raised.value.kind == "busy"
        with anyio.fail_after(5):
            while not await _is_let_in(path):  # noqa: ASYNC110  # nobody tells
                await anyio.sleep(0.01)  # until the server sees that the first one has gone


async def _is_let_in(path: Path) -> bool:
    with suppress(CommandRefused):
        return await call(path, "name") == "shop"
    return False


async def test_who_is_turned_away_and_has_gone_is_no_trouble(make_bus: MakeBus, path: Path) -> None:
    async with serving(make_bus("shop"), path, most_clients=0, limits=Limits(send=0.1)):
        for _ in range(20):
            await (await anyio.connect_unix(path)).aclose()
        with pytest.raises(CommandRefused, match="try again later"):
            await call(path, "name")


async def test_a_process_without_a_file_descriptor_left_goes_on_when_it_has_one(
    make_bus: MakeBus, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(_streams, "PAUSE", 0.01)
    async with serving(make_bus("shop"), path):
        assert await call(path, "name") == "shop"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0), hard))
            try:
                client.connect(str(path))
                await anyio.sleep(0.1)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await call(path, "name") == "shop"


# ── the client ──


async def test_nobody_there_is_told(path: Path) -> None:
    with pytest.raises(NoDaemon, match=r"no daemon listens at .*s\.sock: .*No such file"):
        await call(path, "name")


async def test_a_socket_that_was_left_behind_is_nobody(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    with pytest.raises(NoDaemon, match="Connection refused"):
        await call(path, "name")


async def test_a_path_that_is_too_long_is_nobody(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon, match="path too long"):
        await call(tmp_path / ("x" * 200), "name")


@asynccontextmanager
async def answering(path: Path, answer: bytes | None) -> AsyncGenerator[None]:
    """Be a daemon that gives *answer*, without waiting for a question; None: it never does."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            if answer is not None:
                await stream.send(answer)
            else:
                await anyio.sleep_forever()

    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield
        tasks.cancel_scope.cancel()


async def test_a_daemon_whose_loop_is_blocked_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_client, "SLACK", 0.05)
    async with answering(path, None):
        with pytest.raises(BrokenConversation, match=r"has not answered in 0\.1 s: its event loop may be blocked"):
            await call(path, "name", timeout=0.05)


async def test_a_daemon_that_ends_before_its_answer_is_told(path: Path) -> None:
    async with answering(path, b'{"id":1,'):
        with pytest.raises(BrokenConversation, match="has closed the connection before its answer"):
            await call(path, "echo", {"text": "x" * 1_000_000})


async def test_something_else_at_the_socket_is_told(path: Path) -> None:
    async with answering(path, b"220 smtp.example ESMTP\n"):
        with pytest.raises(BrokenConversation, match="the answer is no JSON"):
            await call(path, "name")


async def test_an_answer_without_an_end_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_client, "MAX_ANSWER", 1000)
    async with answering(path, b"x" * 70_000):
        with pytest.raises(BrokenConversation, match="more than 1000 bytes"):
            await call(path, "name")


def test_a_question_is_asked_by_hand_with_two_lines_of_code(make_bus: MakeBus, path: Path) -> None:
    """Any language does: no client of ours is needed."""

    def by_hand() -> Any:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(path))
            client.sendall(b'{"command":"name"}\n')
            return json.loads(client.makefile().readline())

    async def serve() -> Any:
        async with serving(make_bus("shop"), path):
            return await anyio.to_thread.run_sync(by_hand)

    assert anyio.run(serve) == {"id": None, "ok": True, "result": "shop"}
