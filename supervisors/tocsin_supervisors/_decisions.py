"""The machine that decides for ONE supervisor.

It is told facts and answers with directives; it never awaits and reads no clock.

The rules, in the order in which they win:

1. At most one incarnation of a child is alive. A child is started only when its last incarnation has ended.
2. Once an end has begun, nothing is started. An end begins by a request, by giving up, by a failed initial start, or by
   a fatal exit; a fatal error replaces any other reason. Children are stopped in reverse start order, one at a time;
   one that hangs is reported and passed over. When the deadline has come, all that is left is cancelled at once. The
   supervisor ends when the last child is down.
3. A request about a child wins over its restart: terminating it ends its restart loop. One that is to be restarted even
   if it is up is stopped first, and started when it is down, alone and uncharged; what is asked for last wins.
4. The initial start goes in order, one at a time. A child that fails the first start of its life in it ends the
   supervisor.
5. A child that ended by itself is restarted as its policy says. Each restart is charged to the child's intensity and
   to the supervisor's, before it is made, whether or not its start succeeds; a group restart is charged to the
   supervisor once, a suspension to the child alone. Over the child's limit it is parked or the supervisor gives up,
   as `on_exhausted` says; over the supervisor's own limit it gives up. The restart is due after the backoff of the
   child that failed, and never in the step in which it is decided.
6. The strategy says who is restarted along with it. They are stopped in reverse order, then all started in order: a
   *round*. There is at most one. A failure while it stops children joins it, uncharged to the supervisor; a later one
   begins a new round from the child that failed now. Children that were terminated or have finished take part, as in
   OTP; parked ones and temporary ones that had to be stopped do not come back.
7. A child that asks to be renewed is replaced alone, at once and uncharged.
8. Where children are restarted alone, many that fail at once of one cause are charged to the supervisor once: the first
   is the canary, the others are held until it has proved itself (`_outbreaks.py`). A child that fails while one that it
   needs is about to be restarted is not charged at all, and held for that one.
9. A significant child that ended by itself, and is not restarted, ends the supervisor without an error, as
   `auto_shutdown` says. One that was stopped, alone or in a round, has not ended by itself.
10. Children of a template come in no order: they are stopped all at once, and forgotten when they are down.
11. Time in which nobody could run is not held against a child: what it may take for its start or stop is prolonged by
   it, ten times at most in each of these steps. The deadline of the whole stop is not, since that is a promise to the
   operator.

How it works: `on` enters the fact into the slots, then `_advance` looks at what is in progress (the end, or the
round) and asks for its next step. What is to happen later is an alarm; `Tick` handles the ones that are due. While
somebody's time is measured a `Tick` is wanted every quarter of a second: one that comes late tells that the event loop
was blocked, also when no alarm was due meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, final

from ._children import ChildState
from ._decisions_children import Children
from ._decisions_exits import Aftermath, Ending
from ._decisions_requests import on_request
from ._decisions_restarts import Restarts
from ._directives import (
    AllHang,
    Begin,
    Broke,
    CameUp,
    CutAsked,
    End,
    Ended,
    Hangs,
    Ready,
    RestartsBelow,
    StopAsked,
    Tick,
)
from ._reports import ChildStarted, SupervisorStopping
from ._requests import Added, TerminateAsked, Withdrawn
from ._rounds import Rounds
from ._slots import OURS, REPRIEVES, Alarm
from .exceptions import SupervisorNotRunning

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from ._children import ChildSpec
    from ._directives import Directive, Fact
    from ._options import Options
    from ._requests import Request
    from ._slots import AlarmKey, Slot

PULSE = 0.25  # seconds from one look at the clock to the next while somebody's time is measured
LATE = 0.25  # seconds by which such a look is late that mean that the event loop was blocked


@final
class Machine:
    """One run of one supervisor; see the module. *incarnations* is kept by the caller over runs, and counted up
    here."""

    def __init__(
        self,
        path: str,
        specs: Iterable[ChildSpec],
        *,
        options: Options,
        random: Random,
        incarnations: dict[str, int],
    ) -> None:
        self.children = Children(path, options, incarnations)
        self.is_ending = False
        self.is_over = False
        self.is_ready = False
        self.ends_by_itself = False  # because its significant children have ended
        self.error: BaseException | None = None  # to be raised in the end
        self._all_hang = False  # was said already
        self._to_stop: list[str] = []  # during the end; next one last
        self._rounds = Rounds(self.children)
        self._restarts = Restarts(self.children, self._rounds, random)
        self._aftermath = Aftermath(self.children, self._rounds, self._restarts)
        for spec in specs:
            self.children.add(spec)

    def next_due(self) -> float | None:
        """Give the time at which the machine wants a `Tick`, if any."""
        alarms = self.children.alarms
        due = None if self.is_over else alarms.next_due()
        return min(due, self.children.now + PULSE) if due is not None and alarms.has_patience else due

    def on(self, fact: Fact, now: float) -> list[Directive]:
        """Take note of *fact*, which happened at *now*, and give what is to be done about it, in order."""
        children = self.children
        before, children.now = children.now, now
        if not self.is_over:
            if isinstance(fact, Tick) and fact.late > LATE:
                self._give_back(now - before)
            self._enter(fact)
            if not self.is_ending:
                self._restarts.causes.replace_lost_canaries()
            self._advance()
        # Handed over, not shared: what is in them, errors too, must not live on until the next fact.
        directives, children.directives = children.directives, []
        return directives

    # ── facts ──

    def _enter(self, fact: Fact) -> None:
        match fact:
            case Begin():
                self._rounds.begin_initial()
            case CameUp():
                self._came_up(fact)
            case Ended():
                self._ended(fact)
            case Hangs(child=child, incarnation=incarnation):
                self._hangs(self._slot(child, incarnation))
            case StopAsked():
                self._begin_end(None)
            case CutAsked():
                self._begin_end(None)
                self._cut()
            case Broke(error=error):
                self._begin_end(error)
            case RestartsBelow():
                self._restarted_below(fact)
            case Tick():
                self._tick()
            case _:
                self._requested(fact)

    def _slot(self, child: str, incarnation: int) -> Slot | None:
        slot = self.children.slots.get(child)
        # A late word of a former incarnation says nothing about this one.
        return slot if slot is not None and slot.is_alive and slot.incarnation == incarnation else None

    def _came_up(self, fact: CameUp) -> None:
        slot = self._slot(fact.child, fact.incarnation)
        if slot is None or slot.state is not ChildState.STARTING:
            return
        children = self.children
        slot.came_up(children.now, children.alarms)
        children.tell(ChildStarted(**children.record(slot), incarnation=slot.incarnation))
        children.answer(slot.starter, fact.value)
        slot.starter = None
        self._restarts.causes.came_up(slot)

    def _requested(self, request: Request) -> None:
        children = self.children
        if not self.is_ending:
            on_request(children, self._rounds.current, request)
        elif isinstance(request, TerminateAsked):
            # All are being stopped anyway, in an order that this must not disturb.
            slot = children.slots.get(request.child)
            if slot is not None and slot.is_alive:
                slot.terminators += (request.token,)
            else:
                children.answer(request.token)
        elif not isinstance(request, Withdrawn | Added):  # what was added starts with the next run
            children.refuse(request.token, SupervisorNotRunning(children.path, "stopping"))

    def _give_back(self, lost: float) -> None:
        """Put off whatever measures somebody's time: nobody has been able to run since the machine was last told
        anything, or a quarter of a second later."""
        children = self.children
        for key in children.alarms.patience:
            slot = children.slots[key[0]]
            if slot.reprieves < REPRIEVES:
                slot.reprieves += 1
                children.alarms.put_off(key, lost)

    def _tick(self) -> None:
        while (key := self.children.alarms.pop_due(self.children.now)) is not None:
            self._alarm(key)

    def _alarm(self, key: AlarmKey) -> None:
        id, alarm = key
        children = self.children
        match alarm:
            case Alarm.DEADLINE:
                self._cut()
            case Alarm.ROUND:
                self._rounds.begin_starting()
            case Alarm.RESTART:
                self._rounds.due(children.slots[id])
            case Alarm.START_TIMEOUT:
                children.slots[id].is_late = True
                children.stop(children.slots[id])
            case Alarm.CANCEL:
                children.cancel(children.slots[id])
            case Alarm.PROOF:
                self._restarts.causes.proved(id)
            case Alarm.UNPARK:
                self._restarts.unpark(children.slots[id])
            case Alarm.HANGS:
                children.hangs(children.slots[id], is_known=False)
            case _:
                assert_never(alarm)

    def _hangs(self, slot: Slot | None) -> None:
        if slot is not None:
            self.children.hangs(slot, is_known=True)

    def _ended(self, fact: Ended) -> None:
        slot = self._slot(fact.child, fact.incarnation)
        if slot is None:
            return
        ending = self._aftermath.of(slot, fact.exit, is_ending=self.is_ending)
        if ending is not None:
            self._end_as(ending)

    def _end_as(self, ending: Ending) -> None:
        self.ends_by_itself |= ending.error is None
        self._begin_end(ending.error)

    def _restarted_below(self, fact: RestartsBelow) -> None:
        slot = self._slot(fact.child, fact.incarnation)
        problem = None if slot is None or self.is_ending else self._restarts.below(slot, fact)
        if problem is not None:
            self._begin_end(problem)

    # ── the end ──

    def _advance(self) -> None:
        if self.is_ending:
            self._advance_end()
        elif self._rounds.advance():
            self.is_ready = True
            self.children.directives.append(Ready())

    def _begin_end(self, error: BaseException | None) -> None:
        if self.is_ending:
            if error is not None and not isinstance(error, Exception) and not _is_fatal(self.error):
                self.error = error
            return
        children = self.children
        self.is_ending = True
        self.error = error
        children.tell(SupervisorStopping(supervisor=children.path, at=children.now))
        self._rounds.give_up()
        children.alarms.set((OURS, Alarm.DEADLINE), children.now + children.options.shutdown_deadline)
        for slot in children.slots.values():
            for token in (slot.starter, slot.comes_back_for):
                children.refuse(token, SupervisorNotRunning(children.path, "stopping"))
            slot.starter = slot.comes_back_for = None
            slot.disarm(children.alarms)
            # Who is late now is stopped in its turn: it must not be before those started after it.
            children.alarms.clear((slot.spec.id, Alarm.START_TIMEOUT))
            if slot.is_awaited:
                slot.state = ChildState.STOPPED
        alive = [id for id, slot in children.slots.items() if slot.is_alive]
        if children.options.template is None:
            self._to_stop = alive
            return
        for id in reversed(alive):
            children.stop(children.slots[id])

    def _advance_end(self) -> None:
        children = self.children
        if children.stop_last(self._to_stop):
            return
        if not children.alive:
            self.is_over = True
            children.directives.append(End(self.error, by_itself=self.ends_by_itself))
        elif children.alive == children.hanging and not self._all_hang:
            self._all_hang = True
            children.directives.append(AllHang())

    def _cut(self) -> None:
        for slot in reversed(self.children.slots.values()):
            if slot.is_alive and not slot.is_hanging:
                self.children.cut(slot)


def _is_fatal(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, Exception)
