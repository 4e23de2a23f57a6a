"""One cancellation before the k-th step of a run, for every k: of the whole run, of its host natively, of whoever asks,
of the supervisor's own task by a stranger.

Wherever it lands: no two lives of a child at a time and none after the end, the end is in order and within bounded
time, no task is left, and a supervisor that was not meant still answers, and what was asked for is done or undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from attrs import frozen

from tests.scheduling import play
from tocsin_supervisors import (
    AutoShutdown,
    Backoff,
    ChildContext,
    ChildSpec,
    ChildStopped,
    ForeignCancellation,
    Report,
    RestartIntensity,
    RestartPolicy,
    Strategy,
    Supervisor,
    SupervisorNotRunning,
    SupervisorStopping,
)

RUNS = 6  # in the commit tier, of each scene in each mode: spread over all steps
MANY = 30  # in the slow tier; the soak makes them all
PATIENCE = 300.0  # virtual seconds after which a run counts as hanging
OFTEN = 5  # cancellations in the steps after the first one
SOON = Backoff(0.1, 0.1, jitter=0.0)


class Broken(Exception):
    """What children crash with."""


class World:
    """One run, what it has seen, and the one who cancels."""

    def __init__(self, scene: Scene, mode: str, at: int | None) -> None:
        self.scene = scene
        self.mode = mode
        self.at = at
        self.steps = 0  # since somebody might be cancelled
        self.faults: list[str] = []
        self.alive: set[str] = set()
        self.reports: list[Report] = []
        self.crash: dict[str, anyio.Event] = {}  # child → has its current incarnation crash
        self.cancel: Callable[[], object] | None = None  # what to do at the chosen step
        self.is_over = False
        self.was_asked = self.was_answered = False
        self.ended_in_time = True
        self.supervisor = scene.build(self)
        self.supervisor.observer = self.reports.append

    def on_step(self, _step: int) -> None:
        if self.cancel is None:
            return
        self.steps += 1
        last = self.at if self.at is None or "often" not in self.mode else self.at + OFTEN
        if self.at is not None and last is not None and self.at <= self.steps <= last:
            self.cancel()

    # ── children ──

    def child(self, id: str, *, takes: float = 0.1, cleanup: float = 0.1, **options: Any) -> ChildSpec:
        """Describe a child that is told when to stop, and has all the time it needs for that."""

        async def life(context: ChildContext) -> None:
            self.enter(context.path)
            try:
                crash = self.crash[id] = anyio.Event()
                context.on_stop(crash.set)
                await anyio.sleep(takes)
                context.started(context.incarnation)
                await crash.wait()
                await anyio.sleep(cleanup)
                if not context.stop_requested:
                    raise Broken(id)
            except anyio.get_cancelled_exc_class():
                self.faults.append(f"{id} is cancelled")
                raise
            finally:
                self.leave(context.path)

        return ChildSpec(id, life, backoff=SOON, grace_period=5.0, **options)

    def plain(self, id: str) -> ChildSpec:
        """Describe a child that is stopped by cancelling it."""

        async def life() -> None:
            self.enter(id)
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.1)
                self.leave(id)

        return ChildSpec(id, life, backoff=SOON, grace_period=5.0)

    def enter(self, id: str) -> None:
        if self.is_over:
            self.faults.append(f"{id} begins after the end")
        if id in self.alive:
            self.faults.append(f"two lives of {id}")
        self.alive.add(id)

    def leave(self, id: str) -> None:
        self.alive.discard(id)
        if self.is_over:
            self.faults.append(f"{id} ends after the end")

    # ── the run ──

    async def run(self) -> None:
        with anyio.move_on_after(PATIENCE) as patience:
            if self.mode.startswith("native host"):
                host = asyncio.ensure_future(self.host())
                self.cancel = host.cancel
                await asyncio.wait([host])
                if not host.cancelled():
                    host.result()
            else:
                with anyio.CancelScope() as scope:
                    if self.mode == "run":
                        self.cancel = scope.cancel
                    await self.host()
        self.ended_in_time = not patience.cancelled_caught
        self.cancel = None
        self.faults += _tasks_left()

    async def host(self) -> None:
        try:
            async with self.supervisor.running():
                if self.mode == "stranger":
                    self.cancel = _cancel_of_task("root: supervisor")
                await self.scene.prepare(self)
                if self.mode.startswith("native caller"):
                    caller = asyncio.ensure_future(self.ask())
                    self.cancel = caller.cancel
                    await asyncio.wait([caller])
                else:
                    with anyio.CancelScope() as scope:
                        if self.mode == "caller":
                            self.cancel = scope.cancel
                        await self.ask()
                if "caller" in self.mode:
                    self.cancel = None
                    await self.look_around()
        except ForeignCancellation:
            if self.mode != "stranger":
                raise
        finally:
            self.is_over = True

    async def ask(self) -> None:
        self.was_asked = True
        try:
            await self.scene.ask(self)
            self.was_answered = True
        except SupervisorNotRunning:
            if self.mode != "stranger":
                raise

    async def look_around(self) -> None:
        """See that the supervisor lives, and that what was asked is done or undone."""
        await anyio.sleep(10.0)
        with anyio.fail_after(60.0):
            if self.supervisor.options.template is None:
                assert await self.supervisor.start_child(self.child("probe")) == 1
            else:
                assert await self.supervisor.start_from_template("probe") is not None
        if self.was_asked:
            self.scene.check(self)

    def check(self) -> None:
        assert self.faults == []
        assert self.ended_in_time
        assert self.supervisor.state == "stopped"
        assert self.supervisor.stop_report.unstopped == ()
        assert self.alive == set()
        if self.supervisor.options.template is None:
            self._check_order()

    def _check_order(self) -> None:
        """Hold the end to the reverse order of the children."""
        is_ending, stopped = False, list[str]()
        for report in self.reports:
            is_ending |= isinstance(report, SupervisorStopping) and report.supervisor == "root"
            if is_ending and isinstance(report, ChildStopped) and report.supervisor == "root":
                stopped.append(report.child)
        order = ["a", "b", "c", "d", "probe"]
        assert stopped == sorted(stopped, key=order.index, reverse=True)


def _tasks_left() -> list[str]:
    try:
        return [f"task {each.get_name()} is left" for each in asyncio.all_tasks() if each is not asyncio.current_task()]
    except RuntimeError:
        return []  # on trio no task can be left


def _cancel_of_task(name: str) -> Callable[[], object]:
    (task,) = (each for each in asyncio.all_tasks() if each.get_name() == name)
    return task.cancel


async def nothing(world: World) -> None:
    """Have nothing to prepare."""


def any_end(world: World) -> None:
    """Have nothing to check."""


@frozen
class Scene:
    """What is done, and what must be so afterwards if only the one who asked for it was cancelled."""

    build: Callable[[World], Supervisor]
    ask: Callable[[World], Awaitable[object]]
    prepare: Callable[[World], Awaitable[object]] = nothing
    check: Callable[[World], object] = any_end


def three(world: World, **options: Any) -> Supervisor:
    specs = [world.child("a"), world.plain("b"), world.child("c")]
    return Supervisor("root", specs, intensity=RestartIntensity(100, 60.0), **options)


def of_a_template(world: World) -> Supervisor:
    def template(id: str) -> ChildSpec:
        return world.child(id, restart=RestartPolicy.TRANSIENT)

    return Supervisor("root", template=template)


def state(world: World, id: str) -> str:
    states = {each.id: each.state for each in world.supervisor.which_children()}
    return states.get(id, "unknown")


async def crash(world: World, id: str) -> None:
    world.crash[id].set()
    await anyio.sleep(0.15)


# ── scenes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def start_child(world: World) -> None:
    assert await world.supervisor.start_child(world.child("d")) == 1


def started_or_unknown(world: World) -> None:
    assert state(world, "d") == ("running" if world.was_answered else "unknown")


async def start_a_branch(world: World) -> None:
    branch = Supervisor("branch", [world.child("x"), world.child("y")])
    assert await world.supervisor.start_child(ChildSpec("d", branch)) is branch


async def terminate_c(world: World) -> None:
    await world.supervisor.terminate_child("c")


async def restart_c(world: World) -> None:
    assert await world.supervisor.restart_child("c") == 2


def restarted_or_stopped(world: World) -> None:
    assert state(world, "c") == ("running" if world.was_answered else "stopped")


def c_is_stopped(world: World) -> None:
    assert state(world, "c") == "stopped"


async def start_from_template(world: World) -> None:
    assert await world.supervisor.start_from_template("t") is not None


def one_or_none(world: World) -> None:
    children = [each.id for each in world.supervisor.which_children() if each.id.startswith("t")]
    assert len(children) == world.was_answered


async def reconfigure(world: World) -> None:
    changed = [world.child("c", needs=("a",)), world.child("d", restart=RestartPolicy.TRANSIENT, significant=True)]
    await world.supervisor.reconfigure(
        changed, strategy=Strategy.REST_FOR_ONE, auto_shutdown=AutoShutdown.ALL_SIGNIFICANT
    )


def reconfigured(world: World) -> None:
    supervisor = world.supervisor
    assert supervisor.options.strategy is Strategy.REST_FOR_ONE
    assert supervisor.child_spec("c").needs == ("a",)
    assert [state(world, id) for id in "abcd"] == ["running", "running", "running", "stopped"]


async def a_while(world: World) -> None:
    await anyio.sleep(0.5)


async def crash_c(world: World) -> None:
    await crash(world, "c")


async def a_round(world: World) -> None:
    await crash(world, "c")
    await anyio.sleep(2.0)
    assert [each.incarnation for each in world.supervisor.which_children()] == [2, 2, 2]


def one_for_all(world: World) -> Supervisor:
    return three(world, strategy=Strategy.ONE_FOR_ALL)


SCENES: dict[str, Scene] = {
    "start_child": Scene(three, start_child, check=started_or_unknown),
    "start_child of a supervisor": Scene(three, start_a_branch, check=started_or_unknown),
    "start_child in a round": Scene(one_for_all, start_child, crash_c, started_or_unknown),
    "restart_child": Scene(three, restart_c, terminate_c, restarted_or_stopped),
    "terminate_child": Scene(three, terminate_c, check=c_is_stopped),
    "terminate_child in a round": Scene(one_for_all, terminate_c, crash_c, c_is_stopped),
    "start_from_template": Scene(of_a_template, start_from_template, check=one_or_none),
    "reconfigure": Scene(three, reconfigure, crash_c, reconfigured),
    "running() starts and stops": Scene(three, a_while),
    "a round of one for all": Scene(one_for_all, a_round),
}
MODES = [
    ("asyncio", "run"),
    ("asyncio", "native host"),
    ("asyncio", "native host often"),
    ("asyncio", "caller"),
    ("asyncio", "native caller"),
    ("asyncio", "stranger"),
    ("trio", "run"),
    ("trio", "caller"),
]


def run_world(backend: str, scene: str, mode: str, seed: int, at: int | None) -> World:
    world = World(SCENES[scene], mode, at)
    play(world.run, backend, seed, world.on_step)
    return world


def cancel_everywhere(backend: str, scene: str, mode: str, seed: int, runs: int | None) -> None:
    whole = run_world(backend, scene, mode, seed, None)
    whole.check()
    assert whole.was_answered
    stride = 1 if runs is None else max(1, whole.steps // runs)
    for step in range(1 + seed % stride, whole.steps + 1, stride):
        world = run_world(backend, scene, mode, seed, step)
        try:
            world.check()
        except AssertionError as error:
            error.add_note(f"replay: run_world({backend!r}, {scene!r}, {mode!r}, {seed}, {step})")
            raise


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(("backend", "mode"), MODES)
def test_N9_a_cancellation_at_any_step_leaves_all_in_order(backend: str, mode: str, scene: str) -> None:
    cancel_everywhere(backend, scene, mode, 1, RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(("backend", "mode"), MODES)
def test_N9_a_cancellation_at_many_steps_leaves_all_in_order(backend: str, mode: str, scene: str) -> None:
    cancel_everywhere(backend, scene, mode, 2, MANY)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [2, 3, 4])
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(("backend", "mode"), MODES)
def test_N9_a_cancellation_at_every_step_leaves_all_in_order(backend: str, mode: str, scene: str, seed: int) -> None:
    cancel_everywhere(backend, scene, mode, seed, None)
