"""What went wrong in other supervisors, kept from going wrong in this one.

Each section names the project whose hazard it is: most were found by reading or running it. Here are those of limits,
delays and giving up.
"""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.supervisors.scripted import AT_ONCE, Crash, Record, Theatre, settle
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildCrashed,
    ChildSpec,
    Exceeded,
    RestartHistory,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    RestartScheduled,
    Strategy,
    Supervisor,
    SupervisorGaveUp,
)

PLENTY = RestartIntensity(10**6, 1.0, max_consecutive=None)


async def crash_until_it_gives_up(theatre: Theatre, id: str, *, restarts_fail: bool = False) -> None:
    async with theatre.supervisor.running():
        theatre[id].refuses = restarts_fail
        while True:
            theatre[id].crash()
            await settle(0.001)


# ── mode: its limiter has count and period swapped, so 3 in 60 s lets 60 pass at once, and 100 in 1 s only one ──

LIMITS = [(3, 60.0), (100, 1.0), (1, 1000.0)]


@pytest.mark.parametrize(("count", "period"), LIMITS)
async def test_a_burst_is_limited_by_the_count_not_by_the_period(count: int, period: float) -> None:
    intensity = RestartIntensity(count, period, max_consecutive=None)
    theatre = Theatre("a", spec={"intensity": intensity}, intensity=PLENTY)
    with pytest.raises(RestartIntensityExceeded) as caught:
        await crash_until_it_gives_up(theatre, "a")
    assert caught.value.exceeded == Exceeded("window", restarts=count + 1, limit=count, period=period)
    assert theatre["a"].incarnation == count + 1


@given(st.integers(0, 200), st.floats(min_value=1e-3, max_value=1e6))
def test_of_a_burst_as_many_pass_as_the_count_says_whatever_the_period(count: int, period: float) -> None:
    history, intensity = RestartHistory(), RestartIntensity(count, period, max_consecutive=None)
    granted = [history.charge(0.0, intensity) is None for _ in range(count + 3)]
    assert granted == [True] * count + [False] * 3


@pytest.mark.parametrize(("count", "period"), LIMITS)
def test_what_a_burst_used_up_is_not_given_back_before_the_period_is_over(count: int, period: float) -> None:
    intensity = RestartIntensity(count, period, max_consecutive=None)
    for later, is_granted in ((math.nextafter(period, 0), False), (period, True)):
        history = RestartHistory()
        assert all(history.charge(0.0, intensity) is None for _ in range(count))
        assert (history.charge(later, intensity) is None) == is_granted


# ── mode: a supervisor over its limit raises SystemExit, and stops its services in the order of their start ──


async def test_a_supervisor_over_its_limit_raises_an_ordinary_error_after_a_stop_in_reverse_order() -> None:
    theatre = Theatre("a", "b", "c", spec={"intensity": RestartIntensity.never()})
    with pytest.raises(RestartIntensityExceeded) as caught:
        await crash_until_it_gives_up(theatre, "b")
    assert isinstance(caught.value, Exception)
    assert theatre.record.lines[3:] == ["b down", "c down", "a down"]


# ── Pekko: of a limit of one restart, none is granted at the start; jitter is applied after the cap ──


@pytest.mark.parametrize("restarts_fail", [False, True], ids=["it works for a while", "its restarts fail"])
@pytest.mark.parametrize("whose", ["the child's", "the supervisor's"])
@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("count", [0, 1, 2])
async def test_the_limiter_grants_exactly_so_many_restarts(
    count: int, strategy: Strategy, whose: str, restarts_fail: bool
) -> None:
    limit, plenty = RestartIntensity(count, 1000.0), RestartIntensity(1000, 1000.0)
    of_child, of_supervisor = (limit, plenty) if whose == "the child's" else (plenty, limit)
    theatre = Theatre("a", spec={"intensity": of_child}, intensity=of_supervisor, strategy=strategy)
    with pytest.raises(RestartIntensityExceeded) as caught:
        await crash_until_it_gives_up(theatre, "a", restarts_fail=restarts_fail)
    assert (caught.value.limit, caught.value.restarts) == (count, count + 1)
    assert theatre.record.told("a").count("RestartScheduled") == count
    starts = theatre.record.lines.count("a up") + theatre.record.lines.count("a refuses")
    assert starts == 1 + count


SENSIBLE = st.builds(
    Backoff,
    st.floats(min_value=1e-3, max_value=10.0),
    st.floats(min_value=10.0, max_value=1e4),
    st.floats(min_value=1.1, max_value=10.0),
    st.floats(min_value=0.0, max_value=1.0),
)


def without_jitter(backoff: Backoff) -> Backoff:
    return Backoff(backoff.initial, backoff.maximum, backoff.factor, jitter=0.0)


@given(SENSIBLE, st.integers())
def test_delays_never_shrink_before_jitter_and_jitter_is_applied_below_the_cap(backoff: Backoff, seed: int) -> None:
    plain = [without_jitter(backoff).delay(attempt, Random(seed)) for attempt in range(1, 200)]
    assert plain == sorted(plain)
    assert (plain[0], plain[-1]) == (backoff.initial, backoff.maximum)
    random = Random(seed)
    for attempt, full in enumerate(plain, start=1):
        assert full * (1 - backoff.jitter) <= backoff.delay(attempt, random) <= full <= backoff.maximum


@given(SENSIBLE, st.integers(min_value=200, max_value=10**9), st.integers())
def test_at_the_cap_a_delay_lies_between_the_cap_less_its_jitter_and_the_cap(
    backoff: Backoff, attempt: int, seed: int
) -> None:
    cap = backoff.maximum
    assert cap * (1 - backoff.jitter) <= backoff.delay(attempt, Random(seed)) <= cap


# ── Proto.Actor: its exponential backoff is linear, and its noise nanoseconds ──


@given(SENSIBLE)
def test_each_delay_is_the_one_before_times_the_factor_until_the_cap(backoff: Backoff) -> None:
    plain, random = without_jitter(backoff), Random(0)
    delays = [plain.delay(attempt, random) for attempt in range(1, 100)]
    for before, after in pairwise(delays):
        assert after == pytest.approx(min(before * backoff.factor, backoff.maximum))


@pytest.mark.parametrize("attempt", [1, 5, 1000])
def test_jitter_is_a_share_of_the_delay_however_long_that_is(attempt: int) -> None:
    backoff, random = Backoff(jitter=0.25), Random(1)
    full = without_jitter(backoff).delay(attempt, random)
    delays = [backoff.delay(attempt, random) for _ in range(1000)]
    assert full * 0.75 <= min(delays) < full * 0.76
    assert full * 0.99 < max(delays) <= full


async def test_a_child_that_keeps_failing_is_restarted_after_ever_longer_delays_up_to_the_cap() -> None:
    backoff = Backoff(initial=1.0, maximum=10.0, factor=2.0, jitter=0.0)
    theatre = Theatre("a", spec={"backoff": backoff, "intensity": PLENTY})
    async with theatre.supervisor.running():
        theatre["a"].refuses = True
        theatre["a"].crash()
        await settle(40.0)
    delays = [each.delay for each in theatre.record.reports if isinstance(each, RestartScheduled)]
    assert delays == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


async def test_a_start_that_succeeds_does_not_yet_shorten_the_delays() -> None:
    """Some count failures anew at each successful start; here only a life that was long enough ends the row."""

    async def short_lived(context: ChildContext) -> None:
        context.started()
        await anyio.sleep(59.9 if context.incarnation < 4 else 60.0)
        raise Crash

    record = Record()
    backoff = Backoff(initial=1.0, maximum=100.0, factor=2.0, jitter=0.0)
    spec = ChildSpec("a", short_lived, backoff=backoff, intensity=PLENTY, stable_after=60.0)
    async with Supervisor("root", [spec], observer=record.observe).running():
        await settle(300.0)
    delays = [each.delay for each in record.reports if isinstance(each, RestartScheduled)]
    assert delays == [1.0, 2.0, 4.0, 1.0]


# ── suture: a service that can never work is tried for ever, and nobody above learns of it ──

# backoff → the rule by which a child that can never work is given up, and after how many restarts
GIVEN_UP: dict[str, tuple[Backoff, str, int]] = {
    "the default backoff": (Backoff(), "window", 3),
    "one that keeps clear of the window": (Backoff(initial=2.0, maximum=60.0), "consecutive", 10),
    "a constant one": (Backoff(initial=30.0, maximum=30.0), "consecutive", 10),
    "none": (AT_ONCE, "window", 3),
}


@pytest.mark.parametrize("is_up_for_a_while", [False, True])
@pytest.mark.parametrize(("backoff", "rule", "restarts"), GIVEN_UP.values(), ids=GIVEN_UP)
async def test_a_child_that_can_never_work_is_given_up_in_the_end_even_with_a_backoff(
    backoff: Backoff, rule: str, restarts: int, is_up_for_a_while: bool
) -> None:
    lives = 0

    async def never_works(context: ChildContext) -> None:
        nonlocal lives
        lives += 1
        if lives == 1 or is_up_for_a_while:
            context.started()
            await anyio.sleep(0.001)
        raise Crash("as ever")

    with anyio.fail_after(3600.0), pytest.raises(RestartIntensityExceeded) as caught:
        await Supervisor("root", [ChildSpec("a", never_works, backoff=backoff)]).run()
    assert (caught.value.rule, caught.value.limit, lives) == (rule, restarts, restarts + 1)
    assert isinstance(caught.value.__cause__, Crash)


# ── kameo: one crash per 4 s exhausts 5 in 5 s some time, as the count begins anew only after 5 s without any; and a
# child over its limit stays dead while nobody above is told ──

DRIPPING: dict[str, dict[str, Any]] = {
    "no limit to a row": {"intensity": RestartIntensity(5, 5.0, max_consecutive=None)},
    "four seconds are a stable life": {"intensity": RestartIntensity(5, 5.0), "stable_after": 4.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("options", DRIPPING.values(), ids=DRIPPING)
async def test_one_crash_every_four_seconds_for_ever_is_not_given_up_by_five_in_five_seconds(
    options: dict[str, Any],
) -> None:
    async def dripping() -> None:
        await anyio.sleep(4.0)
        raise Crash

    async with Supervisor("root", [ChildSpec("a", dripping, backoff=AT_ONCE, **options)]).running() as supervisor:
        await anyio.sleep(4000.5)
        info = supervisor.which_child("a")
        assert (info.state, info.incarnation, info.restarts) == ("running", 1001, 1000)


async def test_a_child_over_its_limit_is_not_just_left_dead() -> None:
    theatre = Theatre("a", "b", spec={"intensity": RestartIntensity.never()})
    branch = theatre.supervisor
    record = Record()
    root = Supervisor("root", [ChildSpec("branch", branch, backoff=AT_ONCE)], observer=record.observe)
    async with root.running():
        theatre["a"].crash()
        await settle()
        crashed = record.only(ChildCrashed)
        assert (crashed.child, crashed.failure.type) == (
            "branch",
            "tocsin_supervisors.exceptions.RestartIntensityExceeded",
        )
        assert theatre.record.only(SupervisorGaveUp).child == "a"
        assert [theatre.incarnation(id) for id in "ab"] == [2, 2]
        assert [theatre.state(id) for id in "ab"] == ["running", "running"]


# ── OTP: a supervisor over its limit exits with the reason `shutdown`, so a transient one is not restarted ──


@pytest.mark.parametrize("policy", RestartPolicy)
async def test_a_transient_supervisor_that_gave_up_is_restarted(policy: RestartPolicy) -> None:
    theatre = Theatre("leaf", spec={"intensity": RestartIntensity.never()})
    spec = ChildSpec("branch", theatre.supervisor, restart=policy, backoff=AT_ONCE)
    async with Supervisor("root", [spec]).running() as root:
        theatre["leaf"].crash()
        await settle()
        if policy is RestartPolicy.TEMPORARY:
            assert root.which_children() == ()
        else:
            info = root.which_child("branch")
            assert (info.state, info.incarnation, info.restarts) == ("running", 2, 1)
            assert (theatre.state("leaf"), theatre["leaf"].incarnation) == ("running", 2)


async def test_a_transient_supervisor_that_keeps_giving_up_gives_up_the_one_above() -> None:
    theatre = Theatre("leaf", spec={"intensity": RestartIntensity.never()})
    limit = RestartIntensity(1, 1000.0)
    spec = ChildSpec("branch", theatre.supervisor, restart=RestartPolicy.TRANSIENT, backoff=AT_ONCE, intensity=limit)

    async def scene() -> None:
        async with Supervisor("root", [spec]).running():
            while True:
                theatre["leaf"].crash()
                await settle()

    with pytest.raises(RestartIntensityExceeded) as caught:
        await scene()
    assert (caught.value.supervisor, caught.value.child) == ("root", "branch")
    below = caught.value.__cause__
    assert isinstance(below, RestartIntensityExceeded)
    assert (below.supervisor, below.child) == ("root/branch", "leaf")
