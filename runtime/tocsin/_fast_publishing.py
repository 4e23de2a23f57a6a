"""Publishing the fast way: an event without options whose route is known goes from the publisher's own step into the
mailboxes.

This is where the time of a busy publisher goes, so each line is here for a reason. All three ways to publish are
written out, since a call would cost as much as the rest. What is not the usual case goes the long way
(`_publishing.py`), which looks at everything again.
"""

# What a receipt keeps for the bus is written here without a call.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, cast, final

from ._composing import cause_of, compose
from ._context import current_server
from ._envelope import IdSource
from ._publishing import Owner, own_server
from ._receipt import Receipt
from ._registry import Registry

if TYPE_CHECKING:
    from collections import deque
    from typing import Unpack

    from ._publish_options import PublishOptions, PublishOptionsAndReceipt
    from ._publishing import Publisher
    from ._routes import Route
    from ._run import Run

# Bound once: of a name that was imported, CPython 3.11 looks up methods the slow way.
server_here = current_server.get


class Publishing(Registry):
    """The part of `EventBus` that publishes in the loop's own thread."""

    _publisher: Publisher

    @abstractmethod
    def _up(self) -> Run:
        """Give the run that is up, after checking that this is its thread."""

    async def _publish_slowly(self, event: object, options: PublishOptionsAndReceipt) -> Receipt:
        given = options.pop("receipt", None)
        receipt = Receipt() if given is None else given
        run = self._up()
        if run.instruments.announce is None:
            envelope = compose(run, event, options, cause_of(own_server(run)))
            return await run.publisher.publish(envelope, receipt)
        with run.instruments.announce(event, options, receipt):
            envelope = compose(run, event, options, cause_of(own_server(run)))
            return await run.publisher.publish(envelope, receipt)

    def _publish_slowly_nowait(self, event: object, options: PublishOptions) -> Receipt:
        receipt, run = Receipt(), self._up()
        if run.instruments.announce is None:
            envelope = compose(run, event, options, cause_of(own_server(run)))
            return run.publisher.publish_nowait(envelope, receipt)
        with run.instruments.announce(event, options, receipt):
            envelope = compose(run, event, options, cause_of(own_server(run)))
            return run.publisher.publish_nowait(envelope, receipt)

    # All that may be said is in `options`: defaults of single keywords cost more than a mailbox does.
    async def publish(self, event: object, **options: Unpack[PublishOptionsAndReceipt]) -> Receipt:
        """Publish *event* and return when every matching mailbox has taken it.

        Full mailboxes do what their subscription's overflow policy says: by default publishing waits for room, in the
        order of arrival. It gives the receipt, also filled when it raises: MailboxFull (a policy refused, or a limit on
        the wait ran out), WouldDeadlock, BusClosed (all with the receipt), RouteError, InvalidPriority, InvalidTopic.
        Cancelled while waiting, it withdraws from the mailboxes that had not taken the event; the receipt, if you
        passed one in, and a note on the cancellation say which have. It is a checkpoint at least once in 64 calls, not
        at each.
        """
        publisher = self._publisher
        ids = publisher.ids
        count = ids.count
        if count >= publisher.end_of_slice and publisher.owner._is_owned():
            # Others have their turn: before anything is done, so a cancellation finds nothing done.
            await publisher.turn()
            count = ids.count
        try:
            route = publisher.routes[type(event)]
        except Exception:  # not known, or a class that objects to being looked up
            route = None
        if options or route is None or not publisher.owner._is_owned() or server_here() is not None:
            return await self._publish_slowly(event, options)
        receipt = Receipt()
        receipt._event = event
        moment = publisher.moment
        receipt._moment = publisher.look(route) if moment is None else moment
        receipt._more = None
        receipt._route = route
        receipt._serial = ids.count = count + 1
        mailbox = route.mailbox
        if mailbox is not None:
            receipt._left = 1
            lane = mailbox.lane
            if len(lane) >= mailbox.room and not mailbox.drop_for_plain():
                return await publisher.publish_rest(receipt, 0)
            lane.append(receipt)
            if mailbox.sleeper is not None:
                mailbox.wake_one()
        else:
            receipt._left = len(route.mailboxes)
            for mailbox in route.mailboxes:
                lane = mailbox.lane
                if len(lane) >= mailbox.room and not mailbox.drop_for_plain():
                    return await publisher.publish_rest(receipt, route.mailboxes.index(mailbox))
                lane.append(receipt)
                if mailbox.sleeper is not None:
                    mailbox.wake_one()
        route.published += 1
        return receipt

    def publish_nowait(self, event: object, **options: Unpack[PublishOptions]) -> Receipt:
        """Publish *event* without waiting, from synchronous code in the loop's thread.

        Where publishing would wait, raise MailboxFull.
        """
        publisher = self._publisher
        try:
            route = publisher.routes[type(event)]
        except Exception:  # as above
            route = None
        if options or route is None or not publisher.owner._is_owned() or server_here() is not None:
            return self._publish_slowly_nowait(event, options)
        ids = publisher.ids
        receipt = Receipt()
        receipt._event = event
        moment = publisher.moment
        receipt._moment = publisher.look(route) if moment is None else moment
        receipt._more = None
        receipt._route = route
        receipt._serial = ids.count = ids.count + 1
        receipt._left = len(route.mailboxes)
        for mailbox in route.mailboxes:
            lane = mailbox.lane
            if len(lane) >= mailbox.room and not mailbox.drop_for_plain():
                return publisher.publish_rest_nowait(receipt, route.mailboxes.index(mailbox))
            lane.append(receipt)
            if mailbox.sleeper is not None:
                mailbox.wake_one()
        route.published += 1
        return receipt

    def offer(self, posts: deque[Any], count: int) -> int:
        """Take events from the front of *posts* and publish them, as long as each has one subscription, known and with
        room for it; *count* at most. Give how many. In the loop's own thread, outside of handlers.
        """
        publisher = self._publisher
        routes, ids = publisher.routes, publisher.ids
        for done in range(count):
            try:
                route = routes[type(posts[0])]
            except Exception:  # as above
                return done
            mailbox = route.mailbox
            if mailbox is None or len(mailbox.lane) >= mailbox.room:
                return done
            receipt = Receipt()
            receipt._event = posts.popleft()
            moment = publisher.moment
            receipt._moment = publisher.look(route) if moment is None else moment
            receipt._more = None
            receipt._route = route
            receipt._serial = ids.count = ids.count + 1
            receipt._left = 1
            mailbox.lane.append(receipt)
            if mailbox.sleeper is not None:
                mailbox.wake_one()
            route.published += 1
        return count


@final
class _Nobody:
    """As much of a publisher as it takes to find out that there is none: no route is known, so everything goes the long
    way, where it is refused.
    """

    __slots__ = ("end_of_slice", "ids", "owner", "routes")

    def __init__(self) -> None:
        self.end_of_slice = 1
        self.ids = IdSource(lambda: 0.0, lambda _bits: 0)
        self.owner = Owner()
        self.routes: dict[type, Route] = {}

    def is_open_to_threads(self) -> bool:
        return False


NOBODY = cast("Publisher", _Nobody())
