"""O99: what reports say to people, at whatever length, whatever stands in them."""

from __future__ import annotations

import tracemalloc
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenarios.cast_endings import Mortal, Troupe, dynamic, obeys
from tests.supervisors.scripted import Record, Theatre, settle
from tocsin_supervisors import (
    ChildCrashed,
    ChildParked,
    ChildSpec,
    ChildStarted,
    ChildStartFailed,
    Exceeded,
    Failure,
    Report,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartScheduled,
    StopFailed,
    Supervisor,
    SupervisorGaveUp,
    describe,
)

KINDS: tuple[type[Any], ...] = get_args(Report)
LIMITS = (-1, 0, 1, 2, 20, 80, 200, 1000, 100_000)


def _lie(*_args: object, **_options: object) -> Any:
    raise SystemExit("a text was trusted with a method of its own")


_METHODS = ("__str__", "__repr__", "__len__", "__bool__", "__format__", "__eq__", "__hash__", "__add__", "__getitem__")
Liar: Any = type("Liar", (str,), dict.fromkeys((*_METHODS, "isprintable", "split", "rstrip", "encode"), _lie))


TEXTS = {
    "plain": "plain",
    "empty": "",
    "forged line": "a\nERROR root: forged\r\n\x0b\x0c\x85\u2028\u2029",
    "terminal": "\x1b[2J\x1b]0;title\x07\x9b31m",
    "bidirectional": "abc\u202edcba\u2066",
    "lone surrogates": "\ud800\udfff",
    "nul": "\0",
    "format strings": "%s %(bus)s {0} {report.__class__}",
    "long": "x" * 100_000,
    "long and hostile": "\x1b\n\ud800" * 10_000,
    "a liar": Liar("\nlie"),
}


def report_with(kind: type[Any], text: str) -> Report:
    """Make a report of *kind* in which every text is *text*."""
    failure = Failure(text, text, text, (text,) * 3, (text,) * 3, truncated=False, fingerprint=text)
    values: dict[str, Any] = {
        "failure": failure,
        "exceeded": Exceeded("consecutive", 11, 10, 5.0),
        "of_supervisor": True,
        "foreign_cancel": True,
        "at": 1e9,
        "delay": 0.1,
        "seconds": 2.5,
        "stack": (text,) * 3,
        "restarts": 7,
        "incarnation": 10**9,
    }
    report: Report = kind(**{field.name: values.get(field.name, text) for field in attrs.fields(kind)})
    return report


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("kind", KINDS)
def test_O99_a_text_is_one_printable_line_within_its_limit_whatever_stands_in_the_report(
    kind: type[Any], text: str
) -> None:
    for limit in LIMITS:
        sentence = describe(report_with(kind, text), limit=limit)
        assert sentence.isprintable()
        assert 1 <= len(sentence) <= max(1, limit)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("kind", KINDS)
def test_O99_on_several_lines_only_the_line_breaks_are_unprintable_and_no_field_can_be_forged(
    kind: type[Any], text: str
) -> None:
    for limit in LIMITS:
        first, *fields = describe(report_with(kind, text), single_line=False, limit=limit).split("\n")
        assert 1 <= len(first) + sum(1 + len(field) for field in fields) <= max(1, limit)
        assert all(line.isprintable() for line in (first, *fields))
        assert not any(field.startswith("ERROR") for field in fields)


TEXT = st.text(st.characters(codec=None), max_size=60)
FAILURES = st.builds(
    Failure,
    type=TEXT,
    message=TEXT,
    traceback=TEXT,
    causes=st.lists(TEXT, max_size=12).map(tuple),
    leaves=st.lists(TEXT, max_size=22).map(tuple),
)


@given(FAILURES, TEXT, TEXT, st.booleans(), st.integers(-5, 3000))
def test_O99_no_failure_whatsoever_makes_it_raise(
    failure: Failure, supervisor: str, child: str, single_line: bool, limit: int
) -> None:
    report = ChildCrashed(supervisor=supervisor, child=child, at=0.0, incarnation=1, failure=failure)
    sentence = describe(report, single_line=single_line, limit=limit)
    assert len(sentence) <= max(1, limit)
    assert all(line.isprintable() for line in sentence.split("\n"))
    assert not single_line or sentence.isprintable()


@pytest.mark.parametrize("single_line", [True, False])
def test_O99_ten_megabytes_of_text_cost_what_the_limit_allows(single_line: bool) -> None:
    huge = "\x1b" * 10_000_000
    failure = Failure(huge, huge, huge, (huge,) * 1000, (huge,) * 1000)
    report = ChildCrashed(supervisor=huge, child=huge, at=0.0, incarnation=1, failure=failure)
    tracemalloc.start()
    try:
        assert len(describe(report, single_line=single_line)) == 1000
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


# ── of real children ──


async def test_O99_a_text_names_path_child_incarnation_what_happened_and_why() -> None:
    record = Record()
    leaf = Mortal(record, "leaf")
    branch = Supervisor("branch", [leaf.spec()])
    async with Supervisor("root", [ChildSpec("branch", branch)], observer=record.observe).running():
        error = OSError("no route\n")
        error.__cause__ = KeyError("host")
        leaf.crash(error)
        await settle()
    crashed = record.only(ChildCrashed)
    assert describe(crashed) == (
        "root/branch/leaf crashed: builtins.OSError: no route\\n; caused by builtins.KeyError: 'host' (incarnation 1)"
    )
    assert describe(record.only(RestartScheduled)) == "root/branch/leaf is started again in 0 s (restart 1)"
    lines = describe(crashed, single_line=False, limit=10_000).splitlines()
    assert lines[1:3] == ["  supervisor: root/branch", "  child: leaf"]
    assert lines[4:8] == [
        "  incarnation: 1",
        "  failure: builtins.OSError",
        "  message: no route\\n",
        "  caused by: builtins.KeyError: 'host'",
    ]
    assert lines[8] == "  traceback:"
    assert lines[-1] == "        raise self._raise"


async def test_O99_a_limit_is_told_with_the_last_failure_and_the_counts() -> None:
    theatre = Theatre("a", spec={"intensity": RestartIntensity(2, 60.0)})

    async def scene() -> None:
        async with theatre.supervisor.running():
            for _ in range(3):
                theatre["a"].crash(OSError("gone"))
                await settle()

    with pytest.raises(RestartIntensityExceeded):
        await scene()
    assert describe(theatre.record.only(SupervisorGaveUp)) == (
        "supervisor root gives up because of a; last failure: builtins.OSError: gone "
        "(counted 3 restarts within 60 s, 2 are allowed; by the intensity of the child)"
    )


async def test_O99_a_parked_child_and_a_start_that_fails_are_told() -> None:
    troupe = Troupe({"a": {"intensity": RestartIntensity(1, 60.0), "on_exhausted": "park"}})
    async with troupe.supervisor.running():
        troupe["a"].refuses = True
        await troupe.end("a", "abnormal")
        assert troupe.seen == {"a": ("parked", 2)}
    assert describe(troupe.record.only(ChildStartFailed)) == (
        "root/a did not start: tests.supervisors.scripted.Crash: a refuses (incarnation 2)"
    )
    assert describe(troupe.record.only(ChildParked)) == (
        "root/a is parked: its restart intensity was exceeded; last failure: tests.supervisors.scripted.Crash: "
        "a refuses (counted 2 restarts within 60 s, 1 are allowed)"
    )


async def test_O99_what_is_raised_in_a_stop_is_told_as_that() -> None:
    async def odd() -> None:
        try:
            await settle(3600.0)
        finally:
            raise OSError("odd")

    record = Record()
    async with Supervisor("root", [ChildSpec("a", odd)], observer=record.observe).running():
        await settle()
    assert describe(record.only(StopFailed)).startswith("root/a raised while stopping: ")
    assert "builtins.OSError: odd" in describe(record.only(StopFailed))


async def test_O99_a_child_of_a_template_is_told_by_its_own_number() -> None:
    """OTP tells only how many children a template has, as they have no names; ours have, and are told one by one."""
    record = Record()
    supervisor = Supervisor("pool", template=dynamic(obeys), observer=record.observe)
    async with supervisor.running():
        for _ in range(2):
            await supervisor.start_from_template()
    up = [describe(each) for each in record.reports if isinstance(each, ChildStarted)]
    assert up == ["pool/worker-1 is up (incarnation 1)", "pool/worker-2 is up (incarnation 1)"]
