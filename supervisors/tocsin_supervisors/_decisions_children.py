"""The children of one supervisor and the moves that the machine may make with them: start, stop, cancel, forget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from ._alarms import Alarms
from ._children import ChildState, without_start
from ._directives import Answer, CancelChild, NoteHanging, Refuse, RequestStop, StartChild, Tell
from ._policies import RestartPolicy
from ._reports import ChildRemoved
from ._slots import HANGS_AFTER, Alarm, Slot, is_patience

if TYPE_CHECKING:
    from ._children import ChildSpec
    from ._directives import Directive
    from ._options import Options
    from ._reports import Report
    from ._slots import ChildAlarms


@final
class Children:
    """Slots in start order, alarms, and the directives collected in this step. Moves are made only through the
    methods."""

    __slots__ = ("_incarnations", "alarms", "alive", "directives", "hanging", "now", "options", "path", "slots")

    def __init__(self, path: str, options: Options, incarnations: dict[str, int]) -> None:
        self.path = path
        self.options = options  # may be replaced at any time
        self.slots: dict[str, Slot] = {}  # in start order
        self.alarms: ChildAlarms = Alarms(is_patience)
        self.directives: list[Directive] = []
        self.now = 0.0
        self.alive = 0  # incarnations that have not ended
        self.hanging = 0  # of these, the ones that were reported to hang
        self._incarnations = incarnations  # id → number of its last incarnation, over all runs of the supervisor

    def add(self, spec: ChildSpec) -> Slot:
        """Add a child at the end of the start order."""
        slot = self.slots[spec.id] = Slot(spec, incarnation=self._incarnations.get(spec.id, 0))
        return slot

    def start(self, slot: Slot) -> None:
        """Begin the next incarnation."""
        number = self._incarnations[slot.spec.id] = slot.incarnation + 1
        slot.live(number, self.now, self.alarms)
        self.alive += 1
        self.directives.append(StartChild(slot.spec, number))
        if slot.lives_once:
            slot.spec = without_start(slot.spec)

    def stop(self, slot: Slot) -> None:
        """Put an incarnation on the ladder of being stopped; one that takes no context, or is late, is cancelled at
        once."""
        if slot.state is ChildState.STOPPING:
            return
        told = slot.takes_context and not slot.is_late
        slot.stop(self.now, self.alarms, cancelled=not told)
        self.directives.append(RequestStop(slot.spec.id, slot.incarnation))
        if not told:
            self.directives.append(CancelChild(slot.spec.id, slot.incarnation))

    def cancel(self, slot: Slot) -> None:
        """Its grace period is over."""
        slot.stop(self.now, self.alarms, cancelled=True)
        self.directives.append(CancelChild(slot.spec.id, slot.incarnation))

    def cut(self, slot: Slot) -> None:
        """The time of all is over: whatever rung it stands on, cancel it."""
        if slot.state is not ChildState.STOPPING:
            self.directives.append(RequestStop(slot.spec.id, slot.incarnation))
        slot.stop(self.now, self.alarms, cancelled=True)
        self.directives.append(CancelChild(slot.spec.id, slot.incarnation))
        self.alarms.clear((slot.spec.id, Alarm.CANCEL))
        self.alarms.set((slot.spec.id, Alarm.HANGS), self.now + HANGS_AFTER)

    def hangs(self, slot: Slot, *, is_known: bool) -> None:
        """All was done and it has not ended. *is_known*: a nested supervisor has reported what hangs in it."""
        if slot.is_hanging or slot.state is not ChildState.STOPPING:
            return
        slot.is_hanging = True
        self.hanging += 1
        if not is_known:
            self.directives.append(NoteHanging(slot.spec.id, slot.incarnation))

    def ended(self, slot: Slot) -> None:
        """Its incarnation is over."""
        self.alive -= 1
        self.hanging -= slot.is_hanging
        slot.died(self.now, self.alarms)

    def stop_last(self, ids: list[str]) -> bool:
        """Stop the children *ids* from the last to the first, one at a time. True while one is stopping; ids done
        with are taken off."""
        while ids:
            slot = self.slots.get(ids[-1])
            if slot is not None and slot.is_alive and not slot.is_hanging:
                self.stop(slot)
                return True
            ids.pop()
        return False

    def keeps(self, slot: Slot) -> bool:
        """Tell whether a child that is down for good keeps its place."""
        is_passing = slot.spec.restart is RestartPolicy.TEMPORARY or self.options.template is not None
        return not is_passing and not slot.is_unwanted

    def forget(self, slot: Slot) -> None:
        """Take a child that is down out of the start order."""
        assert not slot.is_alive, f"forgot {slot.spec.id!r}, which is alive"
        slot.disarm(self.alarms)
        del self.slots[slot.spec.id]
        self.tell(ChildRemoved(**self.record(slot)))

    def record(self, slot: Slot) -> dict[str, Any]:
        """Give the fields that all reports have."""
        return {"supervisor": self.path, "child": slot.spec.id, "at": self.now}

    def tell(self, report: Report) -> None:
        """Report to the observer."""
        self.directives.append(Tell(report))

    def answer(self, token: int | None, value: object = None) -> None:
        """Tell whoever waits under *token*, if anybody does, that the request was carried out."""
        if token is not None:
            self.directives.append(Answer(token, value))

    def refuse(self, token: int | None, error: Exception) -> None:
        """Tell whoever waits under *token*, if anybody does, that the request was not carried out."""
        if token is not None:
            self.directives.append(Refuse(token, error))
