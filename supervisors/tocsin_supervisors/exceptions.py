"""Every error that supervision raises for its callers, and its one warning. Errors carry their facts as attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._failures import Failure
    from ._intensity import Exceeded


class SupervisionError(Exception):
    """Base of the errors of this package, for an `except` that means all of them."""


class SupervisionWarning(UserWarning):
    """Something in the declaration of a supervisor is very likely a mistake. The text is that of a `Finding`."""


class RestartIntensityExceeded(SupervisionError):
    """A supervisor gave up: it stopped its children, last started first, and ended itself.

    `supervisor` is its path, `child` the child that failed last, `rule` which limit was exceeded, with `restarts` of
    `limit` allowed. `of_supervisor` is true if it was the supervisor's own limit, false if the child's. `failure` is a
    snapshot of the last failure; the exception itself is the `__cause__`.
    """

    def __init__(
        self, supervisor: str, child: str, exceeded: Exceeded, failure: Failure | None, *, of_supervisor: bool
    ) -> None:
        whose = "the supervisor's" if of_supervisor else "the child's"
        last = f"; last failure: {failure.type}: {failure.message}" if failure is not None else ""
        super().__init__(
            f"supervisor {supervisor!r} gave up on child {child!r}: {exceeded} by {whose} intensity{last}. "
            "Repair the cause, allow more restarts, or let the child be parked with on_exhausted='park'"
        )
        self.supervisor = supervisor
        self.child = child
        self.exceeded = exceeded
        self.rule = exceeded.rule
        self.restarts: int = exceeded.restarts
        self.limit: int = exceeded.limit
        self.failure = failure
        self.of_supervisor = of_supervisor


class ChildStartError(SupervisionError):
    """A child did not start. `failure` describes why; the original exception, if there was one, is the `__cause__`."""

    def __init__(self, supervisor: str, child: str, failure: Failure | None, reason: str | None = None) -> None:
        if reason is None:
            reason = f"{failure.type}: {failure.message}" if failure is not None else "no reason given"
        super().__init__(f"child {child!r} of supervisor {supervisor!r} did not start: {reason}")
        self.supervisor = supervisor
        self.child = child
        self.failure = failure


class SupervisorNotRunning(SupervisionError, RuntimeError):
    """The supervisor does not run, or is stopping; use it inside of `async with supervisor.running()`."""

    def __init__(self, supervisor: str, state: str) -> None:
        super().__init__(
            f"supervisor {supervisor!r} is {state}: call this while it runs, between its start and its stop"
        )
        self.supervisor = supervisor
        self.state = state


class SupervisorAlreadyRunning(SupervisionError, RuntimeError):
    """A supervisor was started while it runs; it may run again once it has ended."""

    def __init__(self, supervisor: str) -> None:
        super().__init__(f"supervisor {supervisor!r} runs already: make another one, or wait until this one has ended")
        self.supervisor = supervisor


class ChildError(SupervisionError):
    """Base of the refusals of a request about one child. `supervisor` and `child` say whose."""

    text: str = "cannot be used"

    def __init__(self, supervisor: str, child: str) -> None:
        super().__init__(f"child {child!r} of supervisor {supervisor!r} {self.text}")
        self.supervisor = supervisor
        self.child = child


class DuplicateChild(ChildError, ValueError):
    """Two child specs of one supervisor have the same id."""

    text = "is declared already: give each child an id of its own"


class BadCombination(ChildError, ValueError):
    """Options of a child contradict each other, or those of its supervisor."""

    def __init__(self, supervisor: str, child: str, reason: str) -> None:
        self.text: str = reason if reason.startswith("cannot") else f"is refused: {reason}"
        super().__init__(supervisor, child)


class TooManyChildren(ChildError):
    """The supervisor has as many children as its `max_children` allows, those that are down or restarting included."""

    def __init__(self, supervisor: str, child: str, limit: int) -> None:
        self.text: str = (
            f"is one too many: max_children={limit} are there; wait until one has ended, delete one, or allow more"
        )
        super().__init__(supervisor, child)
        self.limit = limit


class TemplateSupervisor(ChildError):
    """The supervisor has a template: its children come from that, have no ids of their own, and are addressed by their
    `ChildRef`."""

    text = (
        "cannot be addressed by its id, as the supervisor has a template: "
        "use start_from_template() and terminate_child() with the ChildRef it gave"
    )


class ChildNotFound(ChildError, LookupError):
    """The supervisor has no child of this id."""

    text = "does not exist: see which_children() for those that do"


class ChildAlreadyStarted(ChildError):
    """A child of this id is up."""

    text = "is up already: terminate it first, or use another id"


class ChildAlreadyPresent(ChildError):
    """A child of this id is known, but not up."""

    text = "exists already, but is not up: use restart_child(), or delete_child() before starting another one"


class ChildRunning(ChildError):
    """The request needs a child that is down."""

    text = "is up: terminate it first"


class ChildRestarting(ChildError):
    """The request needs a child that is down for good; this one is about to be started again."""

    text = "is being started or restarted: terminate it first, or wait"
