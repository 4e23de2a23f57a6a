"""Supervised actors on an event bus, for long-running daemons, on asyncio and on trio.

The words of supervision (`RestartPolicy`, `Strategy`, `Backoff`, …) come from `tocsin_supervisors` and are here, too,
so that one import is enough.
"""

from __future__ import annotations

from tocsin_supervisors import Backoff as Backoff
from tocsin_supervisors import ChildStartError as ChildStartError
from tocsin_supervisors import DeadLetter as DeadLetter
from tocsin_supervisors import DeadLetterNotFound as DeadLetterNotFound
from tocsin_supervisors import DeadLetterOffice as DeadLetterOffice
from tocsin_supervisors import DeadLetterReason as DeadLetterReason
from tocsin_supervisors import DeadLetterSink as DeadLetterSink
from tocsin_supervisors import Failure as Failure
from tocsin_supervisors import RestartIntensity as RestartIntensity
from tocsin_supervisors import RestartIntensityExceeded as RestartIntensityExceeded
from tocsin_supervisors import RestartPolicy as RestartPolicy
from tocsin_supervisors import RetryPolicy as RetryPolicy
from tocsin_supervisors import Strategy as Strategy
from tocsin_supervisors import TreeNode as TreeNode

from ._bus import EventBus as EventBus
from ._deduplication import Deduplicate as Deduplicate
from ._delivery import Delivery as Delivery
from ._envelope import Envelope as Envelope
from ._envelope import Priority as Priority
from ._events import Event as Event
from ._handlers import handles as handles
from ._ledger import Ledger as Ledger
from ._outcomes import DeadLettered as DeadLettered
from ._outcomes import Dropped as Dropped
from ._outcomes import DropReason as DropReason
from ._outcomes import Handled as Handled
from ._outcomes import Outcome as Outcome
from ._outcomes import Rejected as Rejected
from ._outcomes import RejectReason as RejectReason
from ._outcomes import Returned as Returned
from ._overflow import Coalesce as Coalesce
from ._overflow import DeadLetterNewest as DeadLetterNewest
from ._overflow import DropNewest as DropNewest
from ._overflow import DropOldest as DropOldest
from ._overflow import Overflow as Overflow
from ._overflow import Reject as Reject
from ._overflow import WaitForRoom as WaitForRoom
from ._receipt import Receipt as Receipt
from ._registry import Group as Group
from ._replay import ReplayReport as ReplayReport
from ._reports import DeliveryDeadLettered as DeliveryDeadLettered
from ._reports import DeliveryDropped as DeliveryDropped
from ._reports import DeliveryRetried as DeliveryRetried
from ._reports import EventUndeliverable as EventUndeliverable
from ._reports import PhaseChanged as PhaseChanged
from ._reports import Report as Report
from ._settings import Settings as Settings
from ._statistics import BusStatistics as BusStatistics
from ._statistics import SubscriptionStatistics as SubscriptionStatistics
from ._stopping import ReturnedDelivery as ReturnedDelivery
from ._stopping import StopReport as StopReport
from ._subscription import Subscription as Subscription
from .exceptions import ActorRestarting as ActorRestarting
from .exceptions import ActorStopped as ActorStopped
from .exceptions import AskError as AskError
from .exceptions import AskFailed as AskFailed
from .exceptions import AskTimeout as AskTimeout
from .exceptions import BusAlreadyRunning as BusAlreadyRunning
from .exceptions import BusClosed as BusClosed
from .exceptions import BusNotRunning as BusNotRunning
from .exceptions import DuplicateName as DuplicateName
from .exceptions import FinishActor as FinishActor
from .exceptions import ForkedProcess as ForkedProcess
from .exceptions import InvalidHandler as InvalidHandler
from .exceptions import InvalidPriority as InvalidPriority
from .exceptions import InvalidTopic as InvalidTopic
from .exceptions import MailboxFull as MailboxFull
from .exceptions import NobodyToAsk as NobodyToAsk
from .exceptions import RouteError as RouteError
from .exceptions import TocsinError as TocsinError
from .exceptions import UnknownSubscription as UnknownSubscription
from .exceptions import WouldDeadlock as WouldDeadlock
from .exceptions import WrongThread as WrongThread
