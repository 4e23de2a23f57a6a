"""The plug-ins of one run, put together: what each of them wants to be called for, chosen once when the run begins.

Nothing here is on the way of an event unless somebody wants it to be. Who stands around the handlers puts itself there
when a life of an actor begins. Who wants to see each publish or each end of a delivery gets to see them because no
route is remembered for the fast way then, and the long way asks.

The first plug-in is the outermost: it sees a handler last, and its end first.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, final

from ._plugins import Publication

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from ._delivery import AnyDelivery
    from ._invocation import Handle, Handles, Invoke
    from ._log import BusLog
    from ._outcomes import Outcome
    from ._plugins import Hooks, PublishEnded
    from ._publish_options import PublishOptions
    from ._receipt import Receipt
    from ._reports import Report
    from ._server import Server
    from ._subscription import Subscription


@final
class Instruments:
    """See the module. `announce`, `settled`, `reported` and `log_fields` are None when nobody wants them."""

    __slots__ = ("_hooks", "_log", "announce", "log_fields", "reported", "settled")

    def __init__(self, hooks: Iterable[Hooks], log: BusLog) -> None:
        self._hooks: tuple[Hooks, ...] = tuple(hooks)
        self._log = log
        publishing = [self._contained(each.publishing) for each in self._hooks if each.publishing is not None]
        settled = [self._contained(each.settled) for each in self._hooks if each.settled is not None]
        reported = [self._contained(each.reported) for each in self._hooks if each.reported is not None]
        fields = [self._contained(each.log_fields) for each in self._hooks if each.log_fields is not None]
        self.announce: Callable[[object, PublishOptions, Receipt | None], Announced] | None = (
            partial(Announced, self, publishing) if publishing else None
        )
        self.settled: Callable[[AnyDelivery, Outcome], object] | None = _each(settled)
        self.reported: Callable[[Report], object] | None = _each(reported)
        self.log_fields: Callable[[AnyDelivery | None], Mapping[str, object]] | None = (
            partial(_merged, fields) if fields else None
        )

    @property
    def sees_each(self) -> bool:
        """True when no event may go the fast way, since somebody wants to see each of them."""
        return self.announce is not None or self.settled is not None

    # ── around the handlers of a life ──

    def around_attempts(self, subscription: Subscription, invoke: Invoke) -> Invoke:
        """Give what is called in the place of *invoke*."""
        for each in reversed(self._hooks):
            if each.around_attempts is not None:
                invoke = self._contained(each.around_attempts)(subscription, invoke) or invoke
        return invoke

    def around_plain(self, subscription: Subscription, handles: Handles) -> Handles:
        """Give what is called in the place of *handles*."""
        if all(each.around_attempts is None for each in self._hooks):
            return handles

        def instrumented(server: Server) -> Handle:
            handle = handles(server)
            for each in reversed(self._hooks):
                if each.around_plain is not None:
                    handle = self._contained(each.around_plain)(subscription, handle) or handle
                elif each.around_attempts is not None:
                    invoke = self._contained(each.around_attempts)(subscription, _invoke_of(handle))
                    handle = handle if invoke is None else _handle_of(invoke, server)
            return handle

        return instrumented

    # ── what a plug-in raises ──

    def _contained(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        return partial(self.call, hook)

    def call(self, hook: Callable[..., Any], *arguments: object) -> Any:
        """Call *hook*; if it raises, that is told in the log, and the answer is None."""
        try:
            return hook(*arguments)
        except Exception as error:  # it looks on: what goes wrong there must not decide about deliveries
            self._log.plugin_failed(hook, error)
            return None


@final
class Announced:
    """A publish that plug-ins have been told of; left, it tells them how that has ended."""

    __slots__ = ("_endings", "_instruments", "_receipt")

    def __init__(
        self,
        instruments: Instruments,
        publishing: Iterable[Callable[[Publication], PublishEnded | None]],
        event: object,
        options: PublishOptions,
        receipt: Receipt | None,
    ) -> None:
        publication = Publication(event, options)
        self._instruments = instruments
        self._receipt = receipt
        self._endings: list[PublishEnded] = [ended for each in publishing if (ended := each(publication)) is not None]
        publication.apply()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: TracebackType | None) -> None:
        for ended in reversed(self._endings):
            self._instruments.call(ended, self._receipt, error)


def _each(hooks: list[Callable[..., Any]]) -> Callable[..., Any] | None:
    if len(hooks) < 2:
        return hooks[0] if hooks else None

    def call_each(*arguments: object) -> None:
        for hook in hooks:
            hook(*arguments)

    return call_each


def _merged(hooks: Iterable[Callable[..., Any]], delivery: AnyDelivery | None) -> Mapping[str, object]:
    return dict(_items(hooks, delivery))


def _items(hooks: Iterable[Callable[..., Any]], delivery: AnyDelivery | None) -> Iterator[tuple[str, object]]:
    for hook in hooks:
        yield from (hook(delivery) or {}).items()


def _invoke_of(handle: Handle) -> Invoke:
    return lambda delivery: handle(delivery.envelope.event)


def _handle_of(invoke: Invoke, server: Server) -> Handle:
    return lambda _event: invoke(server.begin_plain())
