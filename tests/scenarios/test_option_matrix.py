"""The cross product of the options of a child and of its supervisor: what goes together, and what is said of the rest.

1,440 combinations, as OTP's suite has them. Two of its values mean the same here: a shutdown of 0 and `brutal_kill` are
a grace period of 0, since nobody can kill a task. A child's type follows from its start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import anyio
import attrs
import pytest

from tests.scenarios.cast_starting import states
from tocsin_supervisors import AutoShutdown, BadCombination, ChildContext, ChildSpec, RestartPolicy, Supervisor
from tocsin_supervisors import check_specs as check


async def up_at_once() -> None:
    await anyio.sleep_forever()


async def up_when_it_says_so(context: ChildContext) -> None:
    context.started()
    await context.wait_stop_requested()


UNSET: dict[str, Any] = {}
RESTARTS = [UNSET, *({"restart": each} for each in RestartPolicy)]
GRACES = [UNSET, *({"grace_period": each} for each in (0, 1000, math.inf, 0.0))]
STARTS = [up_at_once, up_when_it_says_so, Supervisor("nested")]
SIGNIFICANCES = [UNSET, {"significant": True}, {"significant": False}]
AUTO_SHUTDOWNS = [UNSET, *({"auto_shutdown": each} for each in AutoShutdown)]
EXTRAS = [UNSET, {"modules": ["nested"]}]
NAMES = ["unset", *(each.value for each in AutoShutdown)]


@attrs.frozen
class Combination:
    """What a child is to be, and what is to be said of it."""

    options: dict[str, Any]
    auto_shutdown: dict[str, Any]

    def get(self, name: str, default: object) -> Any:
        return self.options.get(name, default)

    @property
    def is_never_down(self) -> bool:
        return self.get("restart", RestartPolicy.PERMANENT) is RestartPolicy.PERMANENT

    @property
    def is_never_over(self) -> bool:
        return self.auto_shutdown.get("auto_shutdown", AutoShutdown.NEVER) is AutoShutdown.NEVER

    def refusal(self) -> tuple[type[Exception], list[str]] | None:
        """Give the error and what is in its text, or None for what goes together."""
        if "modules" in self.options:
            return TypeError, ["unexpected keyword argument 'modules'"]
        if not self.get("significant", False):
            return None
        if self.is_never_down:
            return ValueError, ["significant=True", "restart=RestartPolicy.PERMANENT"]
        if self.is_never_over:
            return BadCombination, ["significant=True", "auto_shutdown=AutoShutdown.NEVER", "child 'a' of supervisor"]
        return None

    def spec(self) -> ChildSpec:
        return ChildSpec("a", **self.options)

    def check_accepted(self) -> None:
        spec = self.spec()
        is_supervisor = isinstance(spec.start, Supervisor)
        assert spec.restart is self.get("restart", RestartPolicy.PERMANENT)
        assert spec.grace_period == self.get("grace_period", math.inf if is_supervisor else 5.0)
        assert spec.significant is self.get("significant", False)
        assert spec.kind == ("supervisor" if is_supervisor else "actor")
        assert spec.wants_context is (spec.start is not up_at_once)
        check([spec], **self.auto_shutdown)
        assert Supervisor("root", [spec], **self.auto_shutdown).child_spec("a") is spec

    def check_refused(self, kind: type[Exception], texts: list[str]) -> None:
        ways: list[Callable[[], object]] = [
            lambda: check([self.spec()], **self.auto_shutdown),
            lambda: Supervisor("root", [self.spec()], **self.auto_shutdown),
            lambda: Supervisor("root", **self.auto_shutdown).declare(self.spec()),
        ]
        for way in ways:
            with pytest.raises(kind) as caught:
                way()
            assert type(caught.value) is kind
            assert [text for text in texts if text not in str(caught.value)] == []


def combinations(auto_shutdown: dict[str, Any]) -> Iterator[Combination]:
    for restart, grace, start, significance, extra in product(RESTARTS, GRACES, STARTS, SIGNIFICANCES, EXTRAS):
        yield Combination({"start": start, **restart, **grace, **significance, **extra}, auto_shutdown)


@pytest.mark.parametrize("auto_shutdown", AUTO_SHUTDOWNS, ids=NAMES)
def test_O29_every_combination_of_options_is_accepted_or_refused_as_it_should_be(auto_shutdown: dict[str, Any]) -> None:
    accepted = refused = 0
    for combination in combinations(auto_shutdown):
        refusal = combination.refusal()
        if refusal is None:
            combination.check_accepted()
            accepted += 1
        else:
            combination.check_refused(*refusal)
            refused += 1
    # 360 of each: half of them with a key that nobody knows; of the others a third says significant=True, which goes
    # with two restart policies of four under two settings of four.
    assert (accepted, refused) == ((120, 240) if Combination({}, auto_shutdown).is_never_over else (150, 210))


@pytest.mark.parametrize("auto_shutdown", AUTO_SHUTDOWNS, ids=NAMES)
async def test_O29_every_combination_of_options_is_started_or_refused_by_a_supervisor_that_runs(
    auto_shutdown: dict[str, Any],
) -> None:
    async with Supervisor("root", **auto_shutdown).running() as supervisor:
        for combination in combinations(auto_shutdown):
            refusal = combination.refusal()
            if refusal is None:
                await supervisor.start_child(combination.spec())
                assert states(supervisor) == {"a": "running"}
                await supervisor.terminate_child("a")
                if combination.get("restart", None) is not RestartPolicy.TEMPORARY:
                    await supervisor.delete_child("a")
            else:
                with pytest.raises(refusal[0]):
                    await supervisor.start_child(combination.spec())
            assert states(supervisor) == {}
        assert supervisor.state == "running"
