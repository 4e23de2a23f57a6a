"""What a subscriber may ask for: every option, its default and the reason for it, checked at the door."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Literal, TypedDict, final

from attrs import Attribute, field, frozen, validators

from tocsin_supervisors import Backoff, RestartIntensity, RestartPolicy, RetryPolicy
from tocsin_supervisors._checks import one_of, word

from ._deduplication import Deduplicate
from ._envelope import Priority, check_priority
from ._overflow import Coalesce, Overflow, Reject, WaitForRoom

OVERFLOWS = Overflow.__args__  # the members of the closed union


class Options(TypedDict, total=False):
    """The keyword options of `subscriber`, `actor` and `subscribe`; `Settings` says what each means."""

    name: str | None
    when: Callable[[Any], bool] | None
    mailbox: int
    overflow: Overflow
    concurrency: int
    key: Callable[[Any], Hashable] | None
    strict_order: bool
    retry: RetryPolicy
    timeout: float | None
    restart: RestartPolicy
    intensity: RestartIntensity
    backoff: Backoff
    suspension: Backoff
    stable_after: float
    on_exhausted: Literal["escalate", "park"]
    unpark_after: float
    needs: Iterable[str]
    on_failure: Literal["restart", "resume"]
    sick_after: int
    grace_period: float
    start_timeout: float
    priorities: Iterable[Priority]
    deduplicate: Deduplicate | None
    context: Literal["actor", "delivery"]
    activation: Literal["start", "first_event"]
    durable: bool


def _name(instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{attribute.name}={value!r}: must be a text, or None for the name of the handler")
    if value == "":
        raise ValueError(f"{attribute.name}='': must not be empty, it is how the subscription is addressed")


def _whole_number(instance: object, attribute: Attribute[Any], value: object) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"{attribute.name}={value!r}: must be a whole number of at least 1")


def _seconds(instance: object, attribute: Attribute[Any], value: object) -> None:
    if type(value) not in (int, float) or not value >= 0:  # type: ignore[operator]  # NaN fails the comparison too
        raise ValueError(f"{attribute.name}={value!r}: must be seconds, 0 or more (math.inf for no limit)")


def _time_limit(instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is None:
        return
    if type(value) not in (int, float) or not 0 < value < math.inf:  # type: ignore[operator]
        raise ValueError(f"{attribute.name}={value!r}: must be seconds above 0, or None for no limit")


def _function(instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and (not callable(value) or inspect.iscoroutinefunction(value)):
        raise TypeError(f"{attribute.name}={value!r}: must be a plain function of the event, or None")


_ALL_PRIORITIES = frozenset(Priority)


def _priorities(value: Iterable[Priority]) -> frozenset[Priority]:
    if value is _ALL_PRIORITIES:
        return _ALL_PRIORITIES  # one for all
    chosen = frozenset(check_priority(each) for each in value)
    if not chosen:
        raise ValueError(
            "priorities=(): a subscription without any priority would never get an event; name at least one"
        )
    return chosen


def _names(value: Iterable[str]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(name, str) for name in names):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may not check types
        raise TypeError(f"needs={value!r}: must be names of other subscriptions of the same group")
    return names


@final
@frozen(kw_only=True)
class Settings:
    """The options of one subscription. All durations are seconds."""

    name: str | None = field(default=None, validator=_name)
    """How the subscription is addressed in reports, statistics, `ask` and `replay`; by default the name of the handler.
    """
    when: Callable[[Any], bool] | None = field(default=None, validator=_function)
    """A predicate on the event: only events for which it is true are delivered.

    Called while publishing, so it must be quick.
    """
    mailbox: int = field(default=1000, validator=_whole_number)
    """How many deliveries wait at most, retries included. 1,000 as in Akka's bounded mailbox."""
    overflow: Overflow = field(default=WaitForRoom(), validator=validators.instance_of(OVERFLOWS))
    """What a full mailbox does; by default publishers wait, which loses nothing."""
    concurrency: int = field(default=1, validator=_whole_number)
    """How many deliveries are handled at the same time. 1, so that a handler needs no locks."""
    key: Callable[[Any], Hashable] | None = field(default=None, validator=_function)
    """Gives the ordering key of an event: deliveries with equal keys are never handled at the same time, and in order.
    """
    strict_order: bool = field(default=False, validator=one_of(bool))
    """True: a delivery waiting for its retry holds back the ones behind it (with a key: those of its key)."""
    retry: RetryPolicy = field(default=RetryPolicy(), validator=one_of(RetryPolicy))
    """How often and when a failed delivery is attempted again."""
    timeout: float | None = field(default=30.0, validator=_time_limit)
    """The time limit of one attempt. 30 s: long enough for slow I/O, and a hang is noticed the same minute.

    It is measured from the first time that the handler waits for something: before, nobody could end it.

    A handler that returns normally has handled the delivery, even after it caught the cancellation of its time limit. A
    plain function runs in a thread, which nobody can stop: its result stands, however late.
    """
    restart: RestartPolicy = field(default=RestartPolicy.PERMANENT, validator=one_of(RestartPolicy))
    """Whether the actor is started again after it ended; OTP's three policies."""
    intensity: RestartIntensity = field(default=RestartIntensity(), validator=one_of(RestartIntensity))
    """How many restarts of this actor are too many."""
    backoff: Backoff = field(default=Backoff(), validator=one_of(Backoff))
    """The delay before a restart after a crash."""
    suspension: Backoff = field(default=Backoff(initial=1.0, maximum=30.0), validator=one_of(Backoff))
    """How long a sick actor is suspended. From 1 s, so that an outage alone never uses up the default intensity."""
    stable_after: float = field(default=60.0, validator=_seconds)
    """After this uptime a crash counts as the first one again."""
    on_exhausted: Literal["escalate", "park"] = field(default="escalate", validator=word("escalate", "park"))
    """When the intensity is exceeded:

    `escalate` gives up the group (OTP), `park` leaves this actor down and its siblings up.
    """
    unpark_after: float = field(default=math.inf, validator=_seconds)
    """How long a parked actor stays down until it is started again; never, unless somebody says how long a rest helps.
    """
    needs: tuple[str, ...] = field(default=(), converter=_names)
    """Names of others in the same group that it cannot work without: while one of them is being restarted, a failure of
    this actor is charged to nobody, and it is held until that one is up.
    """
    on_failure: Literal["restart", "resume"] = field(default="restart", validator=word("restart", "resume"))
    """Actor classes: after a failed attempt build the state anew (`restart`, uncharged) or keep it (`resume`).

    Functions have none.
    """
    sick_after: int = field(default=5, validator=_whole_number)
    """So many different deliveries failing in a row, none succeeding between, make the actor sick rather than the
    messages poison.
    """
    grace_period: float = field(default=5.0, validator=_seconds)
    """How long a delivery may go on after a stop was asked for, and how long `stopping()` may take; as in OTP."""
    start_timeout: float = field(default=30.0, validator=_seconds)
    """How long `started()` may take."""
    priorities: frozenset[Priority] = field(default=_ALL_PRIORITIES, converter=_priorities)
    """Which priorities are delivered; events of the others do not match."""
    deduplicate: Deduplicate | None = field(
        default=None, validator=validators.optional(validators.instance_of(Deduplicate))
    )
    """Drop events that this subscription has taken before."""
    context: Literal["actor", "delivery"] = field(default="actor", validator=word("actor", "delivery"))
    """Context variables seen by the handler: the incarnation's own, or for each delivery a copy of its publisher's
    (costs a task).
    """
    activation: Literal["start", "first_event"] = field(default="start", validator=word("start", "first_event"))
    """When its actor is made: with the bus, or by the first event that matches, or whoever addresses it by name, as
    Orleans activates a grain and systemd a service.

    Until then it is *dormant*: it costs a place in the routing, and its bus starts without it. Only for actors that
    need no task (no `started()` or `stopping()`, `concurrency=1`, `context="actor"`), that are not durable, and whose
    group restarts each alone (`ONE_FOR_ONE`). Where the event loop does not let a pool of workers serve them, it starts
    with the bus all the same.
    """
    durable: bool = field(default=False, validator=one_of(bool))
    """True: what this subscription has accepted is in the store of the bus before `publish` returns, and outlives the
    process until it has ended.
    """

    def __attrs_post_init__(self) -> None:
        if self.durable and not isinstance(self.overflow, WaitForRoom | Reject):
            raise ValueError(
                f"durable=True with overflow={self.overflow!r} would keep what is dropped then: let publishers wait "
                "(WaitForRoom()) or refuse them (Reject())"
            )
        if self.activation == "first_event" and (self.durable or self.concurrency > 1 or self.context != "actor"):
            raise ValueError(
                f'activation="first_event" with durable={self.durable}, concurrency={self.concurrency}, '
                f"context={self.context!r}: only an actor that needs no task, and has nothing in a store, may wait for "
                'its first event; use durable=False, concurrency=1, context="actor", or activation="start"'
            )
        if self.strict_order and self.concurrency > 1 and self.key is None:
            raise ValueError(
                f"strict_order=True with concurrency={self.concurrency} has no order to keep: "
                "use concurrency=1, or give key=…"
            )
        if isinstance(self.overflow, Coalesce) and self.key is not None:
            raise ValueError(
                "overflow=Coalesce(by=…) and key=… exclude each other: coalescing keeps one event per key anyway"
            )


def settings_of(options: Options) -> Settings:
    """Make the settings from keyword options; raise TypeError, naming what is allowed, for one that does not exist."""
    unknown = options.keys() - Options.__optional_keys__
    if unknown:
        allowed = ", ".join(sorted(Options.__optional_keys__))
        raise TypeError(f"unknown option of a subscription: {', '.join(sorted(unknown))}; allowed are {allowed}")
    return Settings(**options)
