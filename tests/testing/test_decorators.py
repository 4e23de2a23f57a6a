"""Tests that run many times, and what they say when they fail."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tocsin.testing import BACKENDS, Backend, Simulation, cancelled_at_every_step, explored, simulated
from tocsin.testing._plans import FIRST, SEEDS, Plan, number_of, plan_of, plans


async def race(simulation: Simulation) -> None:
    """What two tasks do depends on who goes on first: wrong if the second one does."""
    order: list[int] = []

    async def step(number: int) -> None:
        await anyio.lowlevel.checkpoint()
        order.append(number)

    async with anyio.create_task_group() as group:
        group.start_soon(step, 1)
        group.start_soon(step, 2)
    assert order == [1, 2], f"in the run of seed {simulation.seed}"


def fails_again(test: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> str:
    """Have *test* fail, and then once more as its failure says how to repeat it; give what it says."""
    with pytest.raises(AssertionError) as first:
        test()
    (note,) = first.value.__notes__
    replay = note.partition("TOCSIN_REPLAY=")[2].split()[0]
    monkeypatch.setenv("TOCSIN_REPLAY", replay)
    with pytest.raises(AssertionError) as second:
        test()
    assert str(second.value) == str(first.value)
    return replay


# ── many schedules ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_only_some_schedules_break_is_found(backend: Backend) -> None:
    with pytest.raises(AssertionError, match="in the run of seed"):
        simulated(seeds=20, backends=[backend])(race)()


def test_a_test_that_holds_is_run_for_each_backend_seed_and_schedule() -> None:
    runs: list[tuple[str, int]] = []

    @simulated(seeds=3)
    async def test(simulation: Simulation) -> None:
        runs.append((simulation.backend, simulation.seed))

    test()
    assert runs == [(backend, seed) for backend in BACKENDS for seed in range(3) for _ in range(2)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_failure_says_how_to_repeat_it(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_again(simulated(seeds=20, backends=[backend])(race), monkeypatch)


def test_as_many_seeds_are_tried_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SEEDS", "7")
    runs: list[int] = []

    @simulated(seeds=1, backends=["asyncio"], schedules=["order"])
    async def test(simulation: Simulation) -> None:
        runs.append(simulation.seed)

    test()
    assert runs == list(range(7))


def test_fixtures_are_handed_on() -> None:
    given: list[Any] = []

    @simulated(seeds=1, backends=["asyncio"], schedules=["order"])
    async def test(tmp_path: str, simulation: Simulation, *, number: int = 3) -> None:
        given.append((tmp_path, number))

    test("here", number=4)
    assert given == [("here", 4)]


def test_for_the_runner_of_the_tests_it_is_a_plain_test_with_fixtures() -> None:
    async def test(tmp_path: str, simulation: Simulation) -> None:
        """Say what it is for."""

    decorated = simulated()(test)
    assert list(inspect.signature(decorated).parameters) == ["tmp_path"]
    assert not inspect.iscoroutinefunction(decorated)
    assert (decorated.__name__, decorated.__doc__) == ("test", test.__doc__)


def test_a_test_without_the_parameter_is_refused() -> None:
    async def test() -> None:
        """Take nothing."""

    with pytest.raises(TypeError, match="must have a parameter named simulation"):
        simulated()(test)


# ── a cancellation at every step ──────────────────────────────────────────────────────────────────────────────────────


async def leaves_a_mark(simulation: Simulation) -> None:
    """Set a mark that must be gone at the end, and forget that it may be cancelled between two of its lines."""
    marks: set[str] = set()
    simulation.at_end(lambda: _expect_none(marks))
    await anyio.sleep(1)
    marks.add("working")
    await anyio.sleep(1)
    marks.clear()
    await anyio.sleep(1)


def _expect_none(marks: set[str]) -> None:
    assert not marks


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_only_a_cancellation_at_one_step_breaks_is_found(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = fails_again(cancelled_at_every_step(backends=[backend])(leaves_a_mark), monkeypatch)
    assert plan_of(replay).cancelled == "run"


def test_a_run_with_a_cancellation_is_repeated_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_REPLAY", "asyncio:random:0:part@3")
    assert len(steps_of_cancellations(targets=["part"])) == 1


def steps_of_cancellations(**options: Any) -> list[int]:
    found: list[int] = []

    async def test(simulation: Simulation) -> None:
        with simulation.cancellable("part"):
            for _ in range(20):
                try:
                    await anyio.lowlevel.checkpoint()
                except BaseException:
                    found.append(simulation.steps)
                    raise

    cancelled_at_every_step(**options)(test)()
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_block_is_cancelled_at_each_of_its_steps(backend: Backend) -> None:
    assert len(set(steps_of_cancellations(targets=["part"], backends=[backend]))) == 20


def test_of_many_steps_some_are_chosen_all_over_the_run() -> None:
    found = steps_of_cancellations(targets=["part"], backends=["asyncio"], runs=4)
    assert 3 <= len(set(found)) <= 6
    assert max(found) - min(found) > 8


def test_what_a_backend_does_not_have_is_not_cancelled_there() -> None:
    runs: list[str] = []

    @cancelled_at_every_step(targets=["host"])
    async def test(simulation: Simulation) -> None:
        runs.append(simulation.backend)
        simulation.offer_task("host")
        await anyio.sleep(1)

    test()
    assert runs.count("trio") == 1
    assert runs.count("asyncio") > 1


# ── every schedule ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_one_other_choice_breaks_is_found_by_trying_all(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_again(explored(bound=1, backends=[backend])(race), monkeypatch)


@pytest.mark.parametrize("backend", BACKENDS)
def test_with_no_other_choices_there_is_one_schedule(backend: Backend) -> None:
    explored(bound=0, backends=[backend])(race)()


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_schedule_is_tried_twice(backend: Backend) -> None:
    orders: list[tuple[int, ...]] = []

    async def three(simulation: Simulation) -> None:
        order: list[int] = []

        async def step(number: int) -> None:
            order.append(number)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(step, number)
        orders.append(tuple(order))

    explored(bound=3, backends=[backend])(three)()
    assert len(set(orders)) == 6


def test_more_schedules_than_the_limit_are_refused() -> None:
    async def many(simulation: Simulation) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(anyio.lowlevel.checkpoint)

    with pytest.raises(RuntimeError, match=r"more than limit=30 schedules on asyncio: lower bound=4"):
        explored(bound=4, limit=30, backends=["asyncio"])(many)()


# ── plans ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

PLANS = [
    (Plan("asyncio", "random", 17), "asyncio:random:17"),
    (Plan("trio", "priority", 3, cancelled="run", at=41), "trio:priority:3:run@41"),
    (Plan("trio", "choices", choices=(0, 2, 1)), "trio:choices:0.2.1"),
    (Plan("trio", "choices"), "trio:choices:"),
    (Plan("asyncio", "order", cancelled="a:b@c", at=2), "asyncio:order:0:a:b@c@2"),
]


@pytest.mark.parametrize(("plan", "text"), PLANS)
def test_a_plan_is_written_and_read(plan: Plan, text: str) -> None:
    assert str(plan) == text
    assert plan_of(text) == plan


@pytest.mark.parametrize("text", ["", "asyncio", "curio:random:1", "trio:luck:1", "trio:random:x", "trio:random:1:run"])
def test_what_no_failure_has_printed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be what a failed test has printed"):
        plan_of(text)


def test_one_plan_is_replayed_whatever_the_test_asks_for() -> None:
    assert list(plans(BACKENDS, ["random"], 5, {"TOCSIN_REPLAY": "trio:random:9"})) == [Plan("trio", "random", 9)]


@pytest.mark.parametrize(("said", "count"), [({}, 5), ({"TOCSIN_SEEDS": ""}, 5), ({"TOCSIN_SEEDS": "12"}, 12)])
def test_the_environment_says_how_many_seeds_there_are(said: dict[str, str], count: int) -> None:
    assert number_of(SEEDS, 5, said) == count


def test_seeds_go_on_from_the_first_that_the_environment_says() -> None:
    environment = {SEEDS: "2", FIRST: "40"}
    assert [plan.seed for plan in plans(["trio"], ["random"], 5, environment)] == [40, 41]


def test_a_number_of_seeds_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="TOCSIN_SEEDS='many'"):
        number_of(SEEDS, 5, {SEEDS: "many"})
