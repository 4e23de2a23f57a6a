"""`--store`: what a bus keeps its durable deliveries in when who runs it says so."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from tocsin import EventBus
from tocsin.cli import main
from tocsin.cli._exit_codes import ExitCode
from tocsin.cli._storing import CannotStore, give_store, path_in
from tocsin.codecs import CodecRegistry
from tocsin.durable import SQLiteStore
from tocsin.testing import MemoryStore

WriteModule = Callable[[str, str], Path]
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])

DURABLE = """
    from tocsin import EventBus, handles
    bus = EventBus("shop")

    @bus.subscriber(int, name="ship", durable=True)
    async def ship(number: int) -> None:
        bus.request_stop()

    @bus.actor(name="work")
    class Work:
        async def started(self) -> None:
            await bus.publish(7)

        @handles(str)
        async def work(self, event: str) -> None: ...
"""


def durable_bus(store: SQLiteStore | MemoryStore | None = None) -> EventBus:
    bus = EventBus("shop", store=store)
    bus.subscribe(print, int, name="ship", durable=True)
    return bus


@pytest.mark.parametrize("where", ["bus.db", "sqlite:bus.db"])
def test_a_store_is_a_path_with_or_without_the_name_of_its_kind(where: str) -> None:
    assert path_in(where) == "bus.db"


def test_a_bus_without_a_store_gets_one_of_the_defaults() -> None:
    bus = durable_bus()
    give_store(bus, "bus.db")
    assert isinstance(bus.store, SQLiteStore)
    assert (bus.store.path, bus.store.synchronous) == (Path("bus.db"), "full")


def test_a_store_that_is_declared_lends_all_but_its_path() -> None:
    codecs = CodecRegistry()
    bus = durable_bus(SQLiteStore("declared.db", synchronous="normal", codecs=codecs))
    give_store(bus, "bus.db")
    assert isinstance(bus.store, SQLiteStore)
    assert (bus.store.path, bus.store.synchronous, bus.store.codecs) == (Path("bus.db"), "normal", codecs)


def test_without_the_option_the_declared_store_stays() -> None:
    store = MemoryStore()
    bus = durable_bus(store)
    give_store(bus, None)
    assert bus.store is store


def test_a_declared_store_that_is_no_file_is_not_replaced() -> None:
    bus = durable_bus(MemoryStore())
    with pytest.raises(CannotStore, match=r"declares a store that is no file, MemoryStore"):
        give_store(bus, "bus.db")


def test_a_bus_that_is_not_durable_needs_no_store() -> None:
    bus = EventBus("shop")
    bus.subscribe(print, int, name="ship")
    give_store(bus, None)
    assert bus.store is None


def test_a_durable_bus_without_a_store_is_refused_with_the_option(
    write_module: WriteModule, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_module("written_storeless", DURABLE)
    assert main(["run", "written_storeless:bus", "--app-dir", str(folder)]) == ExitCode.USAGE
    assert "'ship' is durable, and bus 'shop' has no store" in (told := capsys.readouterr().err)
    assert "or say --store FILE" in told


def test_without_msgspec_a_store_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def finds_nothing(name: str) -> None: ...

    monkeypatch.setattr(importlib.util, "find_spec", finds_nothing)
    with pytest.raises(CannotStore, match=r"pip install 'tocsin\[durable\]'"):
        give_store(durable_bus(), "bus.db")


@BACKENDS
@pytest.mark.real_time
def test_a_bus_is_run_on_the_file_that_was_named(
    write_module: WriteModule, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_module(f"written_stored_{backend}", DURABLE)
    file = folder / "bus.db"
    tokens = ["run", f"written_stored_{backend}:bus", "--app-dir", str(folder), "--backend", backend]
    assert main([*tokens, "--store", f"sqlite:{file}"]) == ExitCode.IN_ORDER
    assert file.read_bytes().startswith(b"SQLite format 3")


@BACKENDS
@pytest.mark.real_time
def test_a_file_of_something_else_ends_with_a_code_of_its_own(
    write_module: WriteModule, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_module(f"written_foreign_{backend}", DURABLE)
    file = folder / "bus.db"
    file.write_bytes(b"no store at all " * 64)
    file.chmod(0o600)
    tokens = ["run", f"written_foreign_{backend}:bus", "--app-dir", str(folder), "--backend", backend]
    assert main([*tokens, "--store", str(file)]) == ExitCode.DAMAGED


@BACKENDS
@pytest.mark.real_time
def test_a_store_whose_folder_is_missing_is_told_in_two_lines(
    write_module: WriteModule, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_module(f"written_nowhere_{backend}", DURABLE)
    tokens = ["run", f"written_nowhere_{backend}:bus", "--app-dir", str(folder), "--backend", backend]
    assert main([*tokens, "--store", str(folder / "none" / "bus.db")]) == ExitCode.NOT_STARTED
    summary, reason = caplog.messages[-1].splitlines()
    assert summary.startswith("the store cannot be used: ")
    assert "none" in reason
