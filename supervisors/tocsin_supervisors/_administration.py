"""How a supervisor is administered and looked at while it runs, and as far as that has a meaning, while it does not."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Unpack, final

import anyio.lowlevel
import attrs

from ._children import ChildSpec, ChildState, Nested
from ._declaration import check_is_spec
from ._requests import DECLINED, Added, DeleteAsked, ReconfigureAsked, RestartAsked, StartAsked, TerminateAsked
from ._showing import count, info_of, node_of
from ._slots import Slot
from ._views import ChildCounts, ChildInfo, TreeNode
from .exceptions import ChildAlreadyPresent, ChildNotFound, SupervisorNotRunning, TemplateSupervisor

if TYPE_CHECKING:
    from ._advice_findings import Finding
    from ._advice_views import SupervisorView
    from ._declaration import Declaration
    from ._options import Changes
    from ._requests import Request
    from ._supervisor_run import Run


@final
class ChildRef:
    """A child that was started from a template: how it is addressed, over all its restarts, for as long as it exists.

    `value` is what it passed to `started()`.
    """

    __slots__ = ("_of", "id", "value")

    def __init__(self, of: Administered, id: str, value: object) -> None:
        self._of = of
        self.id: str = id
        self.value: Any = value

    def is_of(self, supervisor: object) -> bool:
        """Tell whether it is a child of *supervisor*."""
        return self._of is supervisor

    def __repr__(self) -> str:
        return f"<ChildRef {self.id}>"


class Administered(Nested):
    """The part of `Supervisor` that is about its children."""

    # Slots, so that nobody sets an option that would be looked at by nobody: see `reconfigure`.
    __slots__ = ("_declaration", "_from_template", "_incarnations", "_run", "name")

    name: str
    _declaration: Declaration  # what every run starts with
    _run: Run | None
    _incarnations: dict[str, int]  # id → number of its last incarnation, over all runs
    _from_template: int  # children started so far, over all runs

    # ── starting and ending children ──

    async def start_child(self, spec: ChildSpec, *, keep: bool = False) -> Any:
        """Start a child after all others, and give what it passed to `started()`, or None if it declined. Others being
        (re)started come first.

        With *keep* it is started again when this supervisor is; without, it ends with this run, and a temporary one is
        let go of as soon as it runs: it cannot be renewed either (`RenewChild`).
        Raise `ChildAlreadyStarted`, `ChildAlreadyPresent`, `TooManyChildren`, `BadCombination`, `ChildStartError`
        (nothing is kept after any of them, unless it was somebody else who terminated the child: that one may want to
        `restart_child` it), `TemplateSupervisor`, `SupervisorNotRunning`, or `TypeError` for what is no `ChildSpec`.
        Cancelled, the start is undone.
        """
        check_is_spec(spec)  # here, not in the supervisor's own task: it must not be what breaks
        if self._declaration.options.template is not None:
            await anyio.lowlevel.checkpoint()
            raise TemplateSupervisor(self.name, spec.id)
        run = self._run
        value = await self._ask(lambda token: StartAsked(token, spec, keep))
        slot = run.machine.children.slots.get(spec.id) if keep and run is not None else None
        if slot is not None:
            self._declaration.specs[spec.id] = slot.spec  # not *spec*: it may have been reconfigured since it came up
        return None if value is DECLINED else value

    def start_child_soon(self, spec: ChildSpec) -> None:
        """Add a child to those that every run starts with, and start it after all others, without waiting.

        If all others are up, and this is called in a task, its start begins in this very step: what lives without a
        task is up when this returns. Else its turn comes, at the latest with the next run. Nobody is told how the first
        start goes, so one that fails is charged and made again, as its policy says.

        Raise what `declare` raises, and `ChildAlreadyPresent` if a child of this id was started with `start_child`.
        """
        run = self._run
        if run is not None and spec.id in run.machine.children.slots and spec.id not in self._declaration.specs:
            raise ChildAlreadyPresent(run.path, spec.id)
        self._declaration.add(spec)
        if run is not None:
            run.post_now(Added(spec))

    async def start_from_template(self, *args: object, **kwargs: object) -> ChildRef | None:
        """Start the child that the template describes for these arguments, and give its reference; None if it declined.

        Its id is that of the spec with a number behind it, which no other child gets. It is forgotten when it is down
        for good. Raise what the template raises, `TypeError` if it gives no `ChildSpec`, `LookupError` if there is no
        template, and what `start_child` raises. Cancelled, the start is undone.
        """
        template = self._declaration.options.template
        if template is None:
            await anyio.lowlevel.checkpoint()
            raise LookupError(f"supervisor {self.name!r} has no template: give it one, or use start_child()")
        spec = template(*args, **kwargs)
        if inspect.iscoroutine(spec):
            spec.close()  # it is refused below, and is not to be warned of as well
        if not isinstance(spec, ChildSpec):  # pyright: ignore[reportUnnecessaryIsInstance]  # the template may be wrong
            raise TypeError(f"the template of supervisor {self.name!r} gave {spec!r}: it must return a ChildSpec")
        self._from_template += 1
        numbered = attrs.evolve(spec, id=f"{spec.id}-{self._from_template}")
        value = await self._ask(lambda token: StartAsked(token, numbered))
        return None if value is DECLINED else ChildRef(self, numbered.id, value)

    async def terminate_child(self, child: str | ChildRef) -> None:
        """Stop a child, or its restart loop, and wait until it is down; it is not restarted. One that is down is
        left so.

        A temporary child, and one of a template, is forgotten; the reference of one that is gone already is accepted.
        Cancelled, the child is stopped all the same. Raise `ChildNotFound`, or `TemplateSupervisor` for an id where a
        reference is needed.
        """
        try:
            id = self._id_of(child)
            await self._ask(lambda token: TerminateAsked(token, id))
        except ChildNotFound:
            if not (isinstance(child, ChildRef) and child.is_of(self)):
                raise

    async def restart_child(self, child: str | ChildRef, *, even_if_up: bool = False) -> Any:
        """Start a child that is down, parked ones too, with all its restarts to spare; give what it passed to
        `started()`.

        *even_if_up*: one that is up is stopped first, within its grace period, and one that waits for its restart does
        not wait any longer; neither is charged to any limit. One that does not stop is reported, and waited for. Its
        siblings stay up, whatever the strategy. By default it is refused, as in OTP: `ChildRunning`, `ChildRestarting`.
        So are, in any case, one whose start somebody waits for, and a temporary one of a running supervisor, which has
        let go of what it was started with.

        Raise `ChildNotFound`, `ChildRunning`, `ChildRestarting`, `TemplateSupervisor` for an id where a reference is
        needed, or `ChildStartError` (it stays down then). Cancelled, it is brought down again.
        """
        id = self._id_of(child)
        value = await self._ask(lambda token: RestartAsked(token, id, even_if_up))
        return None if value is DECLINED else value

    async def delete_child(self, child: str | ChildRef) -> None:
        """Forget a child that is down, for later runs too; also when this supervisor does not run. Raise
        `ChildNotFound`, `ChildRunning`, `ChildRestarting`, or `TemplateSupervisor` for an id where a reference is
        needed."""
        id = self._id_of(child)
        is_running = self._run is not None
        if is_running:
            await self._ask(lambda token: DeleteAsked(token, id))
        elif id not in self._declaration.specs:
            raise ChildNotFound(self.name, id)
        self._declaration.specs.pop(id, None)
        self._forget(id)
        if not is_running:
            # Only now: what begins to run meanwhile must not begin with this child.
            await anyio.lowlevel.checkpoint()

    async def reconfigure(self, children: Iterable[ChildSpec] = (), **changes: Unpack[Changes]) -> None:
        """Go on under other options: *changes* are keyword options of `Supervisor`, without its name and observer.

        Each of *children* replaces the spec of the same id, from its next start on, its grace period and significance
        at once; new ones are added and stay down until `restart_child`, or the next run; others stay as they are. All
        is checked first: if anything is refused, nothing has changed. What is in progress goes on as it began.
        Cancelled, it is done all the same. Raise what making the supervisor anew would raise.
        """
        present = {slot.spec.id: slot.spec for slot in self._slots()}
        self._declaration = changed = self._declaration.changed(changes, specs := tuple(children), present)
        if self._run is None:
            await anyio.lowlevel.checkpoint()
            return
        with suppress(SupervisorNotRunning):  # it is stopping: the next run goes by it
            await self._ask(lambda token: ReconfigureAsked(token, changed.options, specs))

    def _id_of(self, child: str | ChildRef) -> str:
        if isinstance(child, ChildRef):
            if not child.is_of(self):
                raise ChildNotFound(self.name, child.id)
            return child.id
        if not isinstance(child, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may not check types
            raise TypeError(f"child={child!r} must be the id of a child, or the ChildRef of one")
        if self._declaration.options.template is not None:
            raise TemplateSupervisor(self.name, child)
        return child

    async def _ask(self, request: Callable[[int], Request]) -> Any:
        if self._run is None:
            await anyio.lowlevel.checkpoint()
            raise SupervisorNotRunning(self.name, "not running")
        return await self._run.ask(request)

    def _forget(self, child: str) -> None:
        if child not in self._declaration.specs:
            # Ids of dynamic children may be endless; numbers are kept only for those that may come back.
            self._incarnations.pop(child, None)

    # ── looking on ──

    @property
    def state(self) -> str:
        """The state in a word: starting, running, stopping or stopped."""
        return "stopped" if self._run is None else self._run.state

    def which_children(self) -> tuple[ChildInfo, ...]:
        """Give the children in start order, as they are now; when not running, as they will be."""
        return tuple(map(info_of, self._slots()))

    def which_child(self, child: str | ChildRef) -> ChildInfo:
        """Give one child as it is now. Raise `ChildNotFound`."""
        return info_of(self._slot(child))

    def child_spec(self, child: str | ChildRef) -> ChildSpec:
        """Give the spec of a child, as its next start will see it. Raise `ChildNotFound`."""
        return self._slot(child).spec

    def count_children(self) -> ChildCounts:
        """Count the children."""
        return count(self._slots(), from_template=self._declaration.options.template is not None)

    def tree(self) -> TreeNode:
        """Give a snapshot of this supervisor and all below it."""
        children = tuple(map(node_of, self._slots()))
        strategy = self._declaration.options.strategy.value
        return TreeNode(self.name, "supervisor", self.state, strategy, 0, 0, None, children)

    def explain(self) -> tuple[Finding, ...]:
        """Say in sentences what in this tree will not do what its numbers promise, from here down.

        A limit that can never trip, a stop that takes longer than the deadline above it, a strategy that couples
        children which have nothing to do with each other, an option that is never consulted. Of what is very likely a
        mistake (severity "warning") in a supervisor itself, its constructor has warned already (`SupervisionWarning`).
        """
        from ._advice import explain  # only here, as below: see `Supervisor`

        return explain(self.advice_view())

    def count_stall(self, child: str) -> None:
        """Count a stall of the event loop for the child with the path *child*, if it is one of this run; called by the
        supervisor that watches the loop."""
        run = self._run
        if run is None:
            return
        for slot in run.machine.children.slots.values():
            path = f"{run.path}/{slot.spec.id}"
            if child == path or child.startswith(f"{path}/"):
                slot.stalls += 1
                if isinstance(slot.spec.start, Nested):
                    slot.spec.start.count_stall(child)

    def advice_view(self) -> SupervisorView:
        """Give what the advice on it is drawn from; `explain` gives the advice."""
        from ._advice_adapter import view_of

        return view_of(self.name, self._declaration.options, [slot.spec for slot in self._slots()])

    def _slot(self, child: str | ChildRef) -> Slot:
        is_strange = isinstance(child, ChildRef) and not child.is_of(self)
        id = child.id if isinstance(child, ChildRef) else child
        slot = None if is_strange else self._slot_of(id)
        if slot is None:
            raise ChildNotFound(self.name, id)
        return slot

    def _slot_of(self, id: str) -> Slot | None:
        if self._run is not None:
            return self._run.machine.children.slots.get(id)
        spec = self._declaration.specs.get(id)
        return None if spec is None else self._resting(spec)

    def _slots(self) -> list[Slot]:
        if self._run is not None:
            return list(self._run.machine.children.slots.values())
        return [self._resting(spec) for spec in self._declaration.specs.values()]

    def _resting(self, spec: ChildSpec) -> Slot:
        return Slot(spec, ChildState.STOPPED, self._incarnations.get(spec.id, 0))
