"""The fast loop of a server: plain deliveries, handled one after the other, and the sleep until there is one.

This is where the time of a busy bus goes, so each line is here for a reason, and nothing is that can be elsewhere: no
task, scope, clock or object for a delivery. What is not the usual case is told to the server, which leaves the loop.
"""

# What a receipt keeps for the bus is read here without a call.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ._receipt import close

if TYPE_CHECKING:
    from collections import deque

    from ._mailbox import Mailbox
    from ._receipt import Receipt
    from ._server import Server


async def serve_lane(server: Server, mailbox: Mailbox) -> None:
    """Have the plain deliveries in the lane of *mailbox* handled, until something else is to be done.

    It ends at a delivery that is not plain, after one that did not end as usual, of which the server has been told, and
    whenever the server is called to attention.
    """
    handle = server.handle
    assert handle is not None
    sleeper = server.sleeper
    lane = cast("deque[Receipt]", mailbox.lane)  # as long as it is: the first that is no receipt shows it
    handled = server.handled
    # While a retry waits, it may be due after each delivery: only one is handled then, and the rest of the slice kept.
    rest = 0 if mailbox.is_simple else server.left - 1
    last = handled + server.left - rest  # so many are handled when the slice is over: one count for both
    receipt: Receipt | None
    error: Exception | None
    while True:
        while lane:
            # In hand from the step in which it leaves the lane: whatever interrupts the handler finds it here.
            server.entry = receipt = lane.popleft()  # by name: a method kept in a variable is called the slow way
            try:
                event = receipt._event
            except AttributeError:  # not plain: to ask for its type each time would cost more
                server.entry = None
                lane.appendleft(receipt)
                server.left = last - handled + rest
                return
            try:
                answer = await handle(event)
            except Exception as raised:  # judged outside of this block; what is no Exception ends more than the handler
                answer, error = None, raised
            else:
                if answer is None and (not server.attention or server.has_only_waited()):
                    # Handled. Nobody looks between here and the next handler, so this may come in any order, but all.
                    server.handled = handled = handled + 1  # entered into the accounts later, which costs more
                    receipt._left = unsettled = receipt._left - 1
                    if unsettled == 0:
                        receipt._event = None
                        if receipt._more is not None:
                            close(receipt)
                    if handled >= last:
                        break
                    continue
                error = None
            server.left = last - handled - 1 + rest
            server.ended(answer, error)
            return
        server.entry = None
        receipt = event = None  # they must not live as long as the sleep
        mailbox.was_served = True
        server.left = last - handled + rest
        if rest:
            return
        if handled >= last:
            await server.let_others()
        elif mailbox.is_simple:
            mailbox.lie_down(sleeper)
            await sleeper.sleep()  # cancelled, its life ends: that wakes all, and the next life looks at the lane first
            server.is_awake()
        else:
            return  # a retry waits: it may be due, or the sleep has to end when it is
        if server.attention:
            return
        last = handled + server.left
