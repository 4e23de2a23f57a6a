"""The phases of one run of a bus, and who may publish in which."""

from __future__ import annotations

import enum


@enum.unique
class Phase(enum.Enum):
    """Where a bus is between start and stop. It only moves forward, and begins again at `NEW` with the next run."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FORKED = "forked"  # the child of a fork: the tasks stayed with the parent

    def __str__(self) -> str:
        return self.value


# While the bus drains, what handlers publish is still taken: it is the consequence of work that was accepted before.
_OPEN_TO_ALL = frozenset({Phase.RUNNING})
_OPEN_TO_HANDLERS = frozenset({Phase.STARTING, Phase.RUNNING, Phase.DRAINING})
_ORDER = tuple(Phase)


def may_publish(phase: Phase, *, from_handler: bool) -> bool:
    """Say whether an event is taken in *phase*: from anyone while running, from actors before and after, too."""
    return phase in (_OPEN_TO_HANDLERS if from_handler else _OPEN_TO_ALL)


def is_over(phase: Phase) -> bool:
    """Say whether a run in *phase* has ended its tree, so that the bus may run again."""
    return phase in (Phase.NEW, Phase.STOPPED, Phase.FORKED)


def ends(phase: Phase) -> bool:
    """Say whether the tree of a run in *phase* is being stopped, or was: nothing in it is started again."""
    return phase in (Phase.STOPPING, Phase.STOPPED)


def forward(current: Phase, wanted: Phase) -> Phase:
    """Give the later of both phases: a stop that was asked for twice, or a drain asked for while stopping, changes
    nothing.
    """
    return max(current, wanted, key=_ORDER.index)
