"""One run of a supervisor: the shell that tells the machine what happens and does what it asks.

The topology, and why. A cancellation from outside hits all tasks below it at once; an ordered stop needs them one at
a time. So a *runner* task, shielded, holds the group of the cells, and beside it a *watcher* turns a cancellation
into a request to stop. Both are in the host group around the body of `running()`. A native `task.cancel()` on
asyncio pierces a shield, but only that of the task it is called on, which is the host's, never the runner's.
"""

from __future__ import annotations

from collections import deque
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, assert_never, final

import anyio
import anyio.lowlevel

from ._cells import Cell
from ._children import Resident
from ._directives import (
    AllHang,
    Answer,
    Begin,
    Broke,
    CancelChild,
    CutAsked,
    End,
    Ended,
    Hangs,
    NoteHanging,
    Ready,
    Refuse,
    RequestStop,
    RestartsBelow,
    StartChild,
    StopAsked,
    Tell,
    TellAbove,
    Tick,
)
from ._enclosing import enclosing
from ._errors import gravest, is_part_of
from ._exits import ForeignCancellation
from ._failures import Failure, forget_traceback
from ._lives import Surroundings
from ._loop_side import LoopSide
from ._replies import Replies
from ._reports import ChildRemoved, StopFailed, StopTimedOut, SupervisorStopReport, Unstopped
from ._requests import RestartAsked, StartAsked, Withdrawn
from ._residences import Residence
from .exceptions import SupervisorNotRunning

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from ._contexts import ChildContext
    from ._decisions import Machine
    from ._directives import Directive, Fact
    from ._lives import Life
    from ._reports import Observer, Report
    from ._requests import Request

_STOP_TROUBLE = (StopTimedOut, StopFailed)  # a union would be made anew at each use
MAX_FACTS = 100  # that the machine is told before others have their turn


@final
class Run:
    """See the module. Ends once and is then of no use but for its report."""

    def __init__(
        self, machine: Machine, observer: Observer | None, parent: ChildContext | None, forget: Callable[[str], None]
    ) -> None:
        self.machine = machine
        self.path = machine.children.path
        self.observer = observer
        self.observer_errors = 0
        self.error: BaseException | None = None  # to be raised to whoever runs the supervisor
        self.cancels_body = False  # because of the error, or because the supervisor has ended by itself
        self.up = anyio.Event()  # the initial start is over, well or not
        self.over = anyio.Event()  # every child is down
        self.settled = anyio.Event()  # over, or all that is left hangs
        self.body_scope: anyio.CancelScope | None = None
        self._parent = parent
        self._forget = forget
        self._lives: dict[str, Life] = {}
        self._group: TaskGroup | None = None
        self._around: Surroundings | None = None  # its lives, while it lives itself
        self._inbox: deque[Fact] = deque([Begin()])
        self._loop_side: LoopSide | None = None  # while it lives
        self._is_telling = False  # what a child or an observer does while a directive is carried out is noted after it
        self._replies = Replies()
        self._unstopped: dict[str, Unstopped] = {}
        self._stop_errors: list[StopFailed] = []

    # ── from outside ──

    def post(self, fact: Fact) -> None:
        """Give the machine a fact to note, soon and in order."""
        self._inbox.append(fact)
        self._look_again()

    def post_now(self, fact: Fact) -> None:
        """Give the machine a fact to note, in this very step if it may be, past those that wait; else as `post`."""
        machine = self.machine
        may_be_now = machine.is_ready and not machine.is_ending and not self._is_telling
        now = _time_in_a_task() if may_be_now else None
        if now is None:
            self.post(fact)
            return
        self._tell_time(machine.next_due(), now)
        self._tell_machine(fact, now)
        self._look_again()  # at what is due next

    def _look_again(self) -> None:
        if self._loop_side is not None:
            self._loop_side.wake()

    def request_stop(self) -> None:
        """Begin the ordered stop."""
        self.post(StopAsked())

    def cut(self) -> None:
        """Cancel every child at once."""
        self.post(CutAsked())

    @property
    def state(self) -> str:
        """The state of the supervisor in a word."""
        if self.over.is_set():
            return "stopped"
        if self.machine.is_ending:
            return "stopping"
        return "running" if self.machine.is_ready else "starting"

    def is_inside(self) -> bool:
        """True if the current task belongs to a child of this run, at whatever depth."""
        return any(each.is_below(self) for each in enclosing.get())

    def stop_report(self) -> SupervisorStopReport:
        """Give what is known by now of how the stop went."""
        return SupervisorStopReport(tuple(self._unstopped.values()), tuple(self._stop_errors))

    async def ask(self, request: Callable[[int], Request]) -> object:
        """Have a request carried out, and give the answer or raise the refusal. Cancelled, a start is undone."""
        if self.over.is_set():
            await anyio.lowlevel.checkpoint()
            raise SupervisorNotRunning(self.path, self.state)
        reply = self._replies.expect()
        asked = request(reply.token)
        self.post(asked)
        try:
            await reply.wait()
        except BaseException:  # raised again: who asked has left, so the start is undone
            if isinstance(asked, StartAsked):
                self.post(Withdrawn(reply.token, asked.spec.id))
            elif isinstance(asked, RestartAsked):
                self.post(Withdrawn(reply.token, asked.child))
            raise
        finally:
            self._replies.forget(reply)
        error, value = reply.error, reply.value
        if error is None:
            return value
        try:
            raise error
        finally:
            del error, reply  # this frame is in its traceback: what was asked for must not wait for the collector

    # ── from below: this is the `Host` of supervisors among the children ──

    def note_stop_trouble(self, report: StopTimedOut | StopFailed) -> None:
        """Remember what went wrong while stopping, here and above."""
        if self.machine.is_ending:
            if isinstance(report, StopTimedOut):
                path = f"{report.supervisor}/{report.child}"
                self._unstopped[path] = Unstopped(path, report.line, report.stack)
            else:
                self._stop_errors.append(report)
        if self._parent is not None:
            self._parent.host.note_stop_trouble(report)

    def restarts_below(self, child: str, incarnation: int, count: int, failure: Failure | None) -> None:
        """Note what a supervisor among the children has charged itself for."""
        self.post(RestartsBelow(child, incarnation, count, failure))

    def child_hangs(self, child: str, incarnation: int) -> None:
        """Note that a supervisor among the children can do no more."""
        self.post(Hangs(child, incarnation))

    # ── the tasks ──

    async def watch(self) -> None:
        """Wait for the end; cancelled, ask for it."""
        try:
            await self.over.wait()
        finally:
            self.request_stop()

    async def live(self) -> None:
        """Run the children until all are down. Nothing is raised here: the error is kept for whoever runs the
        supervisor."""
        self._loop_side = side = LoopSide()
        self._around = Surroundings(self.path, self, self.post, copy_context(), side.cancelled)
        try:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as self._group:
                    await self._loop(side)
        except BaseException as error:  # kept, and raised by `hosted` in the host's task
            self.error = gravest(error)
        finally:
            self._finish()
            self._loop_side = self._around = None

    async def _loop(self, side: LoopSide) -> None:
        machine = self.machine
        while not machine.is_over:
            due = await self._pause(side)
            now = side.now()
            self._tell_time(due, now)
            for _ in range(MAX_FACTS):
                if not self._inbox or machine.is_over:
                    break
                self._tell_machine(self._inbox.popleft(), now)

    async def _pause(self, side: LoopSide) -> float | None:
        """Wait until there is a fact, or something is due; give when the next thing is, as it was known before."""
        due = self.machine.next_due()
        try:
            if self._inbox or (due is not None and due <= side.now()):
                # However short the backoff, others get their turn between two restarts, and between many starts.
                await side.turn()
            else:
                await side.sleep(due)
        # trio raises it in whichever task is at hand. No test can make a signal land in this very line.
        except KeyboardInterrupt as error:  # pragma: no cover
            self._inbox.append(Broke(error))  # stop in order, and raise it where it belongs
        except side.cancelled:
            # No scope reaches in here: a stranger has cancelled this very task, as asyncio lets anybody do. Let
            # through, it would end all children at once, and then the supervisor without a word.
            self._inbox.append(Broke(ForeignCancellation(f"supervisor {self.path!r}: its own task was cancelled")))
        return due

    def _tell_time(self, due: float | None, now: float) -> None:
        if due is not None and due <= now:
            self._tell_machine(Tick(late=now - due), now)

    def _tell_machine(self, fact: Fact, now: float) -> None:
        self._is_telling = True
        try:
            for directive in self.machine.on(fact, now):
                self._carry_out(directive, now)
        finally:
            self._is_telling = False
        if isinstance(fact, Ended):
            self._forget_error(fact)

    def _forget_error(self, fact: Ended) -> None:
        """Let go of what a crash keeps alive, unless it is to be raised as part of another error, here or to whoever
        had the child started."""
        error: BaseException | None = getattr(fact.exit, "error", None)
        if error is None:
            return
        problems = (self.machine.error, *self._replies.errors())
        if not any(is_part_of(each, error) for each in problems):
            forget_traceback(error)

    def _finish(self) -> None:
        self.over.set()
        self.up.set()
        self.settled.set()
        self._replies.refuse_all(lambda: SupervisorNotRunning(self.path, "stopped"))
        self.cancels_body |= self.error is not None
        if self.cancels_body and self.body_scope is not None:
            self.body_scope.cancel()

    # ── directives ──

    def _carry_out(self, directive: Directive, now: float) -> None:
        match directive:
            case Tell(report=report):
                self.tell(report)
            case StartChild():
                self._start(directive)
            case RequestStop(child=child):
                self._request_stop(self._lives[child], now)
            case CancelChild(child=child):
                self._lives[child].cancel()
            case NoteHanging():
                self._note_hanging(directive, now)
            case Answer(token=token, value=value):
                self._replies.give(token, value, None)
            case Refuse(token=token, error=error):
                self._replies.give(token, None, error)
            case TellAbove(count=count, failure=failure):
                if self._parent is not None:
                    self._parent.host.restarts_below(self._parent.id, self._parent.incarnation, count, failure)
            case Ready():
                self.up.set()
            case AllHang():
                self.settled.set()
                if self._parent is not None:
                    self._parent.host.child_hangs(self._parent.id, self._parent.incarnation)
            case End(error=error, by_itself=by_itself):
                self.error, self.cancels_body = error, by_itself
            case _:
                assert_never(directive)

    def _start(self, directive: StartChild) -> None:
        assert self._group is not None
        assert self._around is not None
        id, start, around = directive.spec.id, directive.spec.start, self._around
        # Each life begins in a copy of the context that the supervisor itself was started in, whoever asks for it now.
        if isinstance(start, Resident):
            residence = self._lives[id] = Residence(start, directive, around)
            around.base.run(residence.begin)
        else:
            cell = self._lives[id] = Cell(directive, around)
            around.base.run(partial(self._group.start_soon, cell.guard, name=f"{cell.context.path}: guardian"))

    def _request_stop(self, life: Life, now: float) -> None:
        for callback in life.request_stop():
            try:
                callback()
            except Exception as error:  # a callback of the child must not keep the others from being stopped
                failure = Failure.of(error)
                forget_traceback(error)
                id, number = life.context.id, life.context.incarnation
                self.tell(StopFailed(supervisor=self.path, child=id, at=now, incarnation=number, failure=failure))

    def _note_hanging(self, directive: NoteHanging, now: float) -> None:
        child, incarnation, life = directive.child, directive.incarnation, self._lives[directive.child]
        line, stack = life.line(), life.stack()
        self.tell(
            StopTimedOut(supervisor=self.path, child=child, at=now, incarnation=incarnation, line=line, stack=stack)
        )

    def tell(self, report: Report) -> None:
        """Give *report* to the observer, and take note of it."""
        if isinstance(report, _STOP_TROUBLE):
            self.note_stop_trouble(report)
        elif isinstance(report, ChildRemoved):
            self._lives.pop(report.child, None)
            self._forget(report.child)
        if self.observer is None:
            return
        try:
            self.observer(report)
        except KeyboardInterrupt as error:
            self.post(Broke(error))
        except BaseException:  # an observer only looks on: whatever it raises is counted, and changes nothing
            self.observer_errors += 1


def _time_in_a_task() -> float | None:
    """Give the time; None in a callback of the event loop, in which no library knows that it runs."""
    try:
        return anyio.current_time()
    except RuntimeError:
        return None
