"""Reports as sentences: one for each kind, exact."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from tocsin_supervisors import (
    ChildCrashed,
    ChildDeclined,
    ChildFinished,
    ChildHeld,
    ChildParked,
    ChildRemoved,
    ChildRenewed,
    ChildStarted,
    ChildStartFailed,
    ChildStopped,
    ChildSuspended,
    Exceeded,
    Failure,
    ForeignCancellation,
    LoopStalled,
    RenewChild,
    Report,
    RestartScheduled,
    StopFailed,
    StopTimedOut,
    SupervisorFinished,
    SupervisorGaveUp,
    SupervisorStopping,
    SuspendChild,
    describe,
)
from tocsin_supervisors._describe import headline

WHERE: dict[str, Any] = {"supervisor": "root", "child": "db", "at": 12.5}
LIFE: dict[str, Any] = {**WHERE, "incarnation": 3}
GONE = Failure("builtins.OSError", "gone", causes=("builtins.KeyError: 'x'",))
TOO_MANY = Exceeded("window", 4, 3, 5.0)


def failure(error: Exception) -> Failure:
    return Failure.of(error)


SENTENCES: list[tuple[Report, str]] = [
    (ChildStarted(**LIFE), "root/db is up (incarnation 3)"),
    (
        ChildStartFailed(**LIFE, failure=GONE),
        "root/db did not start: builtins.OSError: gone; caused by builtins.KeyError: 'x' (incarnation 3)",
    ),
    (
        ChildCrashed(**LIFE, failure=GONE),
        "root/db crashed: builtins.OSError: gone; caused by builtins.KeyError: 'x' (incarnation 3)",
    ),
    (ChildCrashed(**LIFE, failure=failure(OSError())), "root/db crashed: builtins.OSError (incarnation 3)"),
    (
        ChildCrashed(**LIFE, failure=failure(ForeignCancellation("by nobody known")), foreign_cancel=True),
        "root/db crashed, cancelled by a stranger: by nobody known (incarnation 3)",
    ),
    (
        ChildCrashed(**LIFE, failure=failure(ExceptionGroup("two", [ValueError("1"), KeyError("2")]))),
        "root/db crashed: builtins.ExceptionGroup: two (2 sub-exceptions); in it builtins.ValueError: 1; "
        "in it builtins.KeyError: '2' (incarnation 3)",
    ),
    (
        ChildSuspended(**LIFE, failure=failure(SuspendChild("no database")), cause="builtins.OSError"),
        "root/db is suspended: no database (incarnation 3; cause builtins.OSError)",
    ),
    (
        ChildSuspended(**LIFE, failure=failure(SuspendChild())),
        "root/db is suspended: tocsin_supervisors._exits.SuspendChild (incarnation 3)",
    ),
    (
        ChildRenewed(**LIFE, failure=failure(RenewChild("used up"))),
        "root/db asked to be replaced: used up (incarnation 3)",
    ),
    (ChildFinished(**LIFE), "root/db returned (incarnation 3)"),
    (ChildDeclined(**LIFE), "root/db declined its start (incarnation 3)"),
    (ChildStopped(**LIFE), "root/db was stopped (incarnation 3)"),
    (RestartScheduled(**WHERE, delay=0.25, restarts=2), "root/db is started again in 0.25 s (restart 2)"),
    (
        ChildHeld(**WHERE, canary="web", cause="builtins.OSError"),
        "root/db is held until web has proved itself (cause builtins.OSError)",
    ),
    (
        ChildParked(**WHERE, exceeded=TOO_MANY, failure=GONE),
        "root/db is parked: its restart intensity was exceeded; last failure: builtins.OSError: gone; "
        "caused by builtins.KeyError: 'x' (counted 4 restarts within 5 s, 3 are allowed)",
    ),
    (
        ChildParked(**WHERE, exceeded=TOO_MANY, failure=None),
        "root/db is parked: its restart intensity was exceeded (counted 4 restarts within 5 s, 3 are allowed)",
    ),
    (ChildRemoved(**WHERE), "root/db is forgotten"),
    (
        SupervisorGaveUp(**WHERE, exceeded=TOO_MANY, of_supervisor=True, failure=GONE),
        "supervisor root gives up because of db; last failure: builtins.OSError: gone; caused by builtins.KeyError: "
        "'x' (counted 4 restarts within 5 s, 3 are allowed; by the intensity of the supervisor)",
    ),
    (
        SupervisorGaveUp(**WHERE, exceeded=TOO_MANY, of_supervisor=False, failure=None),
        "supervisor root gives up because of db (counted 4 restarts within 5 s, 3 are allowed; by the intensity of the "
        "child)",
    ),
    (
        SupervisorFinished(**WHERE),
        "supervisor root ends by itself: its significant children have ended, db last",
    ),
    (SupervisorStopping(supervisor="root", at=12.5), "supervisor root stops its children"),
    (
        LoopStalled(supervisor="root", at=12.5, child="root/db", seconds=2.345, line="app.py:7 query", stack=()),
        "supervisor root saw the event loop stand still for 2.35 s: root/db blocked it at app.py:7 query",
    ),
    (
        LoopStalled(supervisor="root", at=12.5, child=None, seconds=0.5, line="app.py:7 query", stack=()),
        "supervisor root saw the event loop stand still for 0.50 s: code of no child blocked it at app.py:7 query",
    ),
    (
        StopTimedOut(**LIFE, line="app.py:7 query"),
        "root/db does not stop; it is stuck at app.py:7 query (incarnation 3)",
    ),
    (
        StopFailed(**LIFE, failure=failure(OSError("gone"))),
        "root/db raised while stopping: builtins.OSError: gone (incarnation 3)",
    ),
]


@pytest.mark.parametrize(("report", "sentence"), SENTENCES, ids=lambda each: type(each).__name__)
def test_each_report_is_a_sentence(report: Report, sentence: str) -> None:
    assert describe(report) == sentence


def test_there_is_a_sentence_for_each_kind_of_report() -> None:
    assert {type(report) for report, _ in SENTENCES} == set(get_args(Report))


# ── several lines ──


def test_on_several_lines_each_fact_has_a_field_and_the_traceback_comes_last() -> None:
    traceback = '  File "app.py", line 7, in query\n    raise OSError\n'
    crash = ChildCrashed(**LIFE, failure=Failure("builtins.OSError", "gone", traceback, ("a: 1", "b: 2"), ("c: 3",)))
    assert describe(crash, single_line=False).splitlines() == [
        "root/db crashed",
        "  supervisor: root",
        "  child: db",
        "  at: 12.500 s",
        "  incarnation: 3",
        "  failure: builtins.OSError",
        "  message: gone",
        "  caused by: a: 1",
        "  caused by: b: 2",
        "  in it: c: 3",
        "  traceback:",
        '      File "app.py", line 7, in query',
        "        raise OSError",
    ]


def test_on_several_lines_what_does_not_apply_is_left_out() -> None:
    stopping = SupervisorStopping(supervisor="root", at=0.5)
    assert describe(stopping, single_line=False).splitlines() == [
        "supervisor root stops its children",
        "  supervisor: root",
        "  at: 0.500 s",
    ]


def test_on_several_lines_limits_are_told() -> None:
    gave_up = SupervisorGaveUp(**WHERE, exceeded=TOO_MANY, of_supervisor=True, failure=None)
    assert describe(gave_up, single_line=False).splitlines()[-2:] == [
        "  counted: 4 restarts within 5 s, 3 are allowed",
        "  by the intensity of: the supervisor",
    ]


# ── what is left out ──

LONG = Failure("builtins.OSError", "m" * 5000, "".join(f"frame {n}\n" for n in range(9999)), ("c" * 500,) * 50)


def test_a_long_message_leaves_room_for_the_causes_and_the_numbers() -> None:
    sentence = describe(ChildCrashed(**LIFE, failure=LONG))
    assert sentence.startswith("root/db crashed: builtins.OSError: mmm")
    assert "m…; caused by ccc" in sentence
    assert sentence.endswith("… (incarnation 3)")
    assert len(sentence) == 1000


def test_of_a_long_traceback_the_last_lines_are_told() -> None:
    sentence = describe(ChildCrashed(**LIFE, failure=LONG), single_line=False, limit=8000).splitlines()
    head = sentence.index("  traceback:")
    assert sentence[head + 1] == "    …"
    assert sentence[-2:] == ["    frame 9997", "    frame 9998"]
    assert len(sentence) - head > 100


def test_a_traceback_for_which_there_is_no_room_is_left_out() -> None:
    sentence = describe(ChildCrashed(**LIFE, failure=LONG), single_line=False)
    assert "traceback" not in sentence
    assert len(sentence) == 1000


def test_a_failure_without_a_traceback_has_no_field_for_it() -> None:
    assert "traceback" not in describe(ChildCrashed(**LIFE, failure=GONE), single_line=False)


# ── headlines ──


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (SENTENCES[2][0], "db crashed: builtins.OSError: gone; caused by builtins.KeyError: 'x'"),
        (ChildParked(**WHERE, exceeded=TOO_MANY, failure=GONE), "db is parked: its restart intensity was exceeded"),
        (ChildStarted(**LIFE), "db is up"),
        (SupervisorStopping(supervisor="a/b", at=1.0), "supervisor a/b stops its children"),
    ],
)
def test_a_headline_is_without_the_path_and_the_numbers(report: Report, line: str) -> None:
    assert headline(report) == line
