"""How answers about health read."""

from __future__ import annotations

import json

from attrs import evolve

from tocsin._lifecycle import Phase
from tocsin.web._health import ActorDown, Health, MailboxNearlyFull, WrongPhase
from tocsin.web._health_text import SHOWN, as_json, as_text

WELL = Health("shop", "running")
ILL = Health("shop", "running", (ActorDown("bill", "parked"), MailboxNearlyFull("mail", 950, 1000)))
MANY = Health("shop", "running", tuple(ActorDown(f"a{number}", "parked") for number in range(SHOWN + 5)))
HOSTILE = Health("sh\nop", "running", (ActorDown("x\x1b]8;;http://e\x07\u202e" + "y" * 10_000, "parked"),))


def test_a_bus_that_is_well_is_ok() -> None:
    assert as_text(WELL) == "ok\n"
    assert json.loads(as_json(WELL)) == {
        "status": "ok",
        "bus": "shop",
        "phase": "running",
        "failing": [],
        "left_out": 0,
        "paused": [],
    }


def test_the_text_has_a_line_for_each_complaint() -> None:
    assert as_text(ILL) == "failing\nactor bill is parked\nthe mailbox of mail holds 950 of 1000\n"


def test_the_json_has_the_facts_of_each_complaint_and_the_sentence() -> None:
    assert json.loads(as_json(ILL))["failing"] == [
        {"check": "actor", "subscription": "bill", "state": "parked", "reason": "actor bill is parked"},
        {
            "check": "mailbox",
            "subscription": "mail",
            "held": 950,
            "capacity": 1000,
            "reason": "the mailbox of mail holds 950 of 1000",
        },
    ]
    of_phase = json.loads(as_json(Health("shop", "stopped", (WrongPhase(Phase.STOPPED),))))
    assert of_phase["status"] == "failing"
    assert of_phase["failing"] == [{"check": "phase", "reason": "the bus has stopped"}]


def test_who_is_paused_is_named_whether_or_not_all_is_well() -> None:
    paused = Health("shop", "running", (), ("bill", "ma\nil"))
    assert as_text(paused) == "ok\npaused: bill, ma\\nil\n"
    assert json.loads(as_json(paused))["paused"] == ["bill", "ma\\nil"]
    assert as_text(evolve(ILL, paused=("bill",))).endswith("holds 950 of 1000\npaused: bill\n")


def test_of_very_many_that_are_paused_the_first_are_named() -> None:
    paused = Health("shop", "running", (), tuple(f"a{number}" for number in range(SHOWN + 5)))
    assert as_text(paused).endswith(", a19 and 5 more\n")
    assert len(json.loads(as_json(paused))["paused"]) == SHOWN


def test_of_very_many_complaints_the_first_are_shown_and_the_others_counted() -> None:
    lines = as_text(MANY).splitlines()
    assert len(lines) == 1 + SHOWN + 1
    assert lines[-1] == "and 5 more"
    content = json.loads(as_json(MANY))
    assert (len(content["failing"]), content["left_out"]) == (SHOWN, 5)


def test_a_name_can_neither_begin_a_line_nor_move_a_cursor_nor_fill_a_log() -> None:
    text, content = as_text(HOSTILE), as_json(HOSTILE)
    assert text.count("\n") == 2
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert content.removesuffix("\n").isprintable()
    assert content.isascii()
    values = json.loads(content)
    assert values["bus"] == "sh\\nop"
    assert all(char.isprintable() for char in values["failing"][0]["subscription"])
    assert len(text) < 300
    assert len(content) < 700
