"""A machine on the bench: told facts by hand, it answers in short words."""

from __future__ import annotations

from random import Random
from typing import Any

from tocsin_supervisors import (
    Backoff,
    ChildSpec,
    ChildState,
    Crashed,
    Exit,
    Failure,
    Options,
    Renewed,
    RestartIntensity,
    Stopped,
    Suspended,
)
from tocsin_supervisors._decisions import Machine
from tocsin_supervisors._directives import (
    AllHang,
    Answer,
    Begin,
    CameUp,
    CancelChild,
    Directive,
    End,
    Ended,
    Fact,
    NoteHanging,
    Ready,
    Refuse,
    RequestStop,
    StartChild,
    Tell,
    TellAbove,
    Tick,
)

FAILURE = Failure.of(ValueError("broken"))
CRASHED = Crashed(FAILURE)
SUSPENDED = Suspended(FAILURE)
RENEWED = Renewed(FAILURE)
PLENTY = RestartIntensity(1000, 60.0, max_consecutive=None)


async def told() -> None: ...


async def with_context(context: object) -> None: ...


def spec(id: str, **options: Any) -> ChildSpec:
    defaults: dict[str, Any] = {"backoff": Backoff.none(), "intensity": PLENTY}
    return ChildSpec(id, with_context, **{**defaults, **options})


class Bench:
    """A machine, the time, and short words for what it answers."""

    def __init__(self, *specs: ChildSpec, **options: Any) -> None:
        self.now = 100.0
        self.reports: list[Any] = []
        self.told_above = 0  # restarts, in sum
        options.setdefault("intensity", PLENTY)
        lives: dict[str, int] = options.pop("incarnations", {})
        self.machine = Machine("root", specs, options=Options(**options), random=Random(1), incarnations=lives)

    def on(self, fact: Fact) -> list[Directive]:
        """Tell a fact, and give the directives that are no reports."""
        directives = self.machine.on(fact, self.now)
        self.reports += [each.report for each in directives if isinstance(each, Tell)]
        self.told_above += sum(each.count for each in directives if isinstance(each, TellAbove))
        return [each for each in directives if not isinstance(each, Tell | TellAbove)]

    def words(self, fact: Fact) -> list[str]:
        """Tell a fact, and give the directives as words."""
        return [_word(each) for each in self.on(fact)]

    def begin(self) -> Bench:
        """Start all children and have each come up."""
        directives = self.on(Begin())
        while (start := next((each for each in directives if isinstance(each, StartChild)), None)) is not None:
            directives = self.on(CameUp(start.spec.id, start.incarnation))
        return self

    def later(self, seconds: float) -> list[str]:
        """Let time pass, then tick."""
        self.now += seconds
        return self.words(Tick())

    def up(self, id: str) -> list[str]:
        """The incarnation of *id* came up."""
        return self.words(CameUp(id, self.incarnation(id)))

    def ended(self, id: str, exit: Exit = Stopped()) -> list[str]:  # noqa: B008  # frozen
        """The incarnation of *id* ended."""
        return self.words(Ended(id, self.incarnation(id), exit))

    def incarnation(self, id: str) -> int:
        """Give the number of the last incarnation."""
        return self.machine.children.slots[id].incarnation

    def state(self, id: str) -> ChildState:
        """Give the state of a child."""
        return self.machine.children.slots[id].state


def _word(directive: Directive) -> str:
    match directive:
        case StartChild(spec=spec):
            return f"start {spec.id}"
        case RequestStop(child=child):
            return f"stop {child}"
        case CancelChild(child=child):
            return f"cancel {child}"
        case NoteHanging(child=child):
            return f"{child} hangs"
        case Answer(token=token):
            return f"answer {token}"
        case Refuse(token=token, error=error):
            return f"refuse {token} {type(error).__name__}"
        case Ready() | AllHang() | End():
            return type(directive).__name__
        case Tell() | TellAbove():  # pragma: no cover  # taken out before
            return "tell"
