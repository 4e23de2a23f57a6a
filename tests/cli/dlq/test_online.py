"""Dead letters by way of the control socket: every page, each letter once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from tests.cli.dlq.shops import letter, shop
from tests.durable.stored import Order
from tocsin import EventBus
from tocsin.cli._control._asking import Asking
from tocsin.cli._control._errors import BrokenConversation, CommandRefused
from tocsin.cli._control._protocol import Json
from tocsin.cli._dlq import _online
from tocsin.cli._dlq._choice import Choice
from tocsin.cli._dlq._office import LetterNotFound, Refusal, Replayed
from tocsin.cli._dlq._online import OnLine

pytestmark = pytest.mark.real_time
StartDaemon = Callable[[EventBus], Path]
ALL = Choice()


@define
class Clock:
    """Time that only passes when somebody sleeps, or when a letter is waited for."""

    now: float = 0.0
    slept: list[float] = field(factory=list[float])

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def dead(count: int, handled: list[int] | None = None) -> EventBus:
    """Give a bus with so many letters, of orders that are added to *handled* when they are replayed."""
    bus = shop(handled=handled)
    for number in range(1, count + 1):
        bus.dead_letters.add(letter(event=Order(number)))
    return bus


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_online, "PAGE", 2)


def office(path: Path, clock: Clock | None = None) -> OnLine:
    clock = clock or Clock()
    return OnLine(Asking(socket=path), clock.sleep, lambda: clock.now)


@pytest.mark.usefixtures("small_pages")
def test_all_pages_are_asked_for(start_daemon: StartDaemon) -> None:
    path = start_daemon(dead(5))
    assert [each.id for each in office(path).letters(ALL, full=False)] == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9])
def test_a_limit_counts_over_all_pages(start_daemon: StartDaemon, limit: int) -> None:
    path = start_daemon(dead(5))
    assert [each.id for each in office(path).letters(Choice(limit=limit), full=False)] == [1, 2, 3, 4, 5][:limit]


@pytest.mark.usefixtures("small_pages")
def test_what_comes_meanwhile_is_not_shown(start_daemon: StartDaemon) -> None:
    bus = dead(3)
    letters = office(start_daemon(bus)).letters(ALL, full=False)
    seen = [next(letters).id]
    bus.dead_letters.add(letter())
    assert seen + [each.id for each in letters] == [1, 2, 3]


def test_a_letter_is_shown_in_full(start_daemon: StartDaemon) -> None:
    assert office(start_daemon(dead(2))).letter(2).facts["event"] == {"number": 2}


def test_a_letter_that_is_not_there_is_told(start_daemon: StartDaemon) -> None:
    with pytest.raises(LetterNotFound, match="there is no dead letter 3"):
        office(start_daemon(dead(2))).letter(3)


def test_another_refusal_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ask(*_: Any, **__: Any) -> Json:
        raise CommandRefused("busy", "32 clients are connected")

    monkeypatch.setattr(_online, "ask", ask)
    with pytest.raises(CommandRefused, match="32 clients"):
        office(tmp_path).letter(3)


@pytest.mark.usefixtures("small_pages")
def test_all_pages_are_purged(start_daemon: StartDaemon) -> None:
    bus = dead(5)
    path = start_daemon(bus)
    assert list(office(path).purge(Choice(ids=(1, 2, 4, 5)), dry_run=True)) == [1, 2, 4, 5]
    assert len(bus.dead_letters) == 5
    assert list(office(path).purge(Choice(ids=(1, 2, 4, 5)), dry_run=False)) == [1, 2, 4, 5]
    assert [each.id for each in bus.dead_letters] == [3]


@pytest.mark.usefixtures("small_pages")
def test_all_pages_are_replayed(start_daemon: StartDaemon) -> None:
    bus = dead(5, [])
    replayed = list(office(start_daemon(bus)).replay(Choice(limit=3), rate=None, dry_run=False))
    assert replayed == [Replayed((1, 2)), Replayed((3,))]
    assert [each.id for each in bus.dead_letters] == [4, 5]


def test_what_cannot_be_replayed_is_told(start_daemon: StartDaemon) -> None:
    bus = dead(1, [])
    bus.dead_letters.add(letter(subscription="nobody"))
    (replayed,) = office(start_daemon(bus)).replay(ALL, rate=None, dry_run=True)
    assert replayed == Replayed((1,), (Refusal(2, "there is no subscription 'nobody' any more"),))


def test_between_two_pages_it_waits_as_the_rate_says(start_daemon: StartDaemon) -> None:
    clock = Clock()
    replayed = list(office(start_daemon(dead(3, [])), clock).replay(ALL, rate=1.0, dry_run=False))
    assert replayed == [Replayed((1,)), Replayed((2,)), Replayed((3,))]
    assert clock.slept == [1.0, 1.0]  # and not after the last one


def test_a_letter_that_finds_no_room_ends_it_after_a_minute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = Clock()

    def ask(_options: Asking, _command: str, params: dict[str, Json]) -> Json:
        clock.now += 20.0
        moved: list[Json] = [4] if params["after"] == 0 else []
        return {"moved": moved, "refused": [], "count": len(moved), "up_to": 9, "next": 4, "waits": 5}

    monkeypatch.setattr(_online, "ask", ask)
    *_, last = office(tmp_path, clock).replay(ALL, rate=None, dry_run=False)
    assert clock.now == 80.0
    assert last == Replayed((), (Refusal(5, _online.no_room(60.0)),))


@pytest.mark.parametrize("moved", [None, "1", [1, "2"], [True]])
def test_an_answer_of_something_else_is_no_answer(moved: Json, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ask(*_: Any) -> Json:
        return {"moved": moved, "refused": [], "count": 0, "up_to": 0, "next": None}

    monkeypatch.setattr(_online, "ask", ask)
    with pytest.raises(BrokenConversation, match=r"the answer\.moved is no list of numbers"):
        list(office(tmp_path).replay(ALL, rate=None, dry_run=False))
