"""What a worker does all day: takes the servers that stand in line, one after the other, and goes on with each.

This is the inner loop of a bus with many actors, so it is one generator: each step of a server is one call, in the
variables of its actor, and what it waits for is passed on to the event loop as it is. The event loop notices no
difference: it is one task that waits, whoever it works for.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from ._pooled import AGAIN, IDLE

if TYPE_CHECKING:
    from collections.abc import Generator

    from ._pooled import PooledServer
    from ._workers import Worker


@types.coroutine
def work(worker: Worker) -> Generator[Any, Any, None]:
    """Go on with whoever stands in line, until one of them is through: its life, or an attempt that is to be judged
    outside of the scope. What a handler raises that is no `Exception` comes out of here.

    Who follows what a task awaits loses the trail here: the local variable named `driven` is where it goes on.
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
            if server.driven is None:
                server.prepare()
            worker.server, server.worker, server.left = server, worker, slice_
            try:
                sign = server.step(server.send, None)
            except StopIteration:
                return
            has_waited = sign is not IDLE and sign is not AGAIN
            if has_waited:
                sign = yield from _wait(worker, server, sign)
                if sign is None:
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
            server = None  # who has nothing to do does not keep alive whom it served last
            if not (yield from worker.pause()):
                return
            left = worker.left


def _wait(worker: Worker, server: PooledServer, waited_for: Any) -> Generator[Any, Any, Any]:
    """Wait with *server*, whose handler does, until it gives a sign; None: it is through."""
    step, driven = server.step, server.driven
    value: Any = None
    error: BaseException | None = None
    while waited_for is not IDLE and waited_for is not AGAIN:
        worker.is_held_up()
        server.waits()
        try:
            value = yield waited_for
        except GeneratorExit:  # pragma: no cover  # a loop was closed that had not ended its tasks
            step(driven.close)
            raise
        except BaseException as thrown:  # thrown in below, outside of this block: or it would be its own context
            error = thrown
        worker.heat()
        try:
            if error is None:
                waited_for = step(driven.send, value)
            else:
                passed, error = error, None
                try:
                    waited_for = step(driven.throw, passed)
                finally:
                    del passed  # its traceback holds this frame
        except StopIteration:
            return None
    return waited_for
