"""What a supervisor runs: the frozen description of a child, checked at the door, and how a child is seen from
outside."""

from __future__ import annotations

import abc
import enum
import inspect
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

import attrs

from ._backoff import Backoff
from ._checks import check_number, check_text, one_of, word
from ._intensity import RestartIntensity
from ._policies import RestartPolicy

if TYPE_CHECKING:
    from ._advice_views import SupervisorView
    from ._contexts import ChildContext
    from ._residences import Residence
    from ._views import TreeNode


class Nested(abc.ABC):
    """What a child spec needs to know of a supervisor that is a child. `Supervisor` is the only one."""

    __slots__ = ()

    @abc.abstractmethod
    async def live_as_child(self, context: ChildContext) -> None:
        """Run until stopped or dead, as an incarnation of a child of another supervisor."""

    @abc.abstractmethod
    def count_stall(self, child: str) -> None:
        """Count a stall of the event loop for the child with the path *child*, which is below it."""

    @abc.abstractmethod
    def advice_view(self) -> SupervisorView:
        """Give what the advice on it is drawn from."""

    @abc.abstractmethod
    def tree(self) -> TreeNode:
        """Give a snapshot of it and of all below it."""


class Resident(abc.ABC):
    """A child without a task of its own: others do its work, and it says itself when a life of it has ended. For what
    comes by the thousand, and is idle most of the time."""

    __slots__ = ()

    @abc.abstractmethod
    def begin(self, residence: Residence) -> None:
        """Begin a life, in one step: call `residence.context.started()`, or raise why it does not start. The life is
        over when `residence.ended` is called, in this step or a later one.

        The current context of variables is the supervisor's own; code of the user belongs into `residence.variables()`.
        """

    @abc.abstractmethod
    def asked_to_stop(self) -> None:
        """It is to stop: whoever has nothing to do may end in this very step."""

    @abc.abstractmethod
    def cancel(self) -> None:
        """Cancel what it does; it was told to stop before."""

    @abc.abstractmethod
    def awaitable(self) -> object:
        """Give what its work awaits, to be looked into: None if nobody works for it."""


_OWN_KINDS = (Nested, Resident)
Start: TypeAlias = "Callable[[], Awaitable[object]] | Callable[[ChildContext], Awaitable[object]] | Nested | Resident"


@final
@enum.unique
class ChildState(enum.Enum):
    """What a child is doing."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    WAITING = "waiting"  # down, until its turn or its backoff has come
    SUSPENDED = "suspended"  # down, until its suspension is over
    PARKED = "parked"  # down for exceeding its restart intensity, until somebody restarts it
    STOPPED = "stopped"  # down, not to come back by itself
    FINISHED = "finished"  # down because it returned

    if not TYPE_CHECKING:  # pragma: no branch
        __hash__ = object.__hash__  # there is one of each; that of an enum hashes the name, in Python


def _text(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_text(attribute.name, value)


def _callable(_instance: object, _attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, _OWN_KINDS):
        return
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError(
            f"start={value!r} has been called already: give the function itself, each restart calls it anew"
        )
    if not callable(value):
        raise TypeError(
            f"start={value!r} must be an async function of no argument or of a ChildContext, or a Supervisor"
        )
    if inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value):
        raise TypeError(f"start={value!r} is a generator function: it must be an async function that does not yield")


def _seconds(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_number(attribute.name, value, at_least=0, at_most=math.inf)


def _ids(value: Iterable[str]) -> tuple[str, ...]:
    # A text is iterable as well: taken apart into letters it would be wrong without a word.
    if isinstance(value, str):
        raise TypeError(f"needs={value!r} must be a tuple of ids, not a text: write ({value!r},)")
    if not isinstance(value, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may not check types
        raise TypeError(f"needs={value!r} must be a tuple of ids of other children of the same supervisor")
    return tuple(value)


def _siblings(spec: ChildSpec, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    if not all(isinstance(each, str) for each in value):
        raise TypeError(f"{attribute.name}={value!r} must be a tuple of ids of other children of the same supervisor")
    if spec.id in value:
        raise ValueError(f"{attribute.name}={value!r} names the child itself: name only those it cannot work without")


def takes_context(start: Callable[..., object]) -> bool:
    """Tell whether *start* takes a `ChildContext`: one required positional argument. Raise `TypeError` if it needs
    anything else."""
    try:
        parameters = inspect.signature(start).parameters.values()
    except ValueError:  # a callable without a signature, as some written in C are
        return False
    required = [each for each in parameters if each.default is each.empty and each.kind not in _VARIADIC]
    if any(each.kind is each.KEYWORD_ONLY for each in required) or len(required) > 1:
        names = ", ".join(each.name for each in required)
        raise TypeError(
            f"start={start!r} requires the arguments {names}: it may require none, or one for the ChildContext; "
            "bind the others with functools.partial"
        )
    return bool(required)


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _default_grace_period(spec: ChildSpec) -> float:
    # OTP's defaults: a worker gets 5 s, a supervisor as long as its own children need. The root's deadline bounds both.
    return math.inf if isinstance(spec.start, Nested) else 5.0


def _default_start_timeout(spec: ChildSpec) -> float:
    return math.inf if isinstance(spec.start, Nested) else 30.0


def _default_suspension() -> Backoff:
    return Backoff(initial=1.0, maximum=30.0)


@final
@attrs.frozen
class ChildSpec:
    """How one child is started, restarted and stopped. All durations are seconds.

    A child that takes no argument is up as soon as its first step runs, and is stopped by cancelling it. One that takes
    a `ChildContext` is up when it calls `context.started()`, and is stopped by telling it so, then cancelling it.

    Raise `TypeError` or `ValueError` that name the option, its value and what is allowed.
    """

    id: str = attrs.field(validator=_text)
    """How the child is addressed and reported; unique in its supervisor."""

    start: Start = attrs.field(validator=_callable)
    """An async function of no argument or of one for the `ChildContext`, called anew for each incarnation; or a
    `Supervisor`."""

    restart: RestartPolicy = attrs.field(default=RestartPolicy.PERMANENT, kw_only=True, validator=one_of(RestartPolicy))
    """Whether it is started again after it ended by itself."""

    grace_period: float = attrs.field(
        default=attrs.Factory(_default_grace_period, takes_self=True), kw_only=True, validator=_seconds
    )
    """How long it may take to stop: 5 s, for a supervisor no limit of its own. 0 cancels at once, math.inf never."""

    cleanup_period: float = attrs.field(default=1.0, kw_only=True, validator=_seconds)
    """How long a child with a context may take for its cleanup once it is cancelled, before it is reported as hanging.
    One without a context has its grace period for that."""

    start_timeout: float = attrs.field(
        default=attrs.Factory(_default_start_timeout, takes_self=True), kw_only=True, validator=_seconds
    )
    """How long it may take until it is up: 30 s, for a supervisor no limit of its own."""

    backoff: Backoff = attrs.field(factory=Backoff, kw_only=True, validator=one_of(Backoff))
    """The delay before a restart after a crash."""

    suspension: Backoff = attrs.field(factory=_default_suspension, kw_only=True, validator=one_of(Backoff))
    """The delay before a restart after `SuspendChild`, 1 s to 30 s."""

    stable_after: float = attrs.field(default=60.0, kw_only=True, validator=_seconds)
    """A life this long ends a row of crashes: the next one is the first again. Judged when the life has ended."""

    intensity: RestartIntensity = attrs.field(
        factory=RestartIntensity, kw_only=True, validator=one_of(RestartIntensity)
    )
    """How many restarts of this child are too many."""

    on_exhausted: Literal["escalate", "park"] = attrs.field(
        default="escalate", kw_only=True, validator=word("escalate", "park")
    )
    """When they are: `escalate` gives up the whole supervisor, `park` leaves the child down and its siblings up."""

    unpark_after: float = attrs.field(default=math.inf, kw_only=True, validator=_seconds)
    """How long a parked child stays down until it is started again, with all its restarts to spare: never, unless
    somebody says how long a rest may help."""

    significant: bool = attrs.field(default=False, kw_only=True, validator=one_of(bool))
    """Whether its ending by itself counts for the `auto_shutdown` of its supervisor. Only for children that may: a
    transient one that returns, a temporary one however it ends."""

    needs: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_ids, validator=_siblings)
    """Ids of siblings that it cannot work without. Where children are restarted alone, a failure of it while one of
    these is about to be restarted is not charged; it is held until that one has been up for a second."""

    wants_context: bool = attrs.field(init=False, repr=False, eq=False)
    """Whether `start` is called with a `ChildContext`."""

    def __attrs_post_init__(self) -> None:
        # The class is frozen; this is how attrs lets a derived field be set once.
        wants = True if isinstance(self.start, _OWN_KINDS) else takes_context(self.start)
        object.__setattr__(self, "wants_context", wants)
        if self.significant and self.restart is RestartPolicy.PERMANENT:
            raise ValueError(
                f"significant=True does not go with restart={self.restart}: a permanent child never ends by itself; "
                "use RestartPolicy.TRANSIENT or RestartPolicy.TEMPORARY"
            )

    @property
    def kind(self) -> Literal["actor", "supervisor"]:
        """What the child is, in the words of `TreeNode`."""
        return "supervisor" if isinstance(self.start, Nested) else "actor"


async def _gone() -> None:
    raise AssertionError("a temporary child was started a second time")  # pragma: no cover  # it never is


async def _gone_with_context(_context: ChildContext) -> None:
    raise AssertionError("a temporary child was started a second time")  # pragma: no cover  # it never is


def without_start(spec: ChildSpec) -> ChildSpec:
    """Give *spec* without its start function and what that holds on to; a supervisor stays, as others look into it."""
    if isinstance(spec.start, Nested):
        return spec
    return attrs.evolve(spec, start=_gone_with_context if spec.wants_context else _gone)
