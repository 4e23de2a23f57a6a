"""A server without a task of its own: workers of the pool run it, a slice at a time, whichever is free. Most actors are
idle most of the time, and idle they are a few small objects.

What it does is one coroutine, which outlives the slices: where it would sleep, or let others have their turn, it gives
a sign to the worker and stays where it is, until some worker goes on with it. Code of the user runs in variables of
the context that belong to the life of the actor, whoever works for it.

The states, and who may change them, each in one step:

    down ──begin──▶ idle ──wake──▶ ready ──worker──▶ active ──▶ idle | ready | down
                      └───────stop───┴──▶ down

Idle it lies in its mailbox as its own sleeper; ready it stands in line of its pool; active its worker has it, who alone
may go on with it, and may wait in its handler. A stop ends at once who is idle or ready, and waits for who is active.
"""

from __future__ import annotations

from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast, final

from tocsin_supervisors._children import Resident

from ._context import current_server
from ._driving import Sign
from ._incarnation import handles_of, invoke_of
from ._presence import Presence
from ._server import Server

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Awaitable, Callable, Coroutine

    import anyio

    from tocsin_supervisors._residences import Residence

    from ._actor import Actor
    from ._backends import Sleeper


class Worker(Protocol):
    """Who goes on with a server, in a task and a scope of its own."""

    scope: anyio.CancelScope
    task_id: int


class Line(Protocol):
    """Where servers stand that have something to do: that of the pool, or of a worker that is tied to one of them."""

    hot: int
    """How many workers will look at it soon."""
    queue: deque[PooledServer]

    def kick(self) -> None:
        """See to it that a worker looks soon."""


def _giving(sign: Sign) -> Awaitable[None]:
    """Give what is to be awaited to give *sign*: nothing but C runs for that, a generator costs four times as much."""
    kind = type("Giving", (), {"__slots__": (), "__await__": staticmethod(partial(iter, (sign,)))})
    return cast("Awaitable[None]", kind())


IDLE = Sign()  # there is nothing to do
AGAIN = Sign()  # there is more to do, and others have their turn first
_TO_BE_IDLE = _giving(IDLE)
_TO_GO_ON = _giving(AGAIN)


@final
class _RetryAlarm:
    """Wakes a server that lies in its mailbox when the first of its retries is due."""

    __slots__ = ("_server", "deadline", "has_alarm")

    def __init__(self, server: PooledServer, deadline: float) -> None:
        self._server: PooledServer | None = server
        self.deadline = deadline
        self.has_alarm = False

    def expire(self) -> None:
        """It is due."""
        if self._server is not None:
            self._server.actor.mailbox.wake_one()
            self.call_off()

    def call_off(self) -> None:
        """It wakes nobody any more, and holds nobody."""
        self._server = None


@final
class PooledServer(Server, Resident):
    """See the module. It is its own sleeper, and the child of the supervisor."""

    __slots__ = (
        "_alarm",
        "_instance",
        "_variables",
        "driven",
        "is_woken",
        "line",
        "residence",
        "send",
        "stands_in_line",
        "step",
        "worker",
    )

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor, may_probe=True)
        self.sleeper: Sleeper = self
        self._alarm: _RetryAlarm | None = None
        self._instance: Any = None  # of an actor class
        self._variables: Context | None = None
        self.residence: Residence | None = None  # the life that is up: the actor may have let go of it before
        self.driven: Coroutine[Any, Any, None] | None = None  # what its worker goes on with, from its first slice on
        self.is_woken: bool = False
        self.stands_in_line: bool = False
        self.line: Line = actor.run.pool
        self.step: Callable[..., Any]  # runs something in its variables
        self.send: Callable[[None], Any]  # goes on with the coroutine
        self.worker: Worker | None = None  # who has it

    # ── a life ──

    def begin(self, residence: Residence) -> None:
        """See `Resident`."""
        actor, context = self.actor, residence.context
        actor.begin(context.incarnation)
        if actor.subscription.actor_plan is not None:
            self._variables = self._variables_in(residence)
            self._instance = self._variables.run(actor.subscription.factory)
        self.residence = residence
        actor.context = context
        actor.came_up()
        context.started()
        self.resume()

    def _variables_in(self, residence: Residence) -> Context:
        variables = residence.variables()
        variables.run(current_server.set, self)
        return variables

    def asked_to_stop(self) -> None:
        """See `Resident`."""
        if self.worker is None and self.line is self.actor.run.pool:
            self.end(None)
        else:
            self.actor.wake_servers()  # its worker sees to the end

    def cancel(self) -> None:
        """See `Resident`."""
        self.actor.was_cut = True
        if self.worker is not None:
            self.attention = True
            self._cancel()

    def _cancel(self) -> None:
        assert self.worker is not None, "only who is served can be cancelled"
        self.worker.scope.cancel()

    @property
    def task_id(self) -> int:
        """See `Server`."""
        return 0 if self.worker is None else self.worker.task_id

    def awaitable(self) -> object:
        """See `Resident`."""
        return None if self.worker is None else self.driven

    def end(self, error: BaseException | None) -> None:
        """End the life that is up, with *error*, or as its actor wants to end."""
        actor, residence, self.residence = self.actor, self.residence, None
        assert residence is not None
        try:
            self._stop_working()
            actor.went_down(Presence.DOWN)
            residence.ended(actor.reason if error is None else error)
        finally:
            del error

    def _stop_working(self) -> None:
        if self.driven is not None:
            self.driven.close()
            self._unprepare()
        elif not self.is_woken:
            self.actor.mailbox.get_up(self)
        if self._alarm is not None:
            self._alarm.call_off()
        self._alarm = self._instance = self._variables = self.worker = None
        self.is_woken = self.stands_in_line = False
        self.line = self.actor.run.pool

    def _unprepare(self) -> None:
        self.driven = self.handle = None
        del self.step, self.send
        self.actor.mailbox.overlook(self)

    # ── sleeping ──

    def resume(self) -> None:
        """Begin to serve, or begin again after an attempt that was judged outside of its scope."""
        if self.driven is not None:
            self._unprepare()
        self.worker = None
        if self.actor.mailbox.is_empty:
            self.is_woken = False
            self.actor.mailbox.lie_down(self)
        else:
            self.wake()

    def wake(self) -> None:
        """Stand in line: there is something to do. Called once each time it lies in its mailbox."""
        self.is_woken = self.stands_in_line = True
        line = self.line
        line.queue.append(self)
        if not line.hot:
            line.kick()

    def sleep(self) -> Awaitable[object]:
        """See `Sleeper`."""
        self.is_woken = False
        return _TO_BE_IDLE

    def sleep_until(self, due: float, now: float) -> Awaitable[object]:
        """See `Sleeper`."""
        self.is_woken = False
        alarm = self._alarm
        if alarm is None or not alarm.has_alarm or alarm.deadline > due:
            if alarm is not None:
                alarm.call_off()
            self._alarm = alarm = _RetryAlarm(self, due)
            self.actor.run.limits.set(alarm)
        return _TO_BE_IDLE

    def is_awake(self) -> None:
        """See `Server`: its worker looks after the clocks and the slice."""

    def let_others(self) -> Awaitable[None]:
        """See `Server`."""
        return _TO_GO_ON

    # ── for its worker ──

    @property
    def is_to_be_judged(self) -> bool:
        """True when an attempt is over that has to be judged outside of the scope."""
        return self._result is not None

    @property
    def is_up(self) -> bool:
        """True while a life is up."""
        return self.residence is not None

    def prepare(self) -> Coroutine[Any, Any, None]:
        """Make and give what a worker goes on with: for the first slice of a life, and after an attempt was judged."""
        actor = self.actor
        assert self.residence is not None
        if self._variables is None:
            self._variables = self._variables_in(self.residence)
        self._is_expired = self._is_settling = False
        self._invoke = invoke_of(actor, self._instance)
        handles = handles_of(actor, self._instance)
        self.handle = None if handles is None else handles(self)
        self.driven = driven = self._serve()
        self.step, self.send = self._variables.run, driven.send
        self.attention: bool | str = True
        actor.mailbox.look_after(self)
        return driven

    def judge(self, error: BaseException | None) -> None:
        """Judge what came out of the scope, and raise what ends the life."""
        try:
            if error is None and self._result is None and self.actor.was_cut:
                self._count_handled()  # nothing else is to be judged: what it has in hand goes back
            else:
                self._after_scope(error)
        finally:
            del error
