"""Runs in which everything is decided: schedules, time, deadlocks, cancellations."""

from __future__ import annotations

import asyncio
import random
import threading
import time

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from tocsin.testing import (
    BACKENDS,
    Backend,
    ByPriority,
    Deadlock,
    InOrder,
    Recorded,
    Simulation,
    StepLimit,
    Trial,
    simulate,
)

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


async def three_workers(_simulation: Simulation) -> list[tuple[int, int]]:
    """Three tasks that give up their turn again and again, and say in which order they got it."""
    turns: list[tuple[int, int]] = []

    async def work(number: int) -> None:
        for turn in range(5):
            turns.append((number, turn))
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(work, number)
    return turns


def test_the_same_seed_makes_the_same_run(backend: Backend) -> None:
    assert simulate(three_workers, backend=backend, seed=7) == simulate(three_workers, backend=backend, seed=7)


def test_other_seeds_make_other_runs(backend: Backend) -> None:
    trials = [simulate(three_workers, backend=backend, seed=seed) for seed in range(50)]
    assert len({trial.fingerprint for trial in trials}) > 45
    assert len({tuple(trial.value) for trial in trials}) > 45


def test_a_run_is_repeated_from_its_choices(backend: Backend) -> None:
    trial = simulate(three_workers, backend=backend, seed=7)
    assert simulate(three_workers, backend=backend, schedule=Recorded(trial.choices)).value == trial.value


def test_in_order_the_first_task_goes_on_as_long_as_it_can(backend: Backend) -> None:
    trial = simulate(three_workers, backend=backend, schedule=InOrder())
    assert [number for number, _ in trial.value] == sorted(number for number, _ in trial.value)


def test_by_priority_one_task_may_end_before_others_begin(backend: Backend) -> None:
    turns = simulate(three_workers, backend=backend, schedule=ByPriority(3, depth=1)).value
    assert len({number for number, _ in turns[:5]}) == 1


def test_a_day_passes_in_a_moment(backend: Backend) -> None:
    async def main(simulation: Simulation) -> float:
        await anyio.sleep(86_400)
        return simulation.now()

    began = time.monotonic()
    trial = simulate(main, backend=backend)
    assert (trial.value, trial.seconds) == (86_400, 86_400)
    assert time.monotonic() - began < 10


def test_time_limits_end_at_their_very_moment(backend: Backend) -> None:
    async def main(simulation: Simulation) -> list[float]:
        ends: list[float] = []
        for limit in (0.1, 0.7, 1e-7):
            with anyio.move_on_after(limit):
                await anyio.sleep_forever()
            ends.append(simulation.now())
        return ends

    assert simulate(main, backend=backend).value == pytest.approx([0.1, 0.8, 0.8000001], abs=1e-9)


def test_whoever_waits_for_all_others_to_wait_is_woken_before_time_passes(backend: Backend) -> None:
    async def main(simulation: Simulation) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 100)
            await anyio.wait_all_tasks_blocked()
            woken.append(simulation.now())

    woken: list[float] = []
    simulate(main, backend=backend)
    assert woken[0] < 1


async def waits_in_vain() -> None:
    await anyio.Event().wait()


def test_a_deadlock_is_told_with_where_every_task_waits(backend: Backend) -> None:
    async def main(_simulation: Simulation) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(waits_in_vain, name="in vain")

    with pytest.raises(Deadlock, match=r"in vain: .*test_simulation\.py:\d+ waits_in_vain") as caught:
        simulate(main, backend=backend)
    assert len(caught.value.waiting) == 2


def test_a_deadlock_behind_a_shield_is_told_too(backend: Backend) -> None:
    async def main(_simulation: Simulation) -> None:
        with anyio.CancelScope(shield=True):
            await waits_in_vain()

    with pytest.raises(Deadlock, match="waits_in_vain"):
        simulate(main, backend=backend)


def test_a_run_without_end_is_ended_after_its_steps(backend: Backend) -> None:
    async def main(_simulation: Simulation) -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(StepLimit, match="no end after 500 steps") as caught:
        simulate(main, backend=backend, max_steps=500)
    assert caught.value.limit == 500


def test_what_is_raised_comes_out(backend: Backend) -> None:
    async def main(_simulation: Simulation) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        simulate(main, backend=backend)


def test_what_a_look_between_steps_raises_ends_the_run_and_comes_out(backend: Backend) -> None:
    async def main(simulation: Simulation) -> None:
        def look(_step: int) -> None:
            if simulation.now() >= 3:
                raise LookupError("looked")

        simulation.on_step(look)
        for _ in range(1_000):
            await anyio.sleep(1)

    with pytest.raises(LookupError, match="looked"):
        simulate(main, backend=backend)


def test_a_look_between_steps_is_told_their_numbers(backend: Backend) -> None:
    seen: list[int] = []

    async def main(simulation: Simulation) -> int:
        simulation.on_step(seen.append)
        await anyio.sleep(1)
        return simulation.steps

    last = simulate(main, backend=backend).value
    assert seen[: seen.index(last) + 1] == list(range(seen[0], last + 1))


def test_checks_at_the_end_come_out(backend: Backend) -> None:
    async def main(simulation: Simulation) -> None:
        simulation.at_end(lambda: pytest.fail("checked"))

    with pytest.raises(pytest.fail.Exception, match="checked"):
        simulate(main, backend=backend)


# ── cancellations ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_whole_run_can_be_cancelled(backend: Backend) -> None:
    async def main(simulation: Simulation) -> None:
        assert simulation.cancel()
        await anyio.sleep(1)

    trial = simulate(main, backend=backend)
    assert (trial.cancelled, trial.value, trial.seconds) == (True, None, 0)


def test_a_block_can_be_cancelled_by_its_name(backend: Backend) -> None:
    async def main(simulation: Simulation) -> bool:
        with simulation.cancellable("part") as scope:
            simulation.cancel("part")
            await anyio.sleep(1)
        return scope.cancelled_caught

    trial = simulate(main, backend=backend)
    assert (trial.cancelled, trial.value) == (False, True)
    assert trial.targets == {"run", "part"}


def test_what_nobody_has_offered_is_not_cancelled(backend: Backend) -> None:
    async def main(simulation: Simulation) -> bool:
        return simulation.cancel("something")

    assert simulate(main, backend=backend).value is False


def test_a_task_is_cancelled_natively_where_there_is_such_a_thing(backend: Backend) -> None:
    async def main(simulation: Simulation) -> str:
        simulation.offer_task("host")
        offered = simulation.cancel("host")
        await anyio.sleep(1)
        return f"not cancelled, {offered}"

    trial = simulate(main, backend=backend)
    assert (trial.cancelled, trial.value) == ((True, None) if backend == "asyncio" else (False, "not cancelled, False"))


def test_a_cancellation_from_inside_is_not_taken_for_one_from_here(backend: Backend) -> None:
    if backend == "trio":
        pytest.skip("tasks cannot be cancelled on trio, only scopes")

    async def main(_simulation: Simulation) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        simulate(main, backend=backend)


def test_a_run_can_be_cancelled_before_it_begins(backend: Backend) -> None:
    async def main(_simulation: Simulation) -> None:
        await anyio.sleep(1)

    assert simulate(main, backend=backend, prepare=Simulation.cancel).cancelled


# ── chance ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_chance_is_seeded_for_the_time_of_the_run(backend: Backend) -> None:
    async def main(simulation: Simulation) -> tuple[float, float]:
        return random.random(), simulation.random.random()

    state = random.getstate()
    assert simulate(main, backend=backend, seed=3).value == simulate(main, backend=backend, seed=3).value
    assert random.getstate() == state


# ── threads: what they do takes real time, and must not take virtual time ─────────────────────────────────────────────


def test_time_stands_still_while_a_thread_is_at_work(backend: Backend) -> None:
    async def main(simulation: Simulation) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 1_000)
            await anyio.to_thread.run_sync(time.sleep, 0.05)
            passed.append(simulation.now())
            group.cancel_scope.cancel()

    passed: list[float] = []
    simulate(main, backend=backend)
    assert passed == [0]


def test_idle_threads_hold_nobody_up(backend: Backend) -> None:
    async def main(simulation: Simulation) -> float:
        await anyio.to_thread.run_sync(int)
        await anyio.sleep(5)
        return simulation.now()

    began = time.monotonic()
    assert simulate(main, backend=backend).value == 5
    assert time.monotonic() - began < 1


def test_time_stands_still_while_a_thread_of_a_pool_is_at_work(backend: Backend) -> None:
    if backend == "trio":
        pytest.skip("trio has no pools")

    async def main(simulation: Simulation) -> float:
        sleeping = asyncio.create_task(asyncio.sleep(1_000))  # of virtual time
        await asyncio.to_thread(time.sleep, 0.05)
        sleeping.cancel()
        return simulation.now()

    assert simulate(main, backend=backend).value == 0


def test_time_stands_still_while_a_thread_of_ones_own_is_at_work(backend: Backend) -> None:
    async def main(simulation: Simulation) -> float:
        token = anyio.lowlevel.current_token()
        event = anyio.Event()

        def work() -> None:
            time.sleep(0.05)  # a thread at work: virtual time stands still meanwhile
            anyio.from_thread.run_sync(event.set, token=token)

        threading.Thread(target=work).start()
        with anyio.move_on_after(1_000):
            await event.wait()
        return simulation.now()

    assert simulate(main, backend=backend).value == 0


def test_time_goes_on_without_a_thread_that_waits_for_it(backend: Backend) -> None:
    async def main(simulation: Simulation) -> float:
        await anyio.to_thread.run_sync(anyio.from_thread.run, anyio.sleep, 7)
        return simulation.now()

    assert simulate(main, backend=backend).value == 7


def test_a_trial_says_how_it_went(backend: Backend) -> None:
    trial = simulate(three_workers, backend=backend)
    assert isinstance(trial, Trial)
    assert len(trial.choices) == len(trial.widths) <= trial.steps
    assert max(trial.widths) == 3


# ── what it rests on ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_backend_that_runs_tasks_in_another_way_is_refused(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "asyncio":
        monkeypatch.setattr("tocsin.testing._on_asyncio._FIRST_STEP", "something new")
        monkeypatch.setattr("tocsin.testing._on_asyncio._NEXT_STEP", "something new")
        reason = "asyncio runs tasks in a way that is not known here"
    else:
        monkeypatch.setattr("tocsin.testing._on_trio._RESTS_ON", ("_r", "_something_new"))
        reason = "does without _something_new, which simulations rest on"
    with pytest.raises(RuntimeError, match=reason):
        simulate(three_workers, backend=backend)
