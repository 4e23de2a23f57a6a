"""A kit to stress-test actors, the user's own as well as ours: `import tocsin` does not bring it in.

A simulation decides everything that is left to chance otherwise: which task goes on next, what time it is, what goes
wrong. It finds what a thousand runs on a quiet machine do not, and can make the same run once more. See
`docs/testing.md`.
"""

from __future__ import annotations

from ._decorators import cancelled_at_every_step as cancelled_at_every_step
from ._decorators import explored as explored
from ._decorators import simulated as simulated
from ._errors import Deadlock as Deadlock
from ._errors import PromiseBroken as PromiseBroken
from ._errors import StepLimit as StepLimit
from ._facts import Accepted as Accepted
from ._facts import AttemptEnded as AttemptEnded
from ._facts import AttemptStarted as AttemptStarted
from ._facts import Broken as Broken
from ._facts import Fact as Fact
from ._facts import Matched as Matched
from ._facts import Published as Published
from ._facts import PublishEnded as PublishEnded
from ._facts import Reported as Reported
from ._facts import Settled as Settled
from ._faults import Attempt as Attempt
from ._faults import Crash as Crash
from ._faults import CrashInGroup as CrashInGroup
from ._faults import Fault as Fault
from ._faults import Faults as Faults
from ._faults import ForeignCancel as ForeignCancel
from ._faults import Hang as Hang
from ._faults import LeakTask as LeakTask
from ._faults import Slow as Slow
from ._faults import Stubborn as Stubborn
from ._faults import SwallowCancel as SwallowCancel
from ._faults import cancel_as_a_stranger as cancel_as_a_stranger
from ._faults import leak_task as leak_task
from ._faults import sometimes as sometimes
from ._invariants import Violation as Violation
from ._memory_store import MemoryStore as MemoryStore
from ._probes import Probe as Probe
from ._schedules import AtRandom as AtRandom
from ._schedules import ByPriority as ByPriority
from ._schedules import InOrder as InOrder
from ._schedules import Recorded as Recorded
from ._schedules import Schedule as Schedule
from ._simulation import BACKENDS as BACKENDS
from ._simulation import Backend as Backend
from ._simulation import Simulation as Simulation
from ._simulation import Trial as Trial
from ._simulation import simulate as simulate
from ._trace import Terms as Terms
from ._trace import Trace as Trace
