"""Scripted children and a recorder, for the tests of the supervisor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from tocsin_supervisors import Backoff, ChildContext, ChildSpec, DeclineStart, Report, Supervisor

AT_ONCE = Backoff.none()


class Crash(Exception):
    """What scripted children crash with."""


class Record:
    """Everything that happened, in order: lines written by children, and the reports."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reports: list[Report] = []

    def note(self, line: str) -> None:
        """Write a line."""
        self.lines.append(line)

    def observe(self, report: Report) -> None:
        """Be the observer of a supervisor."""
        self.reports.append(report)

    def told(self, child: str | None = None) -> list[str]:
        """Give the names of the reports, about *child* if given."""
        return [type(each).__name__ for each in self.reports if child is None or getattr(each, "child", None) == child]

    def only(self, kind: type[Any]) -> Any:
        """Give the only report of a kind."""
        (report,) = [each for each in self.reports if isinstance(each, kind)]
        return report


class Gate:
    """Holds the starts of a puppet until it is opened; each start that comes to it counts."""

    def __init__(self) -> None:
        self.arrivals = 0
        self._opened = anyio.Event()

    async def pass_through(self) -> None:
        """Wait until it is open."""
        self.arrivals += 1
        await self._opened.wait()

    def open(self) -> None:
        """Let everybody through, from now on."""
        self._opened.set()


class Puppet:
    """A child that does as it is told: crash, finish, anything that can be raised."""

    def __init__(self, record: Record, id: str, *, cleanup: float = 0.0) -> None:
        self.record = record
        self.id = id
        self.cleanup = cleanup  # seconds that its stop takes
        self.incarnation = 0
        self.refuses = False  # fails its starts
        self.declines = False  # says in its starts that it is not needed
        self.start_takes = 0.0  # seconds before it is up, refuses or declines
        self.gate: Gate | None = None  # what its starts wait for before anything else
        self.value: object = self  # what it passes to started()
        self.release: anyio.Event | None = None  # shielded, it waits for this before it ends, however it is asked
        self._strings: anyio.Event = anyio.Event()
        self._raise: BaseException | None = None

    async def __call__(self, context: ChildContext) -> None:
        """Live."""
        self._strings, self._raise = anyio.Event(), None
        await self._start(context)
        await self._strings.wait()
        if self.release is not None:
            with anyio.CancelScope(shield=True):
                await self.release.wait()
        if context.stop_requested and self.cleanup:
            await anyio.sleep(self.cleanup)
        self.record.note(f"{self.id} down")
        if self._raise is not None:
            raise self._raise

    async def _start(self, context: ChildContext) -> None:
        if self.gate is not None:
            await self.gate.pass_through()
        if self.start_takes:
            await anyio.sleep(self.start_takes)
        if self.declines:
            self.record.note(f"{self.id} declines")
            raise DeclineStart
        if self.refuses:
            self.record.note(f"{self.id} refuses")
            raise Crash(f"{self.id} refuses")
        self.incarnation = context.incarnation
        self.record.note(f"{self.id} up")
        context.on_stop(self._strings.set)
        context.started(self.value)

    def crash(self, error: BaseException | None = None) -> None:
        """End by raising."""
        self._raise = Crash(self.id) if error is None else error
        self._strings.set()

    def finish(self) -> None:
        """End by returning."""
        self._strings.set()

    def spec(self, **options: Any) -> ChildSpec:
        """Give its spec; by default it is restarted without delay."""
        defaults: dict[str, Any] = {"backoff": AT_ONCE, "suspension": AT_ONCE}
        return ChildSpec(self.id, self, **{**defaults, **options})


class Theatre:
    """A supervisor of puppets, all recorded."""

    def __init__(self, *ids: str, spec: dict[str, Any] | None = None, cleanup: float = 0.0, **options: Any) -> None:
        self.record = Record()
        self.puppets = {id: Puppet(self.record, id, cleanup=cleanup) for id in ids}
        specs = [each.spec(**(spec or {})) for each in self.puppets.values()]
        self.supervisor = Supervisor("root", specs, observer=self.record.observe, **options)

    def __getitem__(self, id: str) -> Puppet:
        return self.puppets[id]

    def state(self, id: str) -> str:
        """Give the state of a child."""
        return next(each.state for each in self.supervisor.which_children() if each.id == id)

    def incarnation(self, id: str) -> int:
        """Give the number of the incarnation of a child."""
        return next(each.incarnation for each in self.supervisor.which_children() if each.id == id)


async def settle(seconds: float = 0.1) -> None:
    """Let everything happen that happens by itself; longer for what takes time."""
    await anyio.sleep(seconds)


def forever(note: Callable[[str], None], name: str, cleanup: float = 0.0) -> Callable[[], Awaitable[None]]:
    """Make a child without a context that is stopped by cancelling it, and cleans up."""

    async def child() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(cleanup)
            note(f"{name} down")

    return child
