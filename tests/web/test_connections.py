"""The connections of one server: how long they may take, how many there may be, and how they end."""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import final

import anyio
import pytest
from anyio.abc import ByteStream

from tocsin.testing import Simulation, cancelled_at_every_step
from tocsin.web._connections import GRACE, MOST, SEND_LIMIT, Connections, LimitedStream


@final
class Client(ByteStream):
    """One end of a connection that says nothing and takes nothing until it is closed."""

    def __init__(self) -> None:
        self.closed = anyio.Event()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await self.closed.wait()
        raise anyio.ClosedResourceError

    async def send(self, item: bytes) -> None:
        await self.closed.wait()
        raise anyio.ClosedResourceError

    async def send_eof(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self.closed.set()
        await anyio.lowlevel.checkpoint()


@final
class Queue:
    """A listener at which clients, and errors of the system, arrive one after the other."""

    def __init__(self, *arriving: Client | OSError) -> None:
        self.arriving = list(arriving)

    async def accept(self) -> ByteStream:
        await anyio.lowlevel.checkpoint()
        if not self.arriving:
            await anyio.sleep_forever()
        each = self.arriving.pop(0)
        if isinstance(each, OSError):
            raise each
        return each


@final
class Reading:
    """A host that waits for what a client never says. Asked to end the idle ones, it ends those it was told are."""

    def __init__(self, *idle: Client) -> None:
        self.idle = idle
        self.began = list[float]()
        self.ended = list[float]()

    async def serve(self, stream: ByteStream) -> None:
        self.began.append(anyio.current_time())
        try:
            await stream.receive()
        except anyio.ClosedResourceError:
            self.ended.append(anyio.current_time())

    async def end_idle(self) -> None:
        for client in self.idle:
            await client.aclose()


@final
class Deaf:
    """A host that does not notice that its stream was closed."""

    async def serve(self, stream: ByteStream) -> None:
        await anyio.sleep_forever()

    async def end_idle(self) -> None: ...


@final
class Failing:
    """A host that fails by what the first client says."""

    def __init__(self) -> None:
        self.served = 0

    async def serve(self, stream: ByteStream) -> None:
        self.served += 1
        if self.served == 1:
            raise ExceptionGroup("protocol", [ValueError("what is this?")])
        with suppress(anyio.ClosedResourceError):
            await stream.receive()

    async def end_idle(self) -> None: ...


@asynccontextmanager
async def carrying(connections: Connections, listener: Queue) -> AsyncGenerator[None]:
    """Serve what comes from *listener* for the time of the block."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connections.serve, [listener])
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


async def seconds_to_end(connections: Connections, *clients: Client) -> float:
    async with carrying(connections, Queue(*clients)):
        before = anyio.current_time()
    return anyio.current_time() - before


async def test_what_a_client_does_not_take_in_time_ends_its_connection() -> None:
    client = Client()
    stream, before = LimitedStream(client, 10.0), anyio.current_time()
    with pytest.raises(TimeoutError):
        await stream.send(b"page")
    assert anyio.current_time() - before == pytest.approx(10.0)
    assert client.closed.is_set()
    with pytest.raises(anyio.ClosedResourceError):
        await stream.send(b"more")
    await stream.send_eof()
    await stream.aclose()


async def test_a_stream_has_the_attributes_of_the_one_inside() -> None:
    assert LimitedStream(Client(), 1.0).extra_attributes == {}


async def test_without_connections_it_ends_at_once() -> None:
    assert await seconds_to_end(Connections(Reading())) == 0.0


async def test_idle_connections_end_at_once() -> None:
    clients = [Client(), Client()]
    assert await seconds_to_end(Connections(Reading(*clients)), *clients) == 0.0


async def test_a_connection_that_is_busy_gets_half_of_the_grace_for_its_answer() -> None:
    host = Reading()
    assert await seconds_to_end(Connections(host, grace=1.0), Client()) == pytest.approx(0.5)
    assert len(host.ended) == 1


async def test_what_does_not_look_at_its_stream_is_cancelled_after_the_grace() -> None:
    assert await seconds_to_end(Connections(Deaf(), grace=1.0), Client()) == pytest.approx(1.0)


async def test_the_end_under_a_cancellation_is_the_same() -> None:
    host, before = Reading(), anyio.current_time()
    with anyio.move_on_after(3.0):
        async with carrying(Connections(host, grace=1.0), Queue(Client())):
            await anyio.sleep_forever()
    assert anyio.current_time() - before == pytest.approx(3.5)
    assert len(host.ended) == 1


async def test_the_newest_connection_is_served_and_the_oldest_makes_place() -> None:
    host, clients = Reading(), [Client() for _ in range(5)]
    async with carrying(Connections(host, most=3), Queue(*clients)):
        assert len(host.began) == 5
        assert [client.closed.is_set() for client in clients] == [True, True, False, False, False]


async def test_the_oldest_makes_place_even_if_it_does_not_look_at_its_stream() -> None:
    clients = [Client() for _ in range(3)]
    connections = Connections(Deaf(), most=2)
    async with carrying(connections, Queue(*clients)):
        await anyio.sleep(GRACE + 0.1)
        assert repr(connections) == "<Connections 2 open>"


async def test_a_connection_that_fails_is_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    host = Failing()
    with caplog.at_level(logging.ERROR, "tocsin.web"):
        async with carrying(Connections(host), Queue(Client(), Client())):
            assert host.served == 2
    assert [record.getMessage() for record in caplog.records] == ["a connection has failed"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED])
async def test_an_error_of_the_system_that_passes_is_logged_and_waited_out(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    host, before = Reading(), anyio.current_time()
    async with carrying(Connections(host), Queue(OSError(number, "passing"), Client())):
        await anyio.sleep(1)
    assert host.began == [pytest.approx(before + 0.1)]
    assert "no connection can be taken just now" in caplog.text


async def test_an_error_of_the_listener_itself_is_raised() -> None:
    host = Reading()
    with pytest.raises(ExceptionGroup) as caught:
        await Connections(host).serve([Queue(Client(), OSError(errno.EBADF, "broken"))])
    assert caught.group_contains(OSError, match="broken")
    assert len(host.ended) == 1


@pytest.mark.slow
@cancelled_at_every_step()
async def test_cancelled_at_any_step_it_ends_and_every_connection_is_closed(simulation: Simulation) -> None:
    clients = [Client() for _ in range(3)]
    queue = Queue(*clients, OSError(errno.EMFILE, "passing"))

    def check() -> None:
        taken = clients[: len(clients) - sum(isinstance(each, Client) for each in queue.arriving)]
        assert all(client.closed.is_set() for client in taken)

    simulation.at_end(check)
    with anyio.move_on_after(5):
        await Connections(Reading(clients[0]), most=2).serve([queue])


def test_the_limits_are_those_that_are_documented() -> None:
    assert (SEND_LIMIT, MOST, GRACE) == (10.0, 100, 1.0)
