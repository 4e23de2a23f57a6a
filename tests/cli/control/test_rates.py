"""Rates from two looks, text that fits, and the screen made of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.control.documents import actor, document
from tocsin import Ledger
from tocsin.cli._control._fitting import columns, fitted
from tocsin.cli._control._rates import ActorRates, Rates, rates_between
from tocsin.cli._control._screen import Line, page, screen
from tocsin.cli._control._view import BusView, view_of


def look(*actors: Any, handled: int = 0, **values: Any) -> BusView:
    ledger = Ledger(matched=handled, handled=handled, dead_lettered=values.pop("dead_lettered", 0))
    return view_of(document(*actors, ledger=ledger, **values))


# ── rates ──


def test_a_rate_is_what_has_come_to_it_by_the_seconds_of_the_daemon() -> None:
    before = look(actor("charge", handled=10, retried=1, dead_lettered=2), handled=10, published=100, clock=50.0)
    after = look(
        actor("charge", handled=30, retried=2, dead_lettered=4),
        handled=30, published=110, clock=54.0, dead_lettered=2,
    )  # fmt: skip
    rates = rates_between(before, after)
    assert (rates.published, rates.handled, rates.dead_lettered) == (2.5, 5.0, 0.5)
    assert rates.actors == {"charge": ActorRates(handled=5.0, retried=0.25, dead_lettered=0.5)}
    assert (rates.handled_by("charge"), rates.handled_by("mail")) == (5.0, None)


@pytest.mark.parametrize(
    "before",
    [
        None,
        look(process=8, clock=99.0),  # another process
        look(clock=100.0),  # no time in between
        look(clock=101.0),
        look(clock=99.0, published=10),  # another run, which counts from 0 again
        look(clock=99.0, handled=10),
    ],
)
def test_without_two_looks_at_one_run_there_are_no_rates(before: BusView | None) -> None:
    assert rates_between(before, look(clock=100.0, published=5, handled=5)) == Rates()


def test_an_actor_that_is_new_or_counts_anew_has_no_rate_yet() -> None:
    before = look(actor("again", handled=10), clock=99.0)
    after = look(actor("again", handled=3), actor("new", handled=7), clock=100.0)
    assert rates_between(before, after).actors == {}


# ── text that fits ──


@pytest.mark.parametrize(
    ("text", "width", "fit"),
    [
        ("abc", 5, "abc  "),
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abcd", 1, "…"),
        ("abcd", 0, ""),
        ("\u65e5\u672c", 4, "\u65e5\u672c"),
        ("\u65e5\u672c\u8a9e", 4, "\u65e5… "),  # the second one would take two columns
        ("e\u0301te\u0301", 3, "e\u0301te\u0301"),  # combined, they take none
        ("e\u0301te\u0301s", 3, "e\u0301t…"),
    ],
)
def test_a_text_is_cut_or_filled(text: str, width: int, fit: str) -> None:
    assert fitted(text, width) == fit


def test_numbers_are_filled_from_the_left() -> None:
    assert fitted("7", 3, right=True) == "  7"


@given(st.text(max_size=30), st.integers(0, 20), st.booleans())
def test_a_text_takes_exactly_its_columns(text: str, width: int, right: bool) -> None:
    assert columns(fitted(text, width, right=right)) == width


# ── the screen ──


def plain(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines]


BUSY = look(
    actor("charge", depth=200, capacity=200, oldest_age=3.06, in_flight=1, blocked_publishers=2, restarts=3),
    actor("mail", depth=1, capacity=1000, state="parked", last_error="ValueError: a\x1b[31mb"),
    dead_letters=4,
)  # fmt: skip
RATES = Rates(200.0, 397.5, 0.0, {"charge": ActorRates(84.26, 0.0, 0.0)})


def test_eighty_columns_have_everything() -> None:
    assert plain(page(BUSY, RATES, 80)) == [
        "shop: running, 200 published/s, 398 handled/s",
        "0 queued, 0 in hand, 0 to retry, 4 dead letters",
        "",
        "NAME         STATE                MAILBOX OLDEST RATE/s    P50    P99  RST",
        "shop         running                                                     0",
        " billing     running                                                     0",
        "  charge     running   [||||||]   200/200   3.1s   84.3      -      -    3",
        "  mail       parked    [|     ]    1/1000     0s      -      -      -    0",
        "    ValueError: a\\x1b[31mb",
    ]


def test_forty_columns_have_what_matters_most() -> None:
    assert plain(page(BUSY, RATES, 40))[3:7] == [
        "NAME         STATE       MAILBOX RATE/s",
        "shop         running",
        " billing     running",
        "  charge     running     200/200   84.3",
    ]


@pytest.mark.parametrize("width", [1, 5, 10, 20, 33, 40, 57, 80, 200])
@pytest.mark.parametrize("height", [1, 2, 5, 50])
def test_no_line_is_longer_than_the_terminal_and_there_are_no_more_than_it_has(width: int, height: int) -> None:
    lines = screen(BUSY, RATES, "no daemon", width, height)
    assert all(columns(line) <= width for line in plain(lines))
    assert len(lines) <= max(2, height)


def test_what_does_not_fit_below_is_counted() -> None:
    lines = plain(screen(BUSY, RATES, None, 80, 7))
    assert len(lines) == 7
    assert lines[-2:] == ["4 more lines: make the window higher", "q: quit"]


def test_trouble_is_told_below_escaped_while_the_rest_stays() -> None:
    lines = plain(screen(BUSY, Rates(), "no daemon at a\x1bb", 80, 40))
    assert lines[0] == "shop: running, - published/s, - handled/s"
    assert lines[-1] == "q: quit. Trying again: no daemon at a\\x1bb"


def styles(bus: BusView) -> dict[str, str]:
    return {text.strip(): style for line in page(bus, Rates(), 80) for text, style in line if text.strip()}


@pytest.mark.parametrize(
    ("depth", "bar", "style"),
    [
        (0, "[      ]", "green"), (1, "[|     ]", "green"), (50, "[||||  ]", "yellow"), (89, "[||||||]", "yellow"),
        (90, "[||||||]", "red"), (100, "[||||||]", "red"), (130, "[||||||]", "red"),
    ],
)  # fmt: skip
def test_a_bar_shows_how_full_a_mailbox_is(depth: int, bar: str, style: str) -> None:
    assert styles(look(actor("charge", depth=depth, capacity=100)))[bar] == style


def test_a_mailbox_without_a_capacity_has_no_bar() -> None:
    assert "[" not in "".join(styles(look(actor("charge"))))


@pytest.mark.parametrize(
    ("state", "style"),
    [("starting", "cyan"), ("waiting", "yellow"), ("suspended", "yellow"), ("parked", "bold red"), ("new", "bold red")],
)
def test_a_state_has_its_colour(state: str, style: str) -> None:
    assert styles(look(actor("charge", state=state)))[state] == style


def test_an_actor_that_is_paused_is_shown_so() -> None:
    given: Any = document(actor("charge", is_paused=True))
    assert styles(view_of(given))["paused"] == "magenta"


def test_how_long_handling_takes_is_shown_where_it_is_measured() -> None:
    given: Any = document(actor("charge"))
    given["subscriptions"]["charge"] |= {"p50": 0.0021, "p99": 1.25}
    assert plain(page(view_of(given), Rates(), 80))[-1].split()[-3:] == ["2.1ms", "1.2s", "0"]


def test_a_bus_that_has_not_run_has_a_head_all_the_same() -> None:
    lines = plain(page(view_of(document(tree=None, phase="new")), Rates(), 80))
    assert lines[0].startswith("shop: new")
    assert lines[-1].startswith("NAME")
