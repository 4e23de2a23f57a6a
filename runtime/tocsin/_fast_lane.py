"""The fast loop of a server: plain deliveries, handled one after the other.

This is where the time of a busy bus goes, so each line is here for a reason, and nothing is that can be elsewhere: no
task, scope, clock or object for a delivery. What is not the usual case is told to the server, which leaves the loop.
"""

# What a receipt keeps for the bus is read here without a call.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING

from ._receipt import Receipt, close

if TYPE_CHECKING:
    from collections import deque

    from ._delivery import Entry
    from ._server import Server


async def serve_lane(server: Server, lane: deque[Entry], most: int) -> int:
    """Have up to *most* plain deliveries from *lane* handled; give how many were begun.

    The first one in *lane* must be plain. It ends early when *lane* is empty, at a delivery that is not plain, and
    after one that did not end as usual, of which the server has been told.
    """
    handle = server.handle
    assert handle is not None
    take = lane.popleft
    handled = 0
    for _ in range(most):
        if not lane:
            break
        # In hand from the step in which it leaves the lane: whatever interrupts the handler finds it here.
        server.entry = receipt = take()
        if type(receipt) is not Receipt:
            lane.appendleft(receipt)
            break
        error = answer = None
        try:
            answer = await handle(receipt._event)
        except Exception as raised:  # judged outside of this block; what is no Exception ends more than the handler
            error = raised
        if server.attention or answer is not None or error is not None:
            server.ended(answer, error)
            return handled + 1
        # Handled. Nobody looks between here and the next handler, so this may come in any order, but all of it.
        if server.has_waited:
            server.through()
        server.handled = handled = handled + 1  # entered into the accounts later: adding up in here costs more
        receipt._left = left = receipt._left - 1
        if not left:
            receipt._event = None
            if receipt._more is not None:
                close(receipt)
    server.entry = None
    return handled
