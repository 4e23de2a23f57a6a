"""Whether a bus lives and whether it is ready, decided from its phase and a snapshot of it: no clock, no loop, no bus.

Alive is what a restart of the process could not better:

| phase | alive | why |
|---|---|---|
| new | no | a program that never runs its bus must not look well; if that takes long, there are start-up probes |
| starting | yes | `started()` may take long, and `start_timeout` bounds it |
| running | yes | |
| draining | yes | to be killed now would lose what it still handles; `drain_timeout` bounds it |
| stopping | no | it was asked to, was cancelled or has given up: nothing brings it back, and it says so at once |
| stopped | no | the same |
| forked | no | its tasks stayed with the parent of the fork |

Ready is what others may rely on just now: it runs, every actor that is to be up is up, no mailbox is nearly full. A
subscription that an operator has paused is told of and no complaint: its mailbox takes what comes, and turning all
requests away for it would undo what pausing one of many is for. When its mailbox is nearly full, that is a complaint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, assert_never, final

from attrs import frozen

from tocsin._lifecycle import Phase
from tocsin._overflow import Coalesce, DropOldest
from tocsin._statistics import WELL
from tocsin_supervisors._children import ChildState
from tocsin_supervisors._policies import RestartPolicy
from tocsin_supervisors._text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tocsin._settings import Settings
    from tocsin._statistics import BusStatistics, SubscriptionStatistics

# Down, and nothing is about to change that: right for an actor that may end by itself, wrong for a permanent one.
_ENDED: Final = frozenset({ChildState.FINISHED.value, ChildState.STOPPED.value})
_IS_LIVING: Final = frozenset({Phase.STARTING, Phase.RUNNING, Phase.DRAINING})
_IN_WORDS: Final = {
    Phase.NEW: "was never started",
    Phase.STOPPED: "has stopped",
    Phase.FORKED: "runs in the parent of this forked process, not here",
}


@final
@frozen
class WrongPhase:
    """The bus is in a phase in which it does not live, or is not ready."""

    phase: Phase


@final
@frozen
class ActorDown:
    """An actor that is to be up is not; `state` is that of its `SubscriptionStatistics`."""

    subscription: str
    state: str


@final
@frozen
class MailboxNearlyFull:
    """A mailbox is at the high-water mark or above; retries that wait take room as well."""

    subscription: str
    held: int
    capacity: int


Complaint: TypeAlias = WrongPhase | ActorDown | MailboxNearlyFull
"""What keeps a bus from being alive or ready: a closed set."""


@final
@frozen
class Health:
    """One answer; well when nothing is complained of."""

    bus: str
    phase: str
    complaints: tuple[Complaint, ...] = ()
    paused: tuple[str, ...] = ()
    """The subscriptions that somebody has paused."""

    @property
    def is_well(self) -> bool:
        """True when there is no complaint."""
        return not self.complaints


def liveness(bus: str, phase: str) -> Health:
    """Say whether the bus named *bus* lives, which is in *phase*, by the table above."""
    where = Phase(phase)
    return Health(bus, phase, () if where in _IS_LIVING else (WrongPhase(where),))


def readiness(statistics: BusStatistics, settings: Mapping[str, Settings], high_water: float) -> Health:
    """Say whether the bus of *statistics* is ready.

    *settings* are those of its subscriptions, by name; *high_water* is the share of a mailbox that makes it nearly
    full.
    """
    complaints: list[Complaint] = []
    phase = Phase(statistics.phase)
    if phase is not Phase.RUNNING:
        complaints.append(WrongPhase(phase))  # and nothing of the actors, of which some have to be down in others
    else:
        for name, subscription in statistics.subscriptions.items():
            # One that is not in the settings was unsubscribed in this very moment.
            if name in settings:
                complaints.extend(_of_subscription(subscription, settings[name], high_water))
    paused = tuple(name for name, subscription in statistics.subscriptions.items() if subscription.is_paused)
    return Health(statistics.name, statistics.phase, tuple(complaints), paused)


def _of_subscription(statistics: SubscriptionStatistics, settings: Settings, high_water: float) -> Iterator[Complaint]:
    may_have_ended = settings.restart is not RestartPolicy.PERMANENT and statistics.state in _ENDED
    if statistics.state not in WELL and not may_have_ended:
        yield ActorDown(statistics.name, statistics.state)
    # These two make room by themselves, and full is what they are whenever there is much to do: no load balancer has to
    # turn anybody away for it.
    makes_room = isinstance(settings.overflow, DropOldest | Coalesce)
    held = statistics.depth + statistics.waiting_retry
    if held >= high_water * statistics.capacity and not makes_room:
        yield MailboxNearlyFull(statistics.name, held, statistics.capacity)


def sentence(complaint: Complaint) -> str:
    """Say *complaint* in one printable line, whatever the names in it contain."""
    match complaint:
        case WrongPhase(phase=phase):
            return f"the bus {_IN_WORDS.get(phase, f'is {phase}')}"
        case ActorDown(subscription=name, state=state):
            return f"actor {safe_text(name)} is {state}"
        case MailboxNearlyFull(subscription=name, held=held, capacity=capacity):
            return f"the mailbox of {safe_text(name)} holds {held} of {capacity}"
        case _:
            assert_never(complaint)
