"""What a bus that has given up does to the process it is embedded in: decided here, from facts alone.

A server that hosts a bus goes on answering when that is dead (uvicorn and hypercorn do, even when their lifespan has
failed), so somebody has to end the process. The default does what a liveness probe would have others do half a minute
later, and what OTP does when an application that was started as permanent ends: SIGTERM, by which every server shuts
down in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, assert_never, final

from attrs import frozen

from tocsin_supervisors._text import safe_repr, safe_text

OnFatal: TypeAlias = Literal["terminate", "continue"] | Callable[[BaseException], object]
"""What follows when the bus ends by itself while its application serves, besides the log and 503 of the health pages.

"terminate": SIGTERM to this process. "continue": nothing, the process goes on without its bus. A function is called
once, in the event loop, with the error that ended the bus.
"""


@final
@frozen
class Terminate:
    """Send SIGTERM to this process."""


@final
@frozen
class GoOn:
    """Do nothing, for the reason `why`."""

    why: str


@final
@frozen
class Call:
    """Leave it to a function of the user."""

    function: Callable[[BaseException], object]


Reaction: TypeAlias = Terminate | GoOn | Call


def check_on_fatal(on_fatal: OnFatal) -> OnFatal:
    """Give *on_fatal* back if it is one; raise ValueError otherwise."""
    if not (on_fatal in ("terminate", "continue") or callable(on_fatal)):
        raise ValueError(
            f'on_fatal={safe_repr(on_fatal)}: must be "terminate" (SIGTERM to this process), "continue", or a function '
            "that takes the error"
        )
    return on_fatal


def reaction(on_fatal: OnFatal, *, is_ending: bool, may_signal: bool) -> Reaction:
    """Decide what follows when a bus has ended by itself.

    *is_ending*: the application is being shut down anyway. *may_signal*: somebody in this process handles SIGTERM, or
    the bus runs in its main thread, as it does under a server. Otherwise the loop is the guest of a program that knows
    nothing of it, such as a test that has a thread for it, which the signal would end without a word.
    """
    if is_ending:
        return GoOn("the application is shutting down")
    match on_fatal:
        case "terminate" if may_signal:
            return Terminate()
        case "terminate":
            return GoOn(
                "no SIGTERM is sent, as nothing in this process handles it and its main thread does other things"
            )
        case "continue":
            return GoOn("the process goes on without it, as on_fatal says")
        case function:
            return Call(function)


def announcement(error: BaseException, what: Reaction) -> str:
    """Say in one printable line that the bus is dead, why, and what follows."""
    dead = f"the bus has ended by itself, and takes no more events: {type(error).__name__}: {safe_text(error)}"
    match what:
        case Terminate():
            return f"{dead}; SIGTERM to this process, so that its server shuts down in order"
        case GoOn(why=why):
            return f"{dead}; {why}"
        case Call(function=function):
            return f"{dead}; {safe_repr(function)} is called"
        case _:
            assert_never(what)
