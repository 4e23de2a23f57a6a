"""Deliveries and dead letters that outlive the process, on one machine, in one file.

Give the bus a store, and say which subscriptions are durable::

    bus = EventBus("shop", store=SQLiteStore("shop.db"))

    @bus.subscriber(OrderPlaced, durable=True)
    async def ship(order: OrderPlaced) -> None: ...

When `publish` has returned, the event is committed for `ship`; it is handled, by this process or a later one, at least
once, or becomes a dead letter, which is in the file, too. See docs/durability.md.
"""

from tocsin._unreadable import Unreadable as Unreadable

from ._outbox import Outbox as Outbox
from ._outbox_table import SetAside as SetAside
from ._records import Accept as Accept
from ._records import Begun as Begun
from ._records import Bury as Bury
from ._records import Change as Change
from ._records import Contents as Contents
from ._records import Damaged as Damaged
from ._records import ForgetLetters as ForgetLetters
from ._records import ForgetRelayed as ForgetRelayed
from ._records import ForgetSeen as ForgetSeen
from ._records import Seen as Seen
from ._records import Settle as Settle
from ._records import StoredDelivery as StoredDelivery
from ._records import StoredEvent as StoredEvent
from ._records import StoredLetter as StoredLetter
from ._records import Update as Update
from ._sqlite import SQLiteStore as SQLiteStore
from ._store import OpenStore as OpenStore
from ._store import Store as Store
from .exceptions import StoreCorrupt as StoreCorrupt
from .exceptions import StoreError as StoreError
from .exceptions import StoreFailed as StoreFailed
from .exceptions import StoreFull as StoreFull
from .exceptions import StoreUnavailable as StoreUnavailable
