"""Who plays in the scenarios of restarts: puppets that strangers can reach, a troupe hired by a template, restart
loops."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import anyio
import pytest

from tests.supervisors.scripted import Puppet, Record, Theatre
from tocsin.testing import cancel_as_a_stranger
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildRef,
    ChildSpec,
    RestartIntensity,
    RestartIntensityExceeded,
    Strategy,
    Supervisor,
)

PLENTY = RestartIntensity(10**6, 1.0, max_consecutive=None)
STRATEGIES = pytest.mark.parametrize("strategy", Strategy, ids=[each.value for each in Strategy])


def at_most(max_restarts: int, period: float) -> RestartIntensity:
    """Give OTP's limit: a window, and nothing that is ours."""
    return RestartIntensity(max_restarts, period, max_consecutive=None)


class Mortal(Puppet):
    """A puppet that can also be cancelled by a stranger."""

    is_struck = False

    async def __call__(self, context: ChildContext) -> None:
        await super().__call__(context)
        if self.is_struck:
            self.is_struck = False
            await cancel_as_a_stranger()

    def kill(self) -> None:
        """Have it cancelled by somebody who is not its supervisor: the nearest thing to OTP's `kill`."""
        self.is_struck = True
        self.finish()


class Arena(Theatre):
    """A theatre of mortals."""

    def __init__(self, *ids: str, spec: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.mortals = {id: Mortal(self.record, id) for id in ids}
        for each in self.mortals.values():
            self.supervisor.declare(each.spec(**(spec or {})))

    def __getitem__(self, id: str) -> Mortal:
        return self.mortals[id]


class Troupe:
    """A supervisor whose template is given the name of a puppet, all recorded."""

    def __init__(self, *names: str, spec: dict[str, Any] | None = None, **options: Any) -> None:
        self.record = Record()
        self.puppets = {name: Mortal(self.record, name) for name in names}
        self.spec = spec or {}
        self.supervisor = Supervisor("root", template=self._hire, observer=self.record.observe, **options)

    def __getitem__(self, name: str) -> Mortal:
        return self.puppets[name]

    def _hire(self, name: str) -> ChildSpec:
        return self.puppets[name].spec(**self.spec)

    async def hire(self, *names: str) -> list[ChildRef]:
        """Start a child for each name, in order."""
        refs = [await self.supervisor.start_from_template(name) for name in names]
        return [ref for ref in refs if ref is not None]


async def gives_up(supervisor: Supervisor, act: Callable[[], Awaitable[object]]) -> RestartIntensityExceeded:
    """Run *supervisor*, then *act*, and give the error that it ends with."""

    async def scene() -> None:
        async with supervisor.running():
            await act()
            await anyio.sleep_forever()

    with pytest.raises(RestartIntensityExceeded) as caught:
        await scene()
    return caught.value


# ── restart loops ──

PAUSE = 1.0  # seconds between two attempts
ATTEMPT = 2.0  # seconds until an attempt has failed
# OTP's limit of the scenarios: in 10 seconds there are fewer than 8 attempts, so the loop goes on for ever.
LOOPING: dict[str, Any] = {
    "spec": {"backoff": Backoff(initial=PAUSE, maximum=PAUSE, jitter=0.0), "intensity": at_most(8, 10.0)},
    "intensity": at_most(8, 10.0),
}


class Moment(NamedTuple):
    """When a loop is looked into."""

    at: float  # seconds after the crash that it began with
    state: str  # that the child is in then
    rest: float = 0.0  # seconds until it can be down

    def __str__(self) -> str:
        return self.state


BETWEEN = Moment(0.25, "waiting")
WITHIN = Moment(PAUSE + 0.5, "starting", ATTEMPT - 0.5)  # the first attempt
MOMENTS = pytest.mark.parametrize("moment", [BETWEEN, WITHIN], ids=str)


def break_down(puppet: Puppet) -> None:
    """Have a puppet crash; from now on its starts take two seconds, and then fail."""
    puppet.refuses, puppet.start_takes = True, ATTEMPT
    puppet.crash()


def repair(puppet: Puppet) -> None:
    """From now on its starts succeed, also the one under way, and the next ones at once."""
    puppet.refuses, puppet.start_takes = False, 0.0


class Loop(Theatre):
    """A theatre to look into while one of the puppets is in a restart loop."""

    def __init__(self, *ids: str, of: str, spec: dict[str, Any] | None = None, **options: Any) -> None:
        limit = {"intensity": LOOPING["intensity"], **options}
        super().__init__(*ids, spec={**LOOPING["spec"], **(spec or {})}, **limit)
        self.of = self[of]

    @property
    def failures(self) -> int:
        """How many attempts have failed."""
        return self.record.lines.count(f"{self.of.id} refuses")

    @asynccontextmanager
    async def at(self, moment: Moment) -> AsyncGenerator[Supervisor, None]:
        """Run it, and enter at that moment of the loop."""
        async with self.supervisor.running() as supervisor:
            break_down(self.of)
            await anyio.sleep(moment.at)
            yield supervisor


REST_FOR_ONE, ONE_FOR_ALL = Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL
GROUPS = pytest.mark.parametrize("strategy", [REST_FOR_ONE, ONE_FOR_ALL], ids=["rest_for_one", "one_for_all"])


def group_loop(strategy: Strategy) -> Loop:
    """Give a loop of the second of three who are restarted together."""
    return Loop("a", "b", "c", of="b", strategy=strategy)


def states(supervisor: Supervisor) -> list[str]:
    """Give the states of the children, in order."""
    return [each.state for each in supervisor.which_children()]


@contextmanager
def taking(seconds: float) -> Generator[None, None, None]:
    """Check that the body takes exactly so long, on the virtual clock, whatever it raises."""
    began = anyio.current_time()
    try:
        yield
    finally:
        assert anyio.current_time() - began == pytest.approx(seconds, abs=1e-6)
