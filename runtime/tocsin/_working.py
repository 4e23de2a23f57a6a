"""What a worker does all day: takes the servers that stand in line, one after the other, and goes on with each.

This is the inner loop of a bus with many actors, so it is one generator: each step of a server is one call, in the
variables of its actor, and what it waits for is passed on to the event loop as it is. The event loop notices no
difference: it is one task that waits, whoever it works for.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from ._driving import Sign, drive_on
from ._pooled import AGAIN

if TYPE_CHECKING:
    from collections.abc import Generator

    from ._pooled import PooledServer
    from ._workers import Worker


_THROUGH = Sign()  # it has ended


@types.coroutine
def work(worker: Worker) -> Generator[Any, Any, None]:
    """Go on with whoever stands in line, until one of them is through, and that is to be judged outside of the scope:
    an attempt, or a life after which the worker is not as it was. What a handler raises that is no `Exception` comes
    out of here.
    """
    watch = worker.watch
    look, subject, group, scope = watch.look, watch.subject, watch.group, watch.innermost()
    server: PooledServer | None
    slice_, left = worker.slice, worker.left
    while True:
        queue = worker.line.queue
        while queue:
            server = queue.popleft()
            if not server.stands_in_line:
                continue  # it has left since, or has had its turn
            server.stands_in_line = False
            driven = server.driven or server.prepare()
            worker.server, server.worker, server.left = server, worker, slice_
            try:
                sign = server.step(server.send, None)
            except StopIteration:
                sign = _THROUGH
            has_waited = type(sign) is not Sign
            if has_waited:
                sign = (yield from drive_on(worker, driven, sign, server.step)) or _THROUGH
            if sign is _THROUGH and not worker.ends(server, scope):
                return
            server.worker = None
            left -= slice_ - server.left
            if sign is AGAIN:
                server.stands_in_line = True
                queue.append(server)
            # What it has left here must not strike the next one. Only who has waited can have swallowed a cancellation.
            if look(subject) is not scope or len(group) != 1 or (has_waited and not watch.is_fit(scope)):
                worker.tie(server)
                queue = worker.line.queue
            if left <= 0:
                yield from worker.let_others()
                left = worker.left
        else:
            server = driven = None  # who has nothing to do does not keep alive whom it served last
            if not (yield from worker.pause()):
                return
            left = worker.left
