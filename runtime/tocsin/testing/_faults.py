"""What can go wrong in a handler, to be brought about on purpose.

A closed union of frozen values. `Simulation.watch(bus, faults=…)` has them happen to the handlers of a bus as they are,
without a change to their code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never, final

import anyio
from attrs import field, frozen
from attrs.validators import ge

from tocsin._backends import native_loop

if TYPE_CHECKING:
    from random import Random


def _default_error() -> BaseException:
    return RuntimeError("a fault, on purpose")


@final
@frozen
class Crash:
    """The handler raises what *error* makes, RuntimeError by default: before it has done anything, or, with *late*,
    when it has done all."""

    error: Callable[[], BaseException] = _default_error
    late: bool = field(default=False, kw_only=True)


@final
@frozen
class CrashInGroup:
    """The handler raises a group of two errors, with *depth* groups around it, as its own task group would."""

    depth: int = field(default=0, validator=ge(0))


@final
@frozen
class Slow:
    """The handler takes so many *seconds* longer."""

    seconds: float = 1.0


@final
@frozen
class Hang:
    """The handler never ends by itself; its time limit or the stop of the bus ends it."""


@final
@frozen
class ForeignCancel:
    """The handler ends cancelled, though nobody of the bus has cancelled it: on asyncio by a cancellation that it got
    from somebody else's future, on trio by the nursery around its task."""


@final
@frozen
class SwallowCancel:
    """The handler waits until it is cancelled, and then returns as if nothing had been."""


@final
@frozen
class Stubborn:
    """The handler waits until it is cancelled, and then takes *seconds* for its cleanup, which nothing can cancel."""

    seconds: float = 0.5


@final
@frozen
class LeakTask:
    """The handler leaves a task behind, which nobody waits for and which ends after *seconds*."""

    seconds: float = 1.0


Fault: TypeAlias = Crash | CrashInGroup | Slow | Hang | ForeignCancel | SwallowCancel | Stubborn | LeakTask
"""Everything that can be brought about."""


@final
@frozen
class Attempt:
    """Which attempt a fault may happen to."""

    subscription: str
    event: Any
    attempt: int
    incarnation: int


Faults: TypeAlias = Callable[[Attempt], Fault | None]
"""Says what is to go wrong with an attempt, if anything is."""


def sometimes(random: Random, rate: float, *faults: Fault) -> Faults:
    """Give a plan by which an attempt goes wrong with the probability *rate*, in one of these ways at random."""

    def choose(_attempt: Attempt) -> Fault | None:
        return random.choice(faults) if random.random() < rate else None

    return choose


async def bring_about(fault: Fault | None, handle: Callable[[], Any]) -> Any:
    """Call and await *handle*, with *fault*."""
    match fault:
        case Crash(late=False) | CrashInGroup() | Hang() | ForeignCancel() | SwallowCancel() | Stubborn():
            return await _instead(fault)
        case Slow(seconds=seconds):
            await anyio.sleep(seconds)
        case LeakTask(seconds=seconds):
            leak_task(seconds)
        case None | Crash():
            pass
        case _:
            assert_never(fault)
    answer = await handle()
    if isinstance(fault, Crash):
        raise fault.error()
    return answer


async def _instead(fault: Crash | CrashInGroup | Hang | ForeignCancel | SwallowCancel | Stubborn) -> None:
    """Do what is done in the place of the handler."""
    match fault:
        case Crash(error=error):
            raise error()
        case CrashInGroup(depth=depth):
            raise _nested(depth)
        case Hang():
            await anyio.sleep_forever()
        case ForeignCancel():
            await cancel_as_a_stranger()
        case SwallowCancel():
            await _until_cancelled()
        case Stubborn(seconds=seconds):
            await _stay(seconds)
        case _:
            assert_never(fault)


def _nested(depth: int) -> Exception:
    group: Exception = ExceptionGroup[Exception]("two faults, on purpose", [ConnectionError(), ValueError()])
    for _ in range(depth):
        group = ExceptionGroup[Exception]("around", [group])
    return group


async def _until_cancelled() -> None:
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        pass


async def _stay(seconds: float) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(seconds)


async def cancel_as_a_stranger() -> None:
    """Have the task that runs this cancelled by something that its surroundings know nothing of, as a faulty handler
    would: on asyncio by a cancellation that nobody has asked for, on trio by the nursery around it."""
    if native_loop() is not None:
        raise sys.modules["asyncio"].CancelledError
    trio = sys.modules["trio"]
    trio.lowlevel.current_task().parent_nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint()


def leak_task(seconds: float) -> None:
    """Start a task that nobody waits for: it sleeps for *seconds*."""
    loop = native_loop()
    if loop is not None:
        _leaked.add(task := loop.create_task(anyio.sleep(seconds), name="leaked"))
        task.add_done_callback(_leaked.discard)
    else:
        sys.modules["trio"].lowlevel.spawn_system_task(anyio.sleep, seconds, name="leaked")


_leaked: set[Any] = set()  # asyncio itself keeps a task only weakly
