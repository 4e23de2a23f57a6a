"""The attributes of spans and metrics.

The names are those of the conventions for messaging. They are written out here, since the package that has them calls
them incubating, and moves them: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from tocsin._outcomes import DeadLettered, Dropped, Handled, Rejected, Returned
from tocsin.exceptions import FinishActor
from tocsin_supervisors import qualified_name

if TYPE_CHECKING:
    from tocsin._outcomes import Outcome

SYSTEM: Final = "messaging.system"
DESTINATION: Final = "messaging.destination.name"
SUBSCRIPTION: Final = "messaging.destination.subscription.name"
OPERATION: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGE_ID: Final = "messaging.message.id"
CONVERSATION_ID: Final = "messaging.message.conversation_id"
ERROR_TYPE: Final = "error.type"
# Ours, for what the conventions have no name for.
BUS: Final = "tocsin.bus"
ATTEMPT: Final = "tocsin.attempt"
OUTCOME: Final = "tocsin.outcome"
REASON: Final = "tocsin.reason"

# Values of `error.type` beside the classes of exceptions.
TIMED_OUT: Final = "timeout"
INTERRUPTED: Final = "interrupted"

Attributes = dict[str, str | int]


def of_operation(bus: str, operation: str, **more: str) -> Attributes:
    """Give the attributes that everything of *operation* (send, process, settle) has."""
    return {SYSTEM: "tocsin", OPERATION: operation, BUS: bus, **more}


def error_type_of(error: BaseException, *, is_late: bool) -> str | None:
    """Say what kind of error has ended an attempt; None: that was none, but how an actor says that it is through.

    What is no `Exception` is a cancellation, nearly always: by its time limit, if it *is_late*, or by a stop.
    """
    if isinstance(error, FinishActor):
        return None
    if isinstance(error, Exception):
        return qualified_name(type(error))
    return TIMED_OUT if is_late else INTERRUPTED


def of_outcome(outcome: Outcome) -> Attributes:
    """Give the attributes that say how a delivery has ended."""
    match outcome:
        case Handled():
            return {OUTCOME: "handled"}
        case DeadLettered(reason=reason):
            return {OUTCOME: "dead_lettered", REASON: reason.value, ERROR_TYPE: reason.value}
        case Dropped(reason=dropped):
            return {OUTCOME: "dropped", REASON: dropped.value}
        case Rejected(reason=rejected):
            return {OUTCOME: "rejected", REASON: rejected.value}
        case Returned():
            return {OUTCOME: "returned"}
        case _:
            assert_never(outcome)
