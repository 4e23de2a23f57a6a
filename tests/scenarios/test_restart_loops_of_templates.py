"""A restart loop of children of a template: O64, how they are addressed in it, and O65, how they are counted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.scenarios.cast_restarts import (
    ATTEMPT,
    LOOPING,
    MOMENTS,
    PAUSE,
    Moment,
    Troupe,
    break_down,
    repair,
    states,
    taking,
)
from tests.supervisors.scripted import settle
from tocsin_supervisors import (
    ChildCounts,
    ChildNotFound,
    ChildRef,
    ChildRestarting,
    Supervisor,
    TemplateSupervisor,
)

EMPTY = ChildCounts(specs=1, active=0, supervisors=0, actors=0)


def counts(active: int, actors: int) -> ChildCounts:
    return ChildCounts(specs=1, active=active, supervisors=0, actors=actors)


@asynccontextmanager
async def looping(troupe: Troupe, moment: Moment) -> AsyncGenerator[tuple[Supervisor, ChildRef], None]:
    """Run *troupe* with its `c1`, and enter at that moment of its loop."""
    async with troupe.supervisor.running() as supervisor:
        (ref,) = await troupe.hire("c1")
        break_down(troupe["c1"])
        await anyio.sleep(moment.at)
        yield supervisor, ref


@MOMENTS
async def test_O64_a_child_in_a_loop_is_shown_as_what_it_does(moment: Moment) -> None:
    async with looping(Troupe("c1", **LOOPING), moment) as (supervisor, ref):
        for failures in range(4):
            (child,) = supervisor.which_children()
            assert child == supervisor.which_child(ref)
            attempts = failures + (moment.state == "starting")
            assert (child.id, child.state, child.incarnation) == ("c1-1", moment.state, 1 + attempts)
            assert supervisor.count_children() == counts(active=0, actors=1)
            await anyio.sleep(PAUSE + ATTEMPT)


@MOMENTS
async def test_O64_ids_address_nobody(moment: Moment) -> None:
    async with looping(Troupe("c1", **LOOPING), moment) as (supervisor, _):
        for request in (supervisor.terminate_child, supervisor.restart_child, supervisor.delete_child):
            with pytest.raises(TemplateSupervisor) as caught, taking(0.0):
                await request("c1-1")
            assert (caught.value.supervisor, caught.value.child) == ("root", "c1-1")
        assert states(supervisor) == [moment.state]


@MOMENTS
async def test_O64_nothing_is_started_but_from_the_template(moment: Moment) -> None:
    troupe = Troupe("c1", **LOOPING)
    async with looping(troupe, moment) as (supervisor, _):
        with pytest.raises(TemplateSupervisor), taking(0.0):
            await supervisor.start_child(troupe["c1"].spec())
        assert states(supervisor) == [moment.state]


@MOMENTS
async def test_O64_by_its_reference_it_is_refused_what_needs_it_down(moment: Moment) -> None:
    async with looping(Troupe("c1", **LOOPING), moment) as (supervisor, ref):
        for request in (supervisor.restart_child, supervisor.delete_child):
            with pytest.raises(ChildRestarting) as caught, taking(0.0):
                await request(ref)
            assert (caught.value.supervisor, caught.value.child) == ("root", "c1-1")


@MOMENTS
async def test_O64_terminating_it_by_its_old_reference_ends_the_loop(moment: Moment) -> None:
    troupe = Troupe("c1", **LOOPING)
    async with looping(troupe, moment) as (supervisor, ref):
        with taking(moment.rest):
            await supervisor.terminate_child(ref)
        assert (supervisor.which_children(), supervisor.count_children()) == ((), EMPTY)
        attempts = troupe.record.lines.count("c1 refuses")
        await settle(1000.0)
        assert troupe.record.lines.count("c1 refuses") == attempts
        assert troupe.record.told()[-1] == "ChildRemoved"


@MOMENTS
async def test_O64_the_reference_of_a_child_whose_loop_was_ended_is_of_nobody(moment: Moment) -> None:
    async with looping(Troupe("c1", **LOOPING), moment) as (supervisor, ref):
        await supervisor.terminate_child(ref)
        with taking(0.0):
            await supervisor.terminate_child(ref)
        for request in (supervisor.restart_child, supervisor.delete_child):
            with pytest.raises(ChildNotFound):
                await request(ref)
        with pytest.raises(ChildNotFound):
            supervisor.which_child(ref)


@MOMENTS
async def test_O64_a_reference_of_another_supervisor_ends_no_loop(moment: Moment) -> None:
    foreign = Troupe("c1")
    async with foreign.supervisor.running() as other, looping(Troupe("c1", **LOOPING), moment) as (supervisor, _):
        (ref,) = await foreign.hire("c1")
        with pytest.raises(ChildNotFound), taking(0.0):
            await supervisor.terminate_child(ref)
        assert states(supervisor) == [moment.state]
        assert other.which_child(ref).state == "running"


@MOMENTS
async def test_O64_others_are_started_and_terminated_at_once(moment: Moment) -> None:
    troupe = Troupe("c1", "c2", **LOOPING)
    async with looping(troupe, moment) as (supervisor, ref):
        with taking(0.0):
            (second,) = await troupe.hire("c2")
            assert supervisor.count_children() == counts(active=1, actors=2)
            await supervisor.terminate_child(second)
        assert [each.id for each in supervisor.which_children()] == [ref.id]


@MOMENTS
async def test_O64_a_new_one_can_be_started_after_it(moment: Moment) -> None:
    troupe = Troupe("c1", **LOOPING)
    async with looping(troupe, moment) as (supervisor, ref):
        await supervisor.terminate_child(ref)
        repair(troupe["c1"])
        (new,) = await troupe.hire("c1")
        assert (new.id, supervisor.which_child(new).state) == ("c1-2", "running")
        troupe["c1"].crash()
        await settle(PAUSE + 0.5)
        assert supervisor.which_child(new).incarnation == 2


@MOMENTS
@pytest.mark.parametrize("is_second", [False, True], ids=["first loop", "second loop"])
async def test_O64_the_supervisor_stops_promptly_in_a_loop(is_second: bool, moment: Moment) -> None:
    troupe = Troupe("c1", **LOOPING)
    async with looping(troupe, moment) as (supervisor, ref):
        if is_second:
            await supervisor.terminate_child(ref)
            repair(troupe["c1"])
            await troupe.hire("c1")
            break_down(troupe["c1"])
            await anyio.sleep(moment.at)
        assert states(supervisor) == [moment.state]
        began = anyio.current_time()
    assert anyio.current_time() - began == pytest.approx(moment.rest, abs=1e-6)
    assert troupe.supervisor.state == "stopped"


@MOMENTS
async def test_O64_the_loop_is_over_when_its_cause_is(moment: Moment) -> None:
    troupe = Troupe("c1", **LOOPING)
    async with looping(troupe, moment) as (supervisor, ref):
        repair(troupe["c1"])
        await settle(PAUSE + ATTEMPT)
        child = supervisor.which_child(ref)
        assert (child.state, child.incarnation) == ("running", 2)


@MOMENTS
async def test_O65_children_in_a_loop_are_counted_but_not_as_active(moment: Moment) -> None:
    names = ("c1", "c2", "c3")
    troupe = Troupe(*names, **LOOPING)
    async with troupe.supervisor.running() as supervisor:
        refs = await troupe.hire(*names)
        assert supervisor.count_children() == counts(active=3, actors=3)
        for name in names[:2]:
            break_down(troupe[name])
        await anyio.sleep(moment.at)
        assert states(supervisor) == [moment.state, moment.state, "running"]
        assert supervisor.count_children() == counts(active=1, actors=3)
        for name in names[:2]:
            repair(troupe[name])
        await settle(PAUSE + ATTEMPT)
        assert supervisor.count_children() == counts(active=3, actors=3)
        for left in (2, 1, 0):
            await supervisor.terminate_child(refs[left])
            assert supervisor.count_children() == counts(active=left, actors=left)


@MOMENTS
async def test_O65_terminating_children_in_a_loop_takes_them_off_the_count(moment: Moment) -> None:
    names = ("c1", "c2", "c3")
    troupe = Troupe(*names, **LOOPING)
    async with troupe.supervisor.running() as supervisor:
        refs = await troupe.hire(*names)
        for name in names[:2]:
            break_down(troupe[name])
        await anyio.sleep(moment.at)
        with taking(moment.rest):
            async with anyio.create_task_group() as group:
                for ref in refs[:2]:
                    group.start_soon(supervisor.terminate_child, ref)
        assert supervisor.count_children() == counts(active=1, actors=1)


async def test_O65_children_that_are_held_for_another_one_are_counted_as_restarting() -> None:
    """Ours: when three fail at once of one cause, two of them wait for the first."""
    names = ("c1", "c2", "c3", "c4")
    troupe = Troupe(*names, **LOOPING)
    async with troupe.supervisor.running() as supervisor:
        await troupe.hire(*names)
        for name in names[:3]:
            break_down(troupe[name])
        await anyio.sleep(0.25)
        assert sorted(states(supervisor)) == ["running", "suspended", "suspended", "waiting"]
        assert supervisor.count_children() == counts(active=1, actors=4)
