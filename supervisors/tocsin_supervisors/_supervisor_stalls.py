"""A run that watches the event loop for stalls for as long as it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from ._reports import LoopStalled
from ._watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._stalls import Stall
    from ._supervisor_run import Run


async def watch_for_stalls(run: Run, threshold: float, count_stall: Callable[[str], None]) -> None:
    """Report stalls of the event loop, and count them for the child that caused them, until *run* is over."""

    def on_stall(stall: Stall) -> None:
        if stall.child is not None:
            count_stall(stall.child)
        run.tell(
            LoopStalled(
                supervisor=run.path,
                at=anyio.current_time(),
                child=stall.child,
                seconds=stall.seconds,
                line=stall.line,
                stack=stall.stack,
            )
        )

    # Shielded: a cancellation from outside begins the ordered stop, in which children may block the loop as well.
    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as group:
            group.start_soon(Watchdog(threshold, on_stall).run)
            await run.over.wait()
            group.cancel_scope.cancel()
