"""Plug-ins: what looks on while a bus runs, in the very step in which something happens.

A plug-in is asked once, when a run begins, what it wants to be called for. What nobody wants is not looked at on the
way of an event: there is no list of plug-ins to go through, and no `if`. See `_instruments.py` for how that is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, final

from attrs import frozen

from tocsin_supervisors._text import safe_repr

from ._events import Event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ._bus import EventBus
    from ._delivery import Delivery
    from ._outcomes import Outcome
    from ._publish_options import PublishOptions
    from ._receipt import Receipt
    from ._reports import Report
    from ._subscription import Subscription

Invoke: TypeAlias = "Callable[[Delivery[Any]], Awaitable[Any]]"
"""Has a delivery attempted; what it gives is awaited."""
Handle: TypeAlias = "Callable[[Any], Awaitable[Any]]"
"""The same for a plain delivery, of which only the event is made; what it gives is awaited."""
PublishEnded: TypeAlias = "Callable[[Receipt | None, BaseException | None], object]"


@final
class Publication:
    """One publish that begins, as a plug-in sees it: its `event`, its `options` as the publisher gave them (nobody has
    looked yet whether they are right), and its `headers`.

    Write to `headers`, read the rest: what is put there is in the envelope, and goes wherever that goes.
    """

    __slots__ = ("event", "headers", "options")

    def __init__(self, event: object, options: PublishOptions) -> None:
        self.event: object = event
        self.options: PublishOptions = options
        given = options.get("headers")
        self.headers: dict[str, object] = dict(given) if _may_be_headers(given) and given else {}

    @property
    def topic(self) -> str | None:
        """The topic that the publisher named, or that the event brings along."""
        return self.options.get("topic") or (self.event.type if type(self.event) is Event else None)

    def apply(self) -> None:
        """Have the envelope made with `headers`; for the bus."""
        if self.headers and _may_be_headers(self.options.get("headers")):
            self.options["headers"] = self.headers


@final
@frozen(kw_only=True)
class Hooks:
    """What a plug-in wants to be called for in one run of a bus; None: nothing.

    All are called in the step in which it happens, in the thread of the bus unless said otherwise, so they must be
    quick and must not wait. What one of them raises is told of in the log and harms nobody; but what is raised by
    something that stands around a handler counts as raised by the handler.
    """

    publishing: Callable[[Publication], PublishEnded | None] | None = None
    """A publish begins: in the thread and context of who publishes, before anything is looked at. What it gives is
    called when that has ended, with the receipt, if there is one, and what the publisher gets raised, if anything. An
    `ask` ends with its answer, a `post_from_thread` when the event has been handed over."""
    around_attempts: Callable[[Subscription, Invoke], Invoke | None] | None = None
    """A life of an actor begins: give what is to be called in the place of *invoke* for each attempt of it, as long as
    it lasts, in the task and context of the handler; or None, if you do not want to be there."""
    around_plain: Callable[[Subscription, Handle], Handle | None] | None = None
    """The same for deliveries of which only the event is needed, which is how most come. Without it, a delivery is made
    of each for `around_attempts`, which costs about as much as the rest of the way."""
    settled: Callable[[Delivery[Any], Outcome], object] | None = None
    """A delivery has ended. With this one or `publishing`, no event goes the fast way."""
    reported: Callable[[Report], object] | None = None
    """Something is about to be reported to the observer."""
    log_fields: Callable[[Delivery[Any] | None], Mapping[str, object]] | None = None
    """Give what a line of the log about this delivery has to say besides; None: about whatever is going on here."""

    def __attrs_post_init__(self) -> None:
        if self.around_plain is not None and self.around_attempts is None:
            raise ValueError(
                "around_plain=… without around_attempts=…: most deliveries are plain, but any may come in full, so "
                "give both, or around_attempts alone"
            )


class Plugin(Protocol):
    """What may be given to a bus as one of its `plugins`. One object may serve several buses, and runs in turn."""

    def hooks(self, bus: EventBus) -> Hooks:
        """Say what to call while *bus* runs. Called in the step in which a run begins, before anything starts; what it
        raises comes out of `running()`."""
        ...


def _may_be_headers(given: object) -> bool:
    """Anything else is refused when the envelope is made."""
    return given is None or isinstance(given, Mapping)


def checked_plugins(plugins: Iterable[Plugin]) -> tuple[Plugin, ...]:
    """Give *plugins*; raise TypeError for what is none."""
    checked = tuple(plugins)
    for each in checked:
        if isinstance(each, type) or not callable(getattr(each, "hooks", None)):
            raise TypeError(f"plugins: {safe_repr(each, 60)} is no plug-in, an object with a method hooks(bus)")
    return checked
