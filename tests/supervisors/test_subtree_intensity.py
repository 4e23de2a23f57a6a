"""The limit over all restarts in a supervisor and below it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.supervisors.scripted import AT_ONCE, Puppet, Record, settle
from tocsin_supervisors import ChildSpec, RestartIntensity, RestartIntensityExceeded, Supervisor, SuspendChild

PLENTY = RestartIntensity(1000, 60.0, max_consecutive=None)


class Grove:
    """root with three branches of two leaves, each far from its own limit."""

    def __init__(self, limit: RestartIntensity, **root: Any) -> None:
        self.record = Record()
        self.leaves = {
            f"{branch}{number}": Puppet(self.record, f"{branch}{number}") for branch in "abc" for number in "12"
        }
        branches = [ChildSpec(branch, self._branch(branch), backoff=AT_ONCE) for branch in "abc"]
        self.root = Supervisor("root", branches, subtree_intensity=limit, observer=self.record.observe, **root)

    def _branch(self, name: str) -> Supervisor:
        leaves = [leaf.spec(intensity=PLENTY) for id, leaf in self.leaves.items() if id.startswith(name)]
        return Supervisor(name, leaves, intensity=PLENTY)

    async def crash(self, *ids: str) -> None:
        for id in ids:
            self.leaves[id].crash(type(f"Of{id}", (Exception,), {})())
            await settle()


async def _give_up(supervisor: Supervisor, grove: Grove, *ids: str) -> RestartIntensityExceeded:
    """Crash leaves until *supervisor* gives up, and give the error."""

    async def scene() -> None:
        async with supervisor.running():
            await grove.crash(*ids)
            await anyio.sleep_forever()

    with pytest.raises(RestartIntensityExceeded) as caught:
        await scene()
    return caught.value


async def test_restarts_in_many_branches_add_up_to_the_limit_of_the_subtree() -> None:
    grove = Grove(RestartIntensity(3, 60.0))
    error = await _give_up(grove.root, grove, "a1", "b1", "c1", "a2")
    assert (error.supervisor, error.child, error.rule, error.restarts, error.limit) == ("root", "a", "subtree", 4, 3)
    assert error.of_supervisor
    assert error.failure is not None
    assert error.failure.type.endswith("Ofa2")


async def test_the_limit_itself_is_survived() -> None:
    grove = Grove(RestartIntensity(3, 60.0))
    async with grove.root.running():
        await grove.crash("a1", "b1", "c1")
        assert [leaf.incarnation for leaf in grove.leaves.values()] == [2, 1, 2, 1, 2, 1]


async def test_restarts_one_period_ago_no_longer_count() -> None:
    grove = Grove(RestartIntensity(1, 10.0))
    async with grove.root.running():
        for _ in range(3):
            await grove.crash("a1")
            await settle(10.0)
        assert grove.leaves["a1"].incarnation == 4


async def test_the_word_of_restarts_climbs_over_supervisors_that_have_no_such_limit() -> None:
    grove = Grove(RestartIntensity(1, 60.0))
    top = Supervisor("top", [ChildSpec("middle", _without_limit(grove))], subtree_intensity=RestartIntensity(1, 60.0))
    error = await _give_up(top, grove, "a1", "b1")
    assert (error.supervisor, error.child, error.rule) == ("top", "middle", "subtree")


def _without_limit(grove: Grove) -> Supervisor:
    leaves = [leaf.spec(intensity=PLENTY) for leaf in grove.leaves.values()]
    inner = Supervisor("inner", leaves, intensity=PLENTY)
    return Supervisor("middle", [ChildSpec("inner", inner, backoff=AT_ONCE)], intensity=PLENTY)


async def test_its_own_children_count_as_well() -> None:
    grove = Grove(RestartIntensity.never())
    leaves = [leaf.spec(intensity=PLENTY) for leaf in grove.leaves.values()]
    root = Supervisor("root", leaves, intensity=PLENTY, subtree_intensity=RestartIntensity.never())
    error = await _give_up(root, grove, "a1")
    assert "1 restart in it and below within 5 s, 0 are allowed" in str(error)


async def test_a_burst_of_one_cause_counts_once_for_the_subtree() -> None:
    grove = Grove(RestartIntensity(3, 60.0))
    root = Supervisor("top", [ChildSpec("all", _without_limit(grove))], subtree_intensity=RestartIntensity(3, 60.0))
    async with root.running():
        for leaf in grove.leaves.values():
            leaf.crash()
        await settle(5.0)
        assert [leaf.incarnation for leaf in grove.leaves.values()] == [2] * 6


async def test_suspensions_do_not_count_for_the_subtree() -> None:
    grove = Grove(RestartIntensity.never())
    async with grove.root.running():
        grove.leaves["a1"].crash(SuspendChild("sick"))
        await settle()
        assert grove.leaves["a1"].incarnation == 2
