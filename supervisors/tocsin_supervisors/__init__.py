"""Supervision trees for asyncio and trio: children that are restarted when they fail, and stopped in order.

    async def poll() -> None: ...

    supervisor = Supervisor("daemon", [ChildSpec("poller", poll)])
    async with supervisor.running():
        ...

Stands alone: nothing here knows of events or of the bus in `tocsin`.
"""

from __future__ import annotations

from ._administration import ChildRef as ChildRef
from ._advice_findings import Finding as Finding
from ._backoff import Backoff as Backoff
from ._children import ChildSpec as ChildSpec
from ._children import ChildState as ChildState
from ._contexts import ChildContext as ChildContext
from ._dead_letters import Conditions as Conditions
from ._dead_letters import DeadLetterMirror as DeadLetterMirror
from ._dead_letters import DeadLetterOffice as DeadLetterOffice
from ._dead_letters import DeadLetterSink as DeadLetterSink
from ._declaration import check_specs as check_specs
from ._describe import describe as describe
from ._enclosing import carry_supervision as carry_supervision
from ._exits import Crashed as Crashed
from ._exits import Declined as Declined
from ._exits import DeclineStart as DeclineStart
from ._exits import Exit as Exit
from ._exits import Fatal as Fatal
from ._exits import Finished as Finished
from ._exits import ForeignCancellation as ForeignCancellation
from ._exits import RenewChild as RenewChild
from ._exits import Renewed as Renewed
from ._exits import Stopped as Stopped
from ._exits import SuspendChild as SuspendChild
from ._exits import Suspended as Suspended
from ._failures import Failure as Failure
from ._failures import Leaves as Leaves
from ._failures import forget_traceback as forget_traceback
from ._failures import sort_leaves as sort_leaves
from ._health import Diagnosis as Diagnosis
from ._health import Health as Health
from ._intensity import Exceeded as Exceeded
from ._intensity import RestartHistory as RestartHistory
from ._intensity import RestartIntensity as RestartIntensity
from ._kinds import matches as matches
from ._letters import DeadLetter as DeadLetter
from ._letters import DeadLetterNotFound as DeadLetterNotFound
from ._letters import DeadLetterReason as DeadLetterReason
from ._letters import DeadLetterRefused as DeadLetterRefused
from ._letters import DeathCount as DeathCount
from ._letters import FirstDeath as FirstDeath
from ._options import AutoShutdown as AutoShutdown
from ._options import Options as Options
from ._partitions import Partitions as Partitions
from ._policies import RestartPolicy as RestartPolicy
from ._reports import ChildCrashed as ChildCrashed
from ._reports import ChildDeclined as ChildDeclined
from ._reports import ChildFinished as ChildFinished
from ._reports import ChildHeld as ChildHeld
from ._reports import ChildParked as ChildParked
from ._reports import ChildRemoved as ChildRemoved
from ._reports import ChildRenewed as ChildRenewed
from ._reports import ChildStarted as ChildStarted
from ._reports import ChildStartFailed as ChildStartFailed
from ._reports import ChildStopped as ChildStopped
from ._reports import ChildSuspended as ChildSuspended
from ._reports import LoopStalled as LoopStalled
from ._reports import Observer as Observer
from ._reports import Report as Report
from ._reports import RestartScheduled as RestartScheduled
from ._reports import StopFailed as StopFailed
from ._reports import StopTimedOut as StopTimedOut
from ._reports import SupervisorFinished as SupervisorFinished
from ._reports import SupervisorGaveUp as SupervisorGaveUp
from ._reports import SupervisorStopping as SupervisorStopping
from ._reports import SupervisorStopReport as SupervisorStopReport
from ._reports import Unstopped as Unstopped
from ._retries import DECODING_ERRORS as DECODING_ERRORS
from ._retries import Bury as Bury
from ._retries import Retry as Retry
from ._retries import RetryPolicy as RetryPolicy
from ._retries import Verdict as Verdict
from ._retries import decide as decide
from ._strategies import Strategy as Strategy
from ._supervisor import Supervisor as Supervisor
from ._text import qualified_name as qualified_name
from ._text import safe_repr as safe_repr
from ._text import safe_text as safe_text
from ._throttle import Allowed as Allowed
from ._throttle import LogThrottle as LogThrottle
from ._throttle import Permission as Permission
from ._throttle import Suppressed as Suppressed
from ._views import ChildCounts as ChildCounts
from ._views import ChildInfo as ChildInfo
from ._views import TreeNode as TreeNode
from .exceptions import BadCombination as BadCombination
from .exceptions import ChildAlreadyPresent as ChildAlreadyPresent
from .exceptions import ChildAlreadyStarted as ChildAlreadyStarted
from .exceptions import ChildError as ChildError
from .exceptions import ChildNotFound as ChildNotFound
from .exceptions import ChildRestarting as ChildRestarting
from .exceptions import ChildRunning as ChildRunning
from .exceptions import ChildStartError as ChildStartError
from .exceptions import DuplicateChild as DuplicateChild
from .exceptions import RestartIntensityExceeded as RestartIntensityExceeded
from .exceptions import SupervisionError as SupervisionError
from .exceptions import SupervisionWarning as SupervisionWarning
from .exceptions import SupervisorAlreadyRunning as SupervisorAlreadyRunning
from .exceptions import SupervisorNotRunning as SupervisorNotRunning
from .exceptions import TemplateSupervisor as TemplateSupervisor
from .exceptions import TooManyChildren as TooManyChildren
