"""One run of a bus as a process, with signals and a process that are not the test's own; all on virtual time."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from signal import SIGHUP, SIGINT, SIGTERM, Signals

import anyio
import pytest
from anyio.streams.memory import MemoryObjectSendStream
from attrs import define, field

from tocsin import Backoff, BusAlreadyRunning, EventBus, RestartIntensity, handles
from tocsin.cli._exit_codes import ExitCode
from tocsin.cli._herald import Herald
from tocsin.cli._options import RunOptions
from tocsin.cli._serving import Daemon, Unreadable
from tocsin.testing import MemoryStore

MakeBus = Callable[..., EventBus]


@define
class RecordedProcess:
    """Remembers what was asked for, and does nothing to the process of the test."""

    done: list[str] = field(factory=list[str])
    hung_up: bool = False
    signals: tuple[Signals, ...] = (SIGTERM, SIGINT, SIGHUP)

    def terminal_is_gone(self) -> bool:
        return self.hung_up

    def let_signals_kill(self) -> None:
        self.done.append("let signals kill")

    def end_by(self, number: Signals) -> None:
        self.done.append(f"end by {number.name}")

    def abandon(self, code: int) -> None:
        self.done.append(f"abandon with {int(code)}")


@define
class RecordedManager:
    """Keeps what a service manager is told."""

    is_there: bool = True
    told: list[str] = field(factory=list[str])

    def tell(self, message: str) -> None:
        self.told.append(message)

    def words(self) -> list[str]:
        """Give the assignments that are no status, each run of equal ones once."""
        words = [line for message in self.told for line in message.split("\n") if not line.startswith("STATUS=")]
        return [word for number, word in enumerate(words) if number == 0 or words[number - 1] != word]


@define
class Stage:
    """A daemon, the way to send it signals, and what it did in the end."""

    daemon: Daemon
    send: Callable[[Signals], None]
    process: RecordedProcess
    manager: RecordedManager
    code: int | None = None


def refuses_to_read() -> RunOptions:
    raise Unreadable("a\x1bb is no option")


@asynccontextmanager
async def running(
    bus: EventBus,
    options: RunOptions | None = None,
    *,
    read: Callable[[], RunOptions] = RunOptions,
    herald: Herald | None = None,
    manager: RecordedManager | None = None,
    ground: AbstractAsyncContextManager[None] | None = None,
    hung_up: bool = False,
) -> AsyncGenerator[Stage]:
    """Run a daemon around *bus* beside the block, and wait for its end after it."""
    sender: MemoryObjectSendStream[Signals]
    sender, receiver = anyio.create_memory_object_stream[Signals](10)
    process, manager = RecordedProcess(hung_up=hung_up), manager or RecordedManager()
    daemon = Daemon(bus, options or RunOptions(), read, process, manager, herald or Herald(), ground or nullcontext())
    stage = Stage(daemon, sender.send_nowait, process, manager)

    async def run() -> None:
        stage.code = await daemon.run(receiver)

    with sender, receiver:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await anyio.sleep(0.01)
            yield stage


def busy_bus(make_bus: MakeBus, *, seconds: float, count: int = 3) -> EventBus:
    """Make a bus whose actor has *count* deliveries from the start, and takes *seconds* for each."""
    bus = make_bus("shop")

    @bus.actor(name="work", timeout=None)
    class Work:
        async def started(self) -> None:
            await bus.publish_many(range(count))

        @handles(int)
        async def work(self, number: int) -> None:
            await anyio.sleep(seconds)

    return bus


# ── signals ──


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_the_first_signal_drains_and_the_exit_code_is_0(make_bus: MakeBus, number: Signals) -> None:
    bus = busy_bus(make_bus, seconds=2.0)
    async with running(bus) as stage:
        stage.send(number)
    assert (stage.code, bus.ledger().handled) == (ExitCode.IN_ORDER, 3)
    assert stage.process.done == []


async def test_a_drain_that_takes_too_long_is_cut_and_the_exit_code_says_what_is_left(make_bus: MakeBus) -> None:
    bus = busy_bus(make_bus, seconds=4.0)
    async with running(bus, RunOptions(drain_timeout=1.0)) as stage:
        stage.send(SIGTERM)
    assert (stage.code, bus.ledger().returned) == (ExitCode.LEFT_OVER, 2)


async def test_what_the_store_keeps_for_the_next_run_is_not_left_over(make_bus: MakeBus) -> None:
    bus = make_bus("shop", store=MemoryStore())

    @bus.subscriber(int, durable=True)
    async def work(number: int) -> None:
        pytest.fail("it is paused")  # pragma: no cover

    async with running(bus) as stage:
        bus.subscriptions["work"].pause()
        await bus.publish(1)
        stage.send(SIGTERM)
    assert (stage.code, bus.ledger().returned) == (ExitCode.IN_ORDER, 1)


async def test_a_signal_that_comes_twice_at_once_drains(make_bus: MakeBus) -> None:
    async with running(busy_bus(make_bus, seconds=2.0)) as stage:
        stage.send(SIGTERM)
        stage.send(SIGTERM)
    assert stage.code == ExitCode.IN_ORDER
    assert stage.process.done == []


@pytest.mark.parametrize(("number", "code"), [(SIGTERM, 143), (SIGINT, 130)])
async def test_a_second_signal_cuts_the_drain_short_and_lets_a_third_one_kill(
    make_bus: MakeBus, number: Signals, code: int
) -> None:
    bus = busy_bus(make_bus, seconds=4.0)
    async with running(bus) as stage:
        stage.send(SIGTERM)
        await anyio.sleep(1.0)
        assert bus.statistics().phase == "draining"
        stage.send(number)
    assert (stage.code, bus.ledger().returned) == (code, 2)
    assert stage.process.done == ["let signals kill"]


async def test_a_third_signal_ends_the_process(make_bus: MakeBus) -> None:
    async with running(busy_bus(make_bus, seconds=4.0)) as stage:
        for number in (SIGTERM, SIGINT, SIGTERM):
            stage.send(number)
            await anyio.sleep(0.2)
    assert stage.process.done == ["let signals kill", "end by SIGTERM"]


async def test_a_signal_while_it_starts_ends_the_start_in_order_and_nobody_hears_that_it_is_ready(
    make_bus: MakeBus,
) -> None:
    bus = make_bus("shop")

    @bus.actor(name="slow")
    class Slow:
        async def started(self) -> None:
            await anyio.sleep(3.0)

        @handles(int)
        async def take(self, number: int) -> None: ...

    async with running(bus) as stage:
        stage.send(SIGHUP)
        stage.send(SIGTERM)
    assert stage.code == ExitCode.IN_ORDER
    assert "READY=1" not in stage.manager.words()


async def test_a_signal_before_the_bus_has_begun_ends_what_it_was_to_stand_on(make_bus: MakeBus) -> None:
    left: list[float] = []

    @asynccontextmanager
    async def ground() -> AsyncGenerator[None]:
        try:
            await anyio.sleep(60.0)
            yield
        finally:
            left.append(anyio.current_time())

    before = anyio.current_time()
    async with running(make_bus("shop"), ground=ground()) as stage:
        stage.send(SIGTERM)
    assert left[0] - before < 1.0
    assert stage.code == ExitCode.IN_ORDER
    assert stage.manager.told[-1] == "STATUS=stopped before it had begun"


async def test_what_the_bus_stands_on_is_there_as_long_as_the_bus(make_bus: MakeBus) -> None:
    phases: list[str] = []
    bus = make_bus("shop")

    @asynccontextmanager
    async def ground() -> AsyncGenerator[None]:
        phases.append(bus.statistics().phase)
        yield
        phases.append(bus.statistics().phase)

    async with running(bus, ground=ground()) as stage:
        stage.send(SIGTERM)
    assert phases == ["new", "stopped"]


async def test_a_hang_up_of_its_terminal_drains(make_bus: MakeBus) -> None:
    async with running(busy_bus(make_bus, seconds=2.0), hung_up=True) as stage:
        stage.send(SIGHUP)
    assert (stage.code, stage.daemon.bus.ledger().handled) == (ExitCode.IN_ORDER, 3)


async def test_a_bus_that_stops_by_itself_ends_in_order(make_bus: MakeBus) -> None:
    bus = make_bus("shop")

    @bus.subscriber(int)
    async def stop(number: int) -> None:
        bus.request_stop()

    async with running(bus) as stage:
        await bus.publish(1)
    assert stage.code == ExitCode.IN_ORDER
    assert stage.manager.words()[-1] == "STOPPING=1"


# ── reading the configuration again ──


async def test_sighup_takes_over_what_can_change_and_names_what_has_changed(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bus = busy_bus(make_bus, seconds=4.0)
    async with running(bus, read=lambda: RunOptions(drain_timeout=1.0, backend="trio", log_level="info")) as stage:
        stage.send(SIGHUP)
        await anyio.sleep(0.1)
        stage.send(SIGTERM)
    assert (
        "SIGHUP: backend asyncio → trio (takes effect at the next start); drain_timeout 30.0 → 1.0" in caplog.messages
    )
    assert stage.code == ExitCode.LEFT_OVER  # the new limit


async def test_sighup_with_nothing_new_says_so(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(make_bus("shop")) as stage:
        stage.send(SIGHUP)
        stage.send(SIGTERM)
    assert "SIGHUP: nothing has changed" in caplog.messages


async def test_sighup_with_a_broken_file_changes_nothing_and_the_bus_runs_on(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(make_bus("shop"), read=refuses_to_read) as stage:
        stage.send(SIGHUP)
        await anyio.sleep(0.1)
        assert stage.daemon.bus.statistics().phase == "running"
        stage.send(SIGTERM)
    assert "SIGHUP: the configuration stays as it was: a\\x1bb is no option" in caplog.messages
    assert stage.code == ExitCode.IN_ORDER


# ── the service manager ──


async def test_a_service_manager_hears_everything_in_its_order(make_bus: MakeBus) -> None:
    async with running(busy_bus(make_bus, seconds=1.0), herald=Herald(0.5)) as stage:
        stage.send(SIGHUP)
        await anyio.sleep(0.1)
        stage.send(SIGTERM)
    words = [word.partition("=")[0] for word in stage.manager.words()]
    assert words[:3] == ["READY", "WATCHDOG", "RELOADING"]
    assert words[3:6] == ["MONOTONIC_USEC", "READY", "STOPPING"]
    assert set(words[6:]) == {"WATCHDOG", "EXTEND_TIMEOUT_USEC"}
    assert stage.manager.told[-1] == "STATUS=stopped"


async def test_readiness_is_told_only_after_every_actor_has_started(make_bus: MakeBus) -> None:
    bus, manager = make_bus("shop"), RecordedManager()
    told_while_starting: list[str] = []

    @bus.actor(name="slow")
    class Slow:
        async def started(self) -> None:
            await anyio.sleep(3.0)
            told_while_starting.extend(manager.told)

        @handles(int)
        async def take(self, number: int) -> None: ...

    async with running(bus, manager=manager) as stage:
        await anyio.sleep(4.0)
        stage.send(SIGTERM)
    assert told_while_starting == []
    assert manager.told[0].startswith("READY=1\n")


async def test_where_nobody_has_to_be_told_nothing_is_looked_at(make_bus: MakeBus) -> None:
    async with running(make_bus("shop"), manager=RecordedManager(is_there=False), herald=Herald(0.5)) as stage:
        await anyio.sleep(2.0)
        stage.send(SIGTERM)
    assert "WATCHDOG=1" not in stage.manager.told


async def test_the_watchdog_of_a_bus_that_does_not_live_is_not_petted_and_the_log_says_why_once(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(make_bus("shop"), herald=Herald(0.5, lambda statistics: "nothing moves")) as stage:
        await anyio.sleep(3.0)
        stage.send(SIGTERM)
    assert "WATCHDOG=1" not in stage.manager.told
    assert caplog.messages == ["the watchdog is not petted any more: nothing moves"]


# ── ends ──


async def test_a_tree_that_gives_up_is_told_in_one_block_and_has_its_own_exit_code(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus("shop")

    @bus.actor(name="db", intensity=RestartIntensity(1, 60.0), backoff=Backoff(initial=0.1))
    class Database:
        async def started(self) -> None:
            if bus.ledger().matched:
                raise ConnectionError("postgres://shop:hunter2@db is down")

        @handles(int)
        async def take(self, number: int) -> None:
            raise ValueError("no")

    async with running(bus) as stage:
        await bus.publish(1)
    assert stage.code == ExitCode.GAVE_UP
    (block,) = [record for record in caplog.records if record.name == "tocsin.cli"]
    assert block.levelname == "CRITICAL"
    told = block.getMessage()
    assert told.startswith("the supervision gave up: shop on db, 2 restarts")
    assert "builtins.ConnectionError: postgres://shop:***@db is down" in told
    assert stage.manager.told[-1].startswith("STATUS=the supervision gave up: shop on db")


async def test_an_actor_that_does_not_start_has_its_own_exit_code(make_bus: MakeBus) -> None:
    bus = make_bus("shop")

    @bus.actor(name="db")
    class Database:
        async def started(self) -> None:
            raise ConnectionError("down")

        @handles(int)
        async def take(self, number: int) -> None: ...

    async with running(bus) as stage:
        pass
    assert stage.code == ExitCode.NOT_STARTED
    assert stage.manager.words() == ["STOPPING=1"]


async def test_the_exit_code_of_a_handler_is_kept(make_bus: MakeBus) -> None:
    bus = make_bus("shop")

    @bus.subscriber(int)
    async def leave(number: int) -> None:
        raise SystemExit(number)

    async with running(bus) as stage:
        await bus.publish(42)
    assert stage.code == 42


async def test_an_error_that_nobody_expects_is_raised(make_bus: MakeBus) -> None:
    bus = make_bus("shop")
    async with bus.running():
        daemon = Daemon(bus, RunOptions(), RunOptions, RecordedProcess(), RecordedManager())
        sender, signals = anyio.create_memory_object_stream[Signals](1)
        with sender, signals, pytest.raises(ExceptionGroup) as raised:
            await daemon.run(signals)  # it runs already
    assert raised.group_contains(BusAlreadyRunning)


async def test_what_does_not_let_itself_be_stopped_is_left_behind_with_the_process(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus("shop")

    @bus.subscriber(int, grace_period=0.5)
    async def hang(number: int) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(100.0)

    async with running(bus, RunOptions(drain_timeout=1.0, shutdown_deadline=2.0)) as stage:
        await bus.publish(1)
        stage.send(SIGTERM)
        await anyio.sleep(10.0)
        assert stage.process.done == ["abandon with 70"]
    told = "\n".join(caplog.messages)
    assert "what does not stop is left behind" in told
    assert "hang, at " in told
    assert stage.code == ExitCode.GAVE_UP


async def test_a_tree_that_gave_up_and_does_not_end_is_left_behind_too(make_bus: MakeBus) -> None:
    bus = make_bus("shop")

    @bus.subscriber(int, grace_period=0.5)
    async def hang(number: int) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(100.0)

    @bus.subscriber(str)
    async def fatal(text: str) -> None:
        raise SystemExit(3)

    async with running(bus, RunOptions(shutdown_deadline=2.0)) as stage:
        await bus.publish(1)
        await bus.publish("end")
        await anyio.sleep(20.0)
        assert stage.process.done == ["abandon with 70"]
    assert stage.code == 3
