"""The lives of children that were started while the supervisor runs: who is restarted, and how often."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.scenarios.cast_dynamic import Agency, Way, ways
from tests.supervisors.scripted import AT_ONCE, Crash, Puppet, settle
from tocsin.testing import cancel_as_a_stranger
from tocsin_supervisors import (
    Backoff,
    ChildNotFound,
    ChildRef,
    ChildSpec,
    Exceeded,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    SupervisorGaveUp,
)

PERMANENT, TRANSIENT, TEMPORARY = RestartPolicy
TWICE = RestartIntensity(2, 1000.0)


# ── the three policies ──


async def _end(agency: Agency, puppet: Puppet, child: str | ChildRef, how: str) -> None:
    if how == "returns":
        puppet.finish()
    elif how == "crashes":
        puppet.crash()
    else:
        await agency.supervisor.terminate_child(child)
    await settle()


RESTARTED, FORGOTTEN = "restarted", "forgotten"
# (policy, how it ends) → what becomes of a child from a template; a named one that is not temporary keeps its place
POLICIES: dict[tuple[RestartPolicy, str], str] = {
    (PERMANENT, "returns"): RESTARTED,
    (PERMANENT, "crashes"): RESTARTED,
    (PERMANENT, "is terminated"): FORGOTTEN,
    (TRANSIENT, "returns"): FORGOTTEN,
    (TRANSIENT, "crashes"): RESTARTED,
    (TRANSIENT, "is terminated"): FORGOTTEN,
    (TEMPORARY, "returns"): FORGOTTEN,
    (TEMPORARY, "crashes"): FORGOTTEN,
    (TEMPORARY, "is terminated"): FORGOTTEN,
}


@pytest.mark.parametrize(("policy", "how"), POLICIES, ids=str)
@ways
async def test_E3_the_policy_decides_what_becomes_of_a_dynamic_child(way: Way, policy: RestartPolicy, how: str) -> None:
    agency = Agency(way)
    async with agency.supervisor.running() as supervisor:
        await agency.engage("sibling")
        puppet, at = await agency.engage("a", restart=policy)
        await _end(agency, puppet, at, how)
        if POLICIES[policy, how] == RESTARTED:
            info = agency.info(at)
            assert (info.state, info.incarnation, info.restarts) == ("running", 2, 1)
            assert supervisor.count_children() == agency.counts(children=2, active=2)
        elif way == "named" and policy is not TEMPORARY:
            assert agency.info(at).state == ("finished" if how == "returns" else "stopped")
            assert supervisor.count_children() == agency.counts(children=2, active=1)
            assert await supervisor.restart_child(at) is puppet
        else:
            with pytest.raises(ChildNotFound):
                agency.info(at)
            assert supervisor.count_children() == agency.counts(children=1, active=1)
        assert supervisor.which_children()[0].incarnation == 1


@pytest.mark.parametrize("policy", RestartPolicy)
@ways
async def test_E3_a_dynamic_child_that_a_stranger_cancels_has_crashed(way: Way, policy: RestartPolicy) -> None:
    agency = Agency(way)
    lives = 0

    async def victim() -> None:
        nonlocal lives
        lives += 1
        if lives == 1:
            await cancel_as_a_stranger()
        await anyio.sleep_forever()

    async with agency.supervisor.running() as supervisor:
        await agency.start(ChildSpec("victim", victim, backoff=AT_ONCE, restart=policy))
        await settle()
        left = 0 if policy is TEMPORARY else 1
        assert lives == 1 + left
        assert supervisor.count_children() == agency.counts(children=left, active=left)


# ── how often ──


@ways
async def test_E7_a_child_whose_restart_fails_once_and_then_works_recovers(way: Way) -> None:
    agency = Agency(way, intensity=TWICE)
    async with agency.supervisor.running() as supervisor:
        puppet, at = await agency.engage("a", intensity=TWICE, backoff=Backoff(initial=1.0, jitter=0.0))
        puppet.refuses = True
        puppet.crash()
        await settle(2.0)
        assert agency.record.lines.count("a refuses") == 1
        puppet.refuses = False
        await settle(2.0)
        info = agency.info(at)
        assert (info.state, info.incarnation, info.restarts) == ("running", 3, 2)
        assert supervisor.state == "running"


async def _crash_until_it_gives_up(agency: Agency, *, restarts_fail: bool, **options: Any) -> None:
    async with agency.supervisor.running():
        await agency.engage("sibling")
        puppet, _ = await agency.engage("a", **options)
        puppet.refuses = restarts_fail
        while True:
            puppet.crash()
            await settle()


# whose limit is exceeded → the options of the supervisor, those of the child
LIMITS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the supervisor's": ({"intensity": TWICE}, {}),
    "the child's": ({}, {"intensity": TWICE}),
}


@pytest.mark.parametrize("restarts_fail", [False, True], ids=["it works for a while", "its restarts fail"])
@pytest.mark.parametrize("whose", LIMITS)
@ways
async def test_E8_one_failure_more_than_allowed_ends_the_supervisor(way: Way, whose: str, restarts_fail: bool) -> None:
    """With an error, where Elixir's ends with the reason `shutdown`: a supervisor above must see that it failed."""
    of_supervisor, of_child = LIMITS[whose]
    agency = Agency(way, **of_supervisor)
    with pytest.raises(RestartIntensityExceeded) as caught:
        await _crash_until_it_gives_up(agency, restarts_fail=restarts_fail, **of_child)
    error = caught.value
    assert (error.supervisor, error.child) == ("root", "a" if way == "named" else "a-2")
    assert error.exceeded == Exceeded("window", restarts=3, limit=2, period=1000.0)
    assert error.of_supervisor == (whose == "the supervisor's")
    assert isinstance(error.__cause__, Crash)
    assert agency.record.only(SupervisorGaveUp).exceeded == error.exceeded
    last = ["a refuses", "a refuses"] if restarts_fail else ["a up", "a down", "a up", "a down"]
    assert agency.record.lines == ["sibling up", "a up", "a down", *last, "sibling down"]
    assert agency.supervisor.state == "stopped"


@ways
async def test_E8_as_many_failures_as_allowed_do_not_end_it(way: Way) -> None:
    agency = Agency(way, intensity=TWICE)
    async with agency.supervisor.running() as supervisor:
        puppet, at = await agency.engage("a", intensity=TWICE)
        for _ in range(2):
            puppet.crash()
            await settle()
        assert (agency.info(at).state, agency.info(at).incarnation) == ("running", 3)
        assert supervisor.state == "running"
