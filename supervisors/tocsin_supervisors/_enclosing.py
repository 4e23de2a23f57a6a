"""Which children the running code belongs to."""

from __future__ import annotations

from contextvars import Context, ContextVar

from ._contexts import ChildContext

# Which children the running code belongs to, outermost first, and so do the tasks that it starts. A stop asked for from
# inside cannot be waited for there; and when the loop stalls, the last of them is whose code blocks it.
enclosing: ContextVar[tuple[ChildContext, ...]] = ContextVar("enclosing", default=())


def carry_supervision(context: Context) -> None:
    """Let what runs in *context* belong to the same child as the caller, whosever context it is a copy of.

    For those who run code of a child in a context that was made elsewhere: else a stop asked for from there would wait
    for itself, and a stall would be blamed on somebody else. *context* must not be running.
    """
    context.run(enclosing.set, enclosing.get())
