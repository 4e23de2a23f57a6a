"""One child as its supervisor's machine keeps it, and the child's ladder of being stopped."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeAlias, final

import attrs

from ._alarms import Alarms
from ._children import ChildSpec, ChildState
from ._intensity import RestartHistory
from ._policies import RestartPolicy

if TYPE_CHECKING:
    from random import Random

    from ._failures import Failure

OURS = ""  # in the place of a child's id in the key of an alarm of the supervisor itself: no child has it
HANGS_AFTER = 1.0  # seconds from the cancellation of all that is left, at the deadline, to the report of what hangs


@final
@enum.unique
class Alarm(enum.Enum):
    """What is due."""

    RESTART = "restart"
    START_TIMEOUT = "start_timeout"
    CANCEL = "cancel"
    HANGS = "hangs"
    PROOF = "proof"  # a canary has been up for long enough
    UNPARK = "unpark"
    ROUND = "round"  # of the supervisor: the backoff of a group restart is over
    DEADLINE = "deadline"  # of the supervisor: the time for an ordered stop is over

    if not TYPE_CHECKING:  # pragma: no branch
        __hash__ = object.__hash__  # there is one of each; that of an enum hashes the name, in Python


AlarmKey: TypeAlias = tuple[str, Alarm]
ChildAlarms: TypeAlias = Alarms[AlarmKey]
_OF_A_LIFE = (Alarm.START_TIMEOUT, Alarm.CANCEL, Alarm.HANGS, Alarm.PROOF)
_BEFORE_A_LIFE = (Alarm.RESTART, Alarm.UNPARK)
_PATIENCE = frozenset({Alarm.START_TIMEOUT, Alarm.CANCEL, Alarm.HANGS, Alarm.PROOF})
REPRIEVES = 10  # for one step: a child that itself blocks the event loop, again and again, is not excused for ever
_ALIVE = frozenset({ChildState.STARTING, ChildState.RUNNING, ChildState.STOPPING})


def is_patience(key: AlarmKey) -> bool:
    """Tell whether an alarm ends what a child may take for something: only time in which it could run counts for
    that."""
    return key[1] in _PATIENCE


@final
@attrs.define
class Slot:
    """The child's place in the start order, kept over all its incarnations."""

    spec: ChildSpec
    state: ChildState = ChildState.WAITING
    incarnation: int = 0
    restarts: int = 0
    stalls: int = 0  # of the event loop, by its code or that of a child below it
    last_failure: Failure | None = None
    history: RestartHistory = attrs.field(factory=RestartHistory)
    suspensions: int = 0  # in a row
    up_since: float | None = None  # None until the incarnation is up
    was_up: bool = False  # in any incarnation of this run
    takes_context: bool = False  # this life does; the spec may have been changed meanwhile
    is_late: bool = False  # being stopped for exceeding its start time-out
    reprieves: int = 0  # how often an alarm of this step was put off, as the event loop had been blocked
    is_hanging: bool = False  # has not ended although all was done
    starter: int | None = None  # token of who waits for it to be up
    asked_by: int | None = (
        None  # token of who had it started, kept after the answer: the request may still be withdrawn
    )
    terminators: tuple[int, ...] = ()  # tokens of who waits for it to be down
    is_kept: bool = True  # its spec outlives this run anyway, so what it is started with may be kept here as well
    is_new: bool = False  # added by the request that it was started for
    is_ordered_down: bool = False  # to be down for good, by request
    comes_back_for: int | None = None  # token of who wants it to be started again as soon as it is down
    is_unwanted: bool = False  # to be forgotten once it is down

    @property
    def is_alive(self) -> bool:
        """True while an incarnation exists."""
        return self.state in _ALIVE

    @property
    def is_awaited(self) -> bool:
        """True while it is down but about to be started."""
        return self.state in (ChildState.WAITING, ChildState.SUSPENDED)

    @property
    def is_being_started(self) -> bool:
        """True while somebody waits for it to be up."""
        return self.starter is not None or self.comes_back_for is not None

    @property
    def lives_once(self) -> bool:
        """True if it is never started a second time, so that what it is started with can be let go."""
        return self.spec.restart is RestartPolicy.TEMPORARY and not self.is_kept

    def live(self, incarnation: int, now: float, alarms: ChildAlarms) -> None:
        """Enter a new life."""
        assert not self.is_alive, f"two incarnations of {self.spec.id!r}"
        self.disarm(alarms)
        self.state = ChildState.STARTING
        self.incarnation = incarnation
        self.up_since = None
        self.takes_context = self.spec.wants_context
        self.is_late = False
        self.reprieves = 0
        alarms.set((self.spec.id, Alarm.START_TIMEOUT), now + self.spec.start_timeout)

    def disarm(self, alarms: ChildAlarms) -> None:
        """Whatever was to start it some time does not."""
        self._clear(alarms, _BEFORE_A_LIFE)

    def came_up(self, now: float, alarms: ChildAlarms) -> None:
        """The start succeeded."""
        self.state = ChildState.RUNNING
        self.up_since = now
        self.was_up = True
        alarms.clear((self.spec.id, Alarm.START_TIMEOUT))

    def stop(self, now: float, alarms: ChildAlarms, *, cancelled: bool) -> None:
        """Enter the ladder of being stopped; *cancelled*: on its last rung, with the cancellation."""
        id, grace = self.spec.id, self.spec.grace_period
        self.state = ChildState.STOPPING
        self.reprieves = 0
        alarms.clear((id, Alarm.START_TIMEOUT))
        if not cancelled:
            alarms.set((id, Alarm.CANCEL), now + grace)
        elif self.takes_context:
            alarms.set((id, Alarm.HANGS), now + self.spec.cleanup_period)
        else:
            # What takes no context cannot be told, only cancelled; then its grace period is the time for its cleanup.
            alarms.set((id, Alarm.HANGS), now + grace)

    def died(self, now: float, alarms: ChildAlarms) -> None:
        """Leave life, judging it: a long one ends a row of short ones."""
        self._clear(alarms, _OF_A_LIFE)
        if self.up_since is not None:
            uptime = now - self.up_since
            self.history.settled(uptime, self.spec.stable_after)
            if uptime >= self.spec.stable_after:
                self.suspensions = 0
        self.state = ChildState.STOPPED
        self.up_since = None
        self.is_hanging = False

    def _clear(self, alarms: ChildAlarms, which: tuple[Alarm, ...]) -> None:
        if alarms.is_any_set:
            for alarm in which:
                alarms.clear((self.spec.id, alarm))

    def absolve(self) -> None:
        """It gets all its chances again: somebody has looked at it, or it has rested."""
        self.history.clear()
        self.suspensions = 0

    def delay(self, random: Random, *, suspended: bool) -> float:
        """Give the seconds until the next start, after the failure was charged."""
        if suspended:
            self.suspensions += 1
            return self.spec.suspension.delay(self.suspensions, random)
        return self.spec.backoff.delay(max(1, self.history.consecutive), random)
