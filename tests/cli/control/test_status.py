"""`tocsin status`: from the statistics to a document, and from that to lines."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from tests.cli.control.documents import actor, document
from tocsin import BusStatistics, EventBus, Ledger, SubscriptionStatistics, TreeNode
from tocsin.cli._control._errors import BrokenConversation
from tocsin.cli._control._protocol import Json
from tocsin.cli._control._status import status_document
from tocsin.cli._control._status_text import status_lines
from tocsin.cli._control._view import view_of


def lines(given: Json) -> list[str]:
    return list(status_lines(view_of(given)))


def names(kind: type[Any]) -> set[str]:
    return {field.name for field in attrs.fields(kind)}


def test_the_document_has_every_field_of_the_statistics_and_is_json() -> None:
    given: Any = document(actor("charge"))
    assert given.keys() == names(BusStatistics) | {"process", "clock"}
    assert given["ledger"].keys() == names(Ledger)
    assert given["subscriptions"]["charge"].keys() == names(SubscriptionStatistics)
    assert given["tree"].keys() == names(TreeNode)
    assert json.loads(json.dumps(given)) == given


async def test_a_failure_in_the_tree_is_told_in_a_line_without_passwords(make_bus: Any) -> None:
    bus: EventBus = make_bus("shop")

    @bus.subscriber(int)
    async def fail(number: int) -> None:
        raise ConnectionError("postgres://shop:hunter2@db")

    async with bus.running():
        await (await bus.publish(1)).settled()
        given = json.dumps(status_document(bus.statistics(), process=1, clock=0.0))
    assert "builtins.ConnectionError: postgres://shop:***@db" in given
    assert "hunter2" not in given


def test_a_bus_that_has_not_run_has_no_tree() -> None:
    given = status_document(EventBus("shop").statistics(), process=7, clock=0.0)
    assert lines(given)[0] == "shop: new, process 7"
    assert lines(given)[-1] == "it has no actors yet: it has not begun to run"


def test_the_lines_have_the_tree_with_its_numbers_in_columns() -> None:
    busy = actor(
        "charge", depth=200, capacity=200, oldest_age=3.06, in_flight=1, waiting_retry=2, blocked_publishers=3,
        handled=520, dead_lettered=4, dropped=5, restarts=6,
    )  # fmt: skip
    found = lines(document(busy, actor("mail", capacity=1000, state="parked")))
    assert found[found.index("") + 1 :] == [
        "NAME        STATE    RESTARTS     MAILBOX  OLDEST  IN HAND  RETRY  HANDLED  DEAD  DROPPED",
        "shop        running         0",
        "  billing   running         0",
        "    charge  running         6  200/200 +3    3.1s        1      2      520     4        5",
        "    mail    parked          0      0/1000      0s        0      0        0     0        0",
    ]


def test_the_head_has_the_totals() -> None:
    ledger = Ledger(matched=15, handled=5, dead_lettered=4, dropped=3, rejected=2, returned=1)
    found = lines(document(published=9, undeliverable=8, ledger=ledger, dead_letters=4))
    assert found[:5] == [
        "shop: running, process 7",
        "9 published, 8 of them undeliverable",
        "deliveries: 5 handled, 4 dead-lettered, 3 dropped, 2 rejected, 1 returned",
        "now: 0 queued, 0 in hand, 0 waiting for a retry",
        "dead letters: 4",
    ]


def test_what_should_not_be_is_told_if_it_is() -> None:
    found = lines(document(dead_letters_evicted=2, reports_lost=3))
    assert found[4] == "dead letters: 0; 2 let go of, as the office was full; 3 reports lost"


def test_a_store_that_is_behind_has_a_line_of_its_own() -> None:
    found = lines(document(store_up=False, store_backlog=7, store_errors=2))
    assert found[4:6] == [
        "dead letters: 0; 2 errors of the store",
        "THE STORE IS BEHIND: 7 changes wait to be written; the log says why",
    ]


@pytest.mark.parametrize("store_up", [True, None])
def test_of_a_store_that_keeps_up_and_of_none_nothing_is_said(store_up: bool | None) -> None:
    assert not any("STORE" in line for line in lines(document(store_up=store_up)))


def test_the_last_error_stands_below_its_actor_escaped() -> None:
    found = lines(document(actor("charge", last_error="ValueError: card\x1b[31m\nrefused")))
    assert found[-1] == "      last error: ValueError: card\\x1b[31m\\nrefused"


def test_a_name_cannot_reach_the_terminal_either() -> None:
    found = lines(document(actor("a\x1b[2Jb"), name="c\x1b]0;d"))
    assert "\x1b" not in "\n".join(found)


def test_an_actor_that_is_paused_is_shown_so() -> None:
    given: Any = document(actor("charge"))
    given["subscriptions"]["charge"]["is_paused"] = True
    assert "charge  running, paused" in "\n".join(lines(given))


def test_an_actor_of_which_the_statistics_know_nothing_is_in_the_tree_all_the_same() -> None:
    given: Any = document(actor("charge"))
    given["subscriptions"].clear()
    assert lines(given)[-1].split() == ["charge", "running", "0"]


@pytest.mark.parametrize("given", [None, [], {}, {"name": "shop"}, {**document(), "tree": 7}])
def test_what_is_no_document_is_a_broken_conversation(given: Json) -> None:
    with pytest.raises(BrokenConversation):
        view_of(given)
