"""Children that end in each of the ways there are, and a supervisor of such, each with options of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import anyio

from tests.supervisors.scripted import Puppet, Record, settle
from tocsin.testing import cancel_as_a_stranger
from tocsin_supervisors import ChildContext, ChildSpec, RenewChild, Supervisor, SuspendChild

Way: TypeAlias = Literal["terminated", "killed", "abnormal", "normal"]
WAYS: tuple[Way, ...] = ("terminated", "killed", "abnormal", "normal")


class Mortal(Puppet):
    """A puppet that can be killed, too."""

    _is_struck = False

    async def __call__(self, context: ChildContext) -> None:
        """Live."""
        self._is_struck = False
        await super().__call__(context)
        if self._is_struck:
            await cancel_as_a_stranger()

    def strike(self) -> None:
        """End by the cancellation of a stranger: what OTP calls killed."""
        self._is_struck = True
        self.finish()


class Troupe:
    """A supervisor called root of mortals: id → the options of its spec."""

    def __init__(self, casting: dict[str, dict[str, Any]], **options: Any) -> None:
        self.record = Record()
        self.mortals = {id: Mortal(self.record, id) for id in casting}
        specs = [self.mortals[id].spec(**each) for id, each in casting.items()]
        self.supervisor = Supervisor("root", specs, observer=self.record.observe, **options)
        self.seen: dict[str, tuple[str, int]] = {}  # id → state and incarnation after the last act that was survived

    def __getitem__(self, id: str) -> Mortal:
        return self.mortals[id]

    async def end(self, id: str, way: Way) -> None:
        """Have a child end, and see what follows."""
        if way == "terminated":
            await self.supervisor.terminate_child(id)
        elif way == "killed":
            self[id].strike()
        elif way == "abnormal":
            self[id].crash()
        else:
            self[id].finish()
        await settle()
        self.seen = {each.id: (each.state, each.incarnation) for each in self.supervisor.which_children()}

    async def play(self, *acts: tuple[str, Way]) -> int:
        """Run the supervisor and have children end one after the other; give how many of these it has survived."""
        survived = 0
        async with self.supervisor.running():
            for id, way in acts:
                await self.end(id, way)
                survived += 1
        return survived


async def obeys(context: ChildContext) -> None:
    """End when asked to."""
    context.started()
    await context.wait_stop_requested()


async def ignores_stop(context: ChildContext) -> None:
    """End only when cancelled."""
    context.started()
    await anyio.sleep_forever()


def stops_slowly(record: Record, id: str, seconds: float) -> Callable[[ChildContext], Awaitable[None]]:
    """Make a child that takes *seconds* to end once it is asked to, and then writes a line; cancelled, it does not."""

    async def child(context: ChildContext) -> None:
        context.started()
        await context.wait_stop_requested()
        await anyio.sleep(seconds)
        record.note(f"{id} down")

    return child


class Naughty:
    """A child that hears of no stop and of no cancellation until it is released."""

    def __init__(self) -> None:
        self.release = anyio.Event()

    async def __call__(self, context: ChildContext) -> None:
        """Hang in a shield."""
        context.started()
        with anyio.CancelScope(shield=True):
            await self.release.wait()


def ways_to_end_by_oneself() -> dict[str, Callable[[Mortal], None]]:
    """Give every way in which a child can end without having been asked to: what it is → how it is brought about."""
    return {
        "returns": Mortal.finish,
        "crashes": Mortal.crash,
        "crashes in a group": lambda mortal: mortal.crash(ExceptionGroup("two", [ValueError("1"), KeyError("2")])),
        "is killed": Mortal.strike,
        "suspends": lambda mortal: mortal.crash(SuspendChild("not now")),
        "renews": lambda mortal: mortal.crash(RenewChild("used up")),
    }


def dynamic(start: Any, **options: Any) -> Callable[[], ChildSpec]:
    """Make a template of children that all start with *start*."""
    return lambda: ChildSpec("worker", start, **options)
