"""What the bus writes to `logging`, under the name "tocsin": text from events is escaped, a flood is throttled, a
broken handler of the log harms nobody.

Every record has the fields `bus`, `actor`, `event_type`, `event_id`, `correlation_id`, `attempt` and `report` (the
class of a lifecycle report) where they apply, and what plug-ins add (`trace_id`, `span_id`), for formatters and for
structured logging. `_log_fields.py` has the same for the lines of users.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, final

import tocsin_supervisors as supervision
from tocsin_supervisors import Allowed, DeadLetter, DeadLetterRefused, Failure, LogThrottle, qualified_name, safe_text
from tocsin_supervisors._describe import headline

from ._log_fields import fields_of_delivery, fields_of_letter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._actor import Actor
    from ._delivery import AnyDelivery
    from ._posts import Post

logger = logging.getLogger("tocsin")

# How loudly it is told what supervisors did; nothing of all the rest.
_LEVELS: dict[type, int] = {
    supervision.ChildParked: logging.CRITICAL,
    supervision.SupervisorGaveUp: logging.CRITICAL,
    supervision.ChildCrashed: logging.ERROR,
    supervision.ChildStartFailed: logging.ERROR,
    supervision.ChildSuspended: logging.ERROR,
    supervision.StopTimedOut: logging.ERROR,
    supervision.LoopStalled: logging.ERROR,
}


@final
class BusLog:
    """The log of one run of a bus.

    Dead letters are throttled per subscription: 10 lines in 5 minutes, then how many were left out (as Akka does).
    """

    def __init__(self, bus: str, now: Callable[[], float]) -> None:
        self._bus = bus
        self._now = now
        self._throttles: dict[str, LogThrottle] = {}  # name of the subscription → its throttle
        self._of_the_sink = LogThrottle()
        self._of_the_posts = LogThrottle()
        self._of_the_store = LogThrottle()
        self._of_the_outbox = LogThrottle()
        self._of_the_plugins = LogThrottle()
        self.more_fields: Callable[[AnyDelivery | None], Mapping[str, object]] | None = None  # what plug-ins add

    def dead_lettered(self, letter: DeadLetter[Any], delivery: AnyDelivery | None) -> None:
        """Tell of a dead letter, that of *delivery* if there was one, unless the throttle holds it back."""
        throttle = self._throttles.get(letter.subscription)
        if throttle is None:
            throttle = self._throttles[letter.subscription] = LogThrottle()
        allowed = throttle.allow(self._now())
        if not isinstance(allowed, Allowed):
            if allowed.first:
                self._write(
                    logging.WARNING,
                    "dead letters of %s: more are coming, silent for a while",
                    letter.subscription,
                    actor=letter.subscription,
                )
            return
        if not logger.isEnabledFor(logging.WARNING):
            return
        before = f" ({allowed.suppressed_before} before it were not logged)" if allowed.suppressed_before else ""
        cause = "" if letter.failure is None else f": {letter.failure.type}: {safe_text(letter.failure.message)}"
        self._write(
            logging.WARNING,
            "dead letter %s of %s after %s attempts, %s%s%s",
            letter.id,
            letter.subscription,
            letter.attempts,
            letter.reason.value,
            cause,
            before,
            **self._of(letter, delivery),
        )

    def sink_failed(self, letter: DeadLetter[Any], failure: Failure) -> None:
        """Tell that the office alone has a dead letter, as its sink raised; throttled like the letters."""
        before = self._before(self._of_the_sink)
        if before is not None:
            self._write(
                logging.ERROR,
                "the sink of dead letters failed, dead letter %s is kept in memory alone: %s: %s%s",
                letter.id,
                failure.type,
                safe_text(failure.message),
                before,
                **self._of(letter, None),
            )

    def post_failed(self, post: Post, error: Exception) -> None:
        """Tell that an event which another thread had posted could not be published; throttled like the letters."""
        before = self._before(self._of_the_posts)
        if before is not None:
            failure = Failure.of(error)
            event: object = post.event
            self._write(
                logging.ERROR,
                "posted from a thread, %s was not published: %s: %s%s",
                qualified_name(type(event)),
                failure.type,
                safe_text(failure.message),
                before,
                event_type=qualified_name(type(event)),
            )

    # ── what operators do ──

    def paused(self, actor: Actor) -> None:
        """Tell that somebody has paused *actor*."""
        self._write(logging.INFO, "%s is paused: it begins nothing until it is resumed", actor.name, actor=actor.name)

    def resumed(self, actor: Actor) -> None:
        """Tell that *actor* goes on."""
        self._write(logging.INFO, "%s is resumed", actor.name, actor=actor.name)

    def operated(self, actor: Actor, what: str) -> None:
        """Tell that somebody has *actor* stopped or restarted."""
        self._write(logging.INFO, "%s is being %s by request", actor.name, what, actor=actor.name)

    def left_over(self, actor: Actor, count: int) -> None:
        """Tell that a drain does not wait for what a paused *actor* has not begun."""
        text = "%s is paused: the drain leaves the %s deliveries that wait for it, unless it is resumed"
        self._write(logging.WARNING, text, actor.name, count, actor=actor.name)

    def plugin_failed(self, hook: object, error: Exception) -> None:
        """Tell that a plug-in raised, which changes nothing for anybody else; throttled."""
        before = self._before(self._of_the_plugins)
        if before is not None:
            failure = Failure.of(error)
            name = getattr(hook, "__qualname__", type(hook).__qualname__)
            text = "a plug-in of the bus raised in %s: %s: %s%s"
            self._write(logging.ERROR, text, safe_text(name), failure.type, safe_text(failure.message), before)

    # ── the store ──

    def not_kept(self, error: Exception) -> None:
        """Tell that the store could not keep something; throttled."""
        before = self._before(self._of_the_store)
        if before is not None:
            self._write(logging.ERROR, "%s%s", safe_text(str(error)), before)

    def store_behind(self, error: Exception | None) -> None:
        """Tell that what has happened cannot be written to the store; None: that it is written by now."""
        if error is None:
            self._write(logging.WARNING, "the store has kept what it could not for a while")
        else:
            self._write(
                logging.ERROR, "the store is behind, and tries again until it is closed: %s", safe_text(str(error))
            )

    def store_left(self, seconds: float, changes: int) -> None:
        """Tell that the stop goes on without waiting for the store any more."""
        text = "the store has not kept %s changes within %s s: the bus stops, and the next run finds what is there"
        self._write(logging.ERROR, text, changes, seconds)

    def not_relayed(self, error: Exception) -> None:
        """Tell that nothing comes out of the outbox at the moment; throttled."""
        before = self._before(self._of_the_outbox)
        if before is not None:
            self._write(logging.ERROR, "the outbox waits, and is tried again: %s%s", safe_text(str(error)), before)

    def set_aside(self, event_id: str, why: str) -> None:
        """Tell of an event in the outbox that cannot be published; throttled."""
        before = self._before(self._of_the_outbox)
        if before is not None:
            text = "event %s in the outbox was set aside: %s%s"
            self._write(logging.ERROR, text, safe_text(event_id), safe_text(why), before, event_id=event_id)

    def damaged(self, table: str, number: int, why: str) -> None:
        """Tell of a row of the store that was set aside."""
        self._write(logging.ERROR, "row %s of %s in the store was set aside: %s", number, table, safe_text(why))

    def nobody_asks_for(self, name: str, count: int) -> None:
        """Tell of deliveries for a subscription that is not there: it may have been renamed."""
        self._write(
            logging.WARNING,
            "%s deliveries in the store are for %s, which no durable subscription is named: they stay there",
            count,
            safe_text(name),
        )

    def letter_not_kept(self, letter: DeadLetter[Any], error: Exception) -> None:
        """Tell of a dead letter that is in memory alone, as its event cannot be encoded; throttled."""
        before = self._before(self._of_the_store)
        if before is not None:
            text = "dead letter %s is in memory alone: %s%s"
            self._write(logging.WARNING, text, letter.id, safe_text(str(error)), before, **self._of(letter, None))

    def not_tried_alone(self, delivery: AnyDelivery) -> None:
        """Tell of a delivery during which the process had ended, and that could not be tried alone."""
        text = "event %s was in hand when the process ended; %s did not come up in time to handle it alone"
        name = delivery.subscription
        fields = {**fields_of_delivery(delivery), **self._more(delivery)}
        self._write(logging.WARNING, text, delivery.envelope.id, name, **fields)

    def letter_refused(self, refusal: DeadLetterRefused) -> None:
        """Tell of a dead letter of a dead letter, which nobody keeps."""
        letter = refusal.letter
        self._write(logging.ERROR, "%s", refusal, **self._of(letter, None))

    def stop_error(self, actor: Actor, failure: Failure) -> None:
        """Tell of an error that was raised while an actor was being stopped."""
        message = safe_text(failure.message)
        self._write(
            logging.ERROR, "%s raised while stopping: %s: %s", actor.name, failure.type, message, actor=actor.name
        )

    def lifecycle(self, report: supervision.Report) -> None:
        """Tell of what supervisors did, as loudly as it matters."""
        level = _LEVELS.get(type(report))
        if level is None or not logger.isEnabledFor(level):
            return
        child: object = getattr(report, "child", None)
        self._write(level, "%s", headline(report), actor=child, report=type(report).__name__)

    def _before(self, throttle: LogThrottle) -> str | None:
        """Say how many were held back before this one, in words to be added; None: this one is held back."""
        allowed = throttle.allow(self._now())
        if not isinstance(allowed, Allowed):
            return None
        return f" ({allowed.suppressed_before} before it were not logged)" if allowed.suppressed_before else ""

    def forget(self, name: str) -> None:
        """Let go of what is kept about a subscription that has ended: there may be any number of them."""
        self._throttles.pop(name, None)

    def _of(self, letter: DeadLetter[Any], delivery: AnyDelivery | None) -> dict[str, object]:
        return {**fields_of_letter(letter), **self._more(delivery)}

    def _more(self, delivery: AnyDelivery | None) -> Mapping[str, object]:
        return {} if self.more_fields is None or delivery is None else self.more_fields(delivery)

    def _write(self, level: int, text: str, *values: object, **fields: object) -> None:
        # A filter or handler of the user's log may raise: the log must not decide about deliveries.
        with suppress(Exception):
            logger.log(level, text, *values, extra={"bus": self._bus, **fields})
