"""A store in a file: opened, written to by its thread, full, lost, closed."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.durable.stored import accept, letter
from tocsin.durable import (
    Begun,
    Bury,
    Change,
    OpenStore,
    Settle,
    SQLiteStore,
    StoreError,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)
from tocsin.durable._applying import apply

pytestmark = pytest.mark.real_time


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.db"


async def kept(store: OpenStore, *changes: Change) -> list[StoreError | None]:
    """Submit *changes* and wait until all are answered."""
    answers: list[StoreError | None] = []
    done = anyio.Event()

    def answer(error: StoreError | None) -> None:
        answers.append(error)
        if len(answers) == len(changes):
            done.set()

    for change in changes:
        store.submit(change, answer)
    with anyio.fail_after(20):
        await done.wait()
    return answers


async def test_what_was_kept_is_there_when_it_is_opened_again(path: Path) -> None:
    store = await SQLiteStore(path).open()
    assert await kept(store, accept(1), accept(2), Bury(letter(4))) == [None, None, None]
    await store.close()
    store = await SQLiteStore(path).open()
    assert [each.id for each in store.contents.deliveries] == [1, 2]
    assert [each.number for each in store.contents.letters] == [4]
    await store.close()


async def test_closing_it_keeps_what_was_submitted_before(path: Path) -> None:
    store = await SQLiteStore(path).open()
    answers: list[StoreError | None] = []
    for number in range(1, 3001):
        store.submit(accept(number), answers.append)
    await store.close()
    assert answers == [None] * 3000
    store = await SQLiteStore(path).open()
    assert len(store.contents.deliveries) == 3000
    assert store.backlog == 0
    await store.close()


async def test_answers_come_in_the_order_of_asking(path: Path) -> None:
    store = await SQLiteStore(path).open()
    order: list[int] = []

    def answered(number: int, _error: StoreError | None) -> None:
        order.append(number)

    for number in range(1, 500):
        store.submit(accept(number), partial(answered, number))
    await store.close()
    assert order == list(range(1, 500))


async def test_what_is_asked_for_in_one_turn_of_the_loop_shares_a_commit(path: Path) -> None:
    store = await SQLiteStore(path).open()
    await kept(store, *(accept(number) for number in range(1, 301)))
    await kept(store, *(Settle(number, number) for number in range(1, 301)))
    assert store.commits == 2
    await store.close()


async def test_more_than_one_commit_may_hold_is_left_for_the_next_ones(path: Path) -> None:
    store = await SQLiteStore(path).open()
    answers: list[StoreError | None] = []
    for number in range(1, 2501):
        store.submit(accept(number), answers.append)
    assert store.backlog == 2500
    await store.close()
    assert (answers, store.backlog, store.commits) == ([None] * 2500, 0, 3)


async def test_what_comes_in_during_a_commit_shares_the_next_one(path: Path) -> None:
    store = await SQLiteStore(path).open()
    await kept(store, *(accept(number) for number in range(1, 2001)))
    assert store.commits < 500
    await store.close()


async def test_an_attempt_that_had_begun_is_known_to_whoever_opens_it_next(path: Path) -> None:
    store = await SQLiteStore(path).open()
    await kept(store, accept(1), accept(2), accept(3))
    store.over(store.begin(1, 1), 1, 1, handled=True)
    store.end(store.begin(2, 1))
    store.begin(3, 2)
    store.begin(99, 1)  # of nothing that is here
    await store.close()
    store = await SQLiteStore(path).open()
    assert store.contents.begun == {1: Begun(1, has_ended=True, was_handled=True), 3: Begun(2, has_ended=False)}
    store.forget_begun()
    await store.close()
    store = await SQLiteStore(path).open()
    assert store.contents.begun == {}
    await store.close()


async def test_a_number_that_an_attempt_was_noted_for_is_not_given_again_though_its_delivery_was_lost(
    path: Path,
) -> None:
    """With `normal`, a loss of power may leave the note and not the delivery. That the note is deleted is not waited
    for either: after the next loss it would say of another delivery, of the same number, that it was handled.
    """
    store = await SQLiteStore(path).open()
    await kept(store, accept(1))
    store.over(store.begin(7, 1), 7, 1, handled=True)
    await store.close()
    store = await SQLiteStore(path).open()
    assert (store.contents.last_delivery, store.contents.begun) == (7, {})
    await store.close()


async def test_fault_I12_it_belongs_to_one_run_at_a_time(path: Path) -> None:
    store = await SQLiteStore(path).open()
    with pytest.raises(StoreUnavailable, match="in use, by another process"):
        await SQLiteStore(path, busy_timeout=0.0).open()
    await store.close()


@pytest.mark.slow
async def test_fault_I1_a_full_store_refuses_and_takes_again_once_something_is_settled(path: Path) -> None:
    store = await SQLiteStore(path, max_bytes=1 << 20).open()
    answers = await kept(store, *(accept(number) for number in range(1, 12_000)))
    taken = [number for number, answer in enumerate(answers, 1) if answer is None]
    assert taken
    assert {type(answer) for answer in answers if answer is not None} == {StoreFull}
    assert await kept(store, *(Settle(number, number) for number in taken)) == [None] * len(taken)
    assert await kept(store, accept(20_000)) == [None]
    await store.close()


def take_away(path: Path, what: str) -> None:
    path.rename(path.with_name("elsewhere"))
    if what == "replaced":
        path.touch(0o600)
    if what == "deleted":
        path.with_name("elsewhere").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["moved", "deleted", "replaced"])
async def test_fault_I8_a_file_that_is_taken_away_is_noticed_and_nothing_is_taken_any_more(
    path: Path, what: str
) -> None:
    store = await SQLiteStore(path).open()
    await kept(store, accept(1))
    await anyio.sleep(1.1)  # it looks once a second
    take_away(path, what)
    for number in (2, 3):
        (answer,) = await kept(store, accept(number))
        assert type(answer) is StoreFailed
        assert "moved, deleted or replaced" in str(answer)
    (answer,) = await kept(store, Settle(1, 1))
    assert type(answer) is StoreFailed
    await store.close()


async def test_a_mistake_of_ours_is_told_to_everybody_who_waits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await SQLiteStore(path).open()

    def mistaken(connection: sqlite3.Connection, changes: Any) -> None:
        raise KeyError("mistake")

    monkeypatch.setattr("tocsin.durable._writer.apply", mistaken)
    answers = await kept(store, accept(1), accept(2))
    assert [type(answer) for answer in answers] == [StoreFailed, StoreFailed]
    assert "tocsin itself has failed, please report it: KeyError('mistake')" in str(answers[0])
    await store.close()


async def test_a_mistake_of_ours_in_opening_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(connection: sqlite3.Connection, begun: Any) -> None:
        raise KeyError("mistake")

    monkeypatch.setattr("tocsin.durable._sqlite.read", mistaken)
    with pytest.raises(StoreFailed, match="please report it"):
        await SQLiteStore(path).open()
    monkeypatch.undo()
    store = await SQLiteStore(path).open()
    await store.close()


@pytest.mark.slow
async def test_fault_I2_an_end_that_cannot_be_written_is_tried_again_and_what_is_new_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SQLiteStore(path).open()
    await kept(store, accept(1))
    failures = iter([True] * 4)

    def unlucky(connection: sqlite3.Connection, changes: Any) -> None:
        if next(failures, False):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_WRITE"
            raise error
        apply(connection, changes)

    monkeypatch.setattr("tocsin.durable._writer.apply", unlucky)
    answers = await kept(store, accept(2), Settle(1, 1))
    assert [type(answer) for answer in answers] == [StoreUnavailable, type(None)]
    await store.close()
    store = await SQLiteStore(path).open()
    assert store.contents.deliveries == ()
    await store.close()


@pytest.mark.parametrize(("pause", "times"), [(60.0, 1), (0.0, 3)])
async def test_that_it_is_behind_is_said_at_once_then_seldom_and_when_it_is_over(
    path: Path, monkeypatch: pytest.MonkeyPatch, pause: float, times: int
) -> None:
    store = await SQLiteStore(path).open()
    await kept(store, accept(1))
    failures, said = iter([True] * 3), list[str | None]()
    store.watch(lambda error: said.append(None if error is None else error.text))

    def unlucky(connection: sqlite3.Connection, changes: Any) -> None:
        if next(failures, False):
            raise sqlite3.OperationalError("disk I/O error")
        apply(connection, changes)

    monkeypatch.setattr("tocsin.durable._writer.apply", unlucky)
    monkeypatch.setattr("tocsin.durable._writer.AGAIN_AFTER", 0.01)
    monkeypatch.setattr("tocsin.durable._writer.SAY_AGAIN_AFTER", pause)
    await kept(store, Settle(1, 1))
    await store.close()
    assert [text is not None and "disk I/O error" in text for text in said] == [True] * times + [False]


async def test_until_somebody_watches_it_says_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await SQLiteStore(path).open()
    await kept(store, accept(1))
    failures = iter([True])

    def unlucky(connection: sqlite3.Connection, changes: Any) -> None:
        if next(failures, False):
            raise sqlite3.OperationalError("disk I/O error")
        apply(connection, changes)

    monkeypatch.setattr("tocsin.durable._writer.apply", unlucky)
    assert await kept(store, Settle(1, 1)) == [None]
    await store.close()


async def test_what_cannot_even_be_taken_back_ends_the_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_transactions(action: int, *_: Any) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_TRANSACTION else sqlite3.SQLITE_OK

    def stuck(connection: sqlite3.Connection, changes: Any) -> None:
        connection.set_authorizer(no_transactions)
        raise sqlite3.OperationalError("disk I/O error")

    store = await SQLiteStore(path).open()
    monkeypatch.setattr("tocsin.durable._writer.apply", stuck)
    (answer,) = await kept(store, accept(1))
    assert type(answer) is StoreFailed
    assert "what was begun could not be taken back (not authorized)" in str(answer)
    await store.close()


async def test_what_sqlite_says_while_it_is_read_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlucky(connection: sqlite3.Connection, begun: Any) -> None:
        connection.execute("SELECT * FROM nowhere")

    monkeypatch.setattr("tocsin.durable._sqlite.read", unlucky)
    with pytest.raises(StoreUnavailable, match="no such table: nowhere"):
        await SQLiteStore(path).open()


async def test_an_end_that_cannot_be_written_until_it_is_closed_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SQLiteStore(path).open()
    await kept(store, accept(1))

    def never(connection: sqlite3.Connection, changes: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("tocsin.durable._writer.apply", never)
    answers: list[StoreError | None] = []
    store.submit(Settle(1, 1), answers.append)
    await store.close()
    assert [str(answer) for answer in answers] == [f"store {str(path)!r}: it was closed before"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"synchronous": "off"}, "synchronous"),
        ({"busy_timeout": -1.0}, "busy_timeout"),
        ({"max_bytes": 1000}, "max_bytes=1000: must be bytes, a mebibyte"),
    ],
)
def test_options_are_checked_at_the_door(path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SQLiteStore(path, **options)
