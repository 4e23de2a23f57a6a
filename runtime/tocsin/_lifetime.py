"""`async with bus.running()`: the tasks that carry a run, and the order in which they end.

    host group ─┬─ thread box, observer, background, stopper     shielded: they serve the stop and outlive it
                └─ (the body, in the caller's task)
                     └─ root.running(): the supervision tree; any cancellation becomes an ordered stop

Whatever ends the body (return, exception, cancellation of either kind, the tree's death) the tree is stopped in order
first, then what is left is taken back, then the helpers end. The error that ended it is carried around the host group,
which would wrap it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from tocsin_supervisors._failures import leaves_of

from ._backends import forgive_cancellation
from ._lifecycle import Phase
from ._run import Run
from ._stopping import Stopper
from .exceptions import BusClosed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from ._bus import EventBus
    from .durable._keeper import Keeper
    from .durable._outbox import Outbox
    from .durable._store import Store

OBSERVER_PATIENCE = 1.0  # seconds that an observer gets at the end for the reports it has not seen yet


async def open_store(store: Store, run: Run) -> Keeper:
    """Open *store* for *run*, and put what it holds where it belongs; raise StoreError."""
    from .durable._keeper import Keeper  # only here: a bus without a store does without

    return await Keeper.opened(store, run)


def relay_of(run: Run, outbox: Outbox) -> Callable[[], Awaitable[None]]:
    """Give what brings the events of *outbox* into *run*."""
    from .durable._relay import Relay  # only here, as above

    assert run.keeper is not None, "an outbox needs a store"
    return Relay(run, run.keeper, outbox).run


@asynccontextmanager
async def lifetime(bus: EventBus, *, drain_timeout: float, shutdown_deadline: float) -> AsyncGenerator[None, None]:
    """Carry one run of *bus* for as long as the block lasts."""
    run = Run(bus, shutdown_deadline=shutdown_deadline)
    stopper = Stopper(run)
    bus.attach(run, stopper)
    failure: BaseException | None = None
    async with anyio.create_task_group() as host:
        helpers = _start_helpers(host, run, stopper)
        try:
            if bus.store is not None:
                keeper = await open_store(bus.store, run)
                helpers.append(scope := anyio.CancelScope(shield=True))
                host.start_soon(_shielded, keeper.quarantine.run, scope, name=f"{run.name}: suspects")
            async with run.root.running():
                run.enter(Phase.RUNNING)
                if bus.outbox is not None:
                    helpers.append(scope := anyio.CancelScope(shield=True))
                    host.start_soon(_shielded, relay_of(run, bus.outbox), scope, name=f"{run.name}: outbox")
                yield
                stopper.request(drain_timeout)
                await stopper.stopped()
        except BaseException as error:  # raised again below, outside of the group that would wrap it
            failure = _why(error, bus.name)
        finally:
            try:
                await run.close_store()
            finally:
                stopper.finish(run.root.stop_report)
                _end_helpers(run, helpers)
    if failure is not None:
        try:
            raise failure
        finally:
            del failure


def _why(error: BaseException, bus: str) -> BaseException:
    """Take out of *error* why the tree has ended, if the body only says that it was refused because of that."""
    members: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    if len(members) == 2:
        of_body, of_tree = members  # see `to_raise` in tocsin_supervisors
        if all(isinstance(leaf, BusClosed) and leaf.bus == bus for leaf in leaves_of(of_body)):
            return of_tree
    return error


async def _shielded(function: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
    with scope:
        await function()


def _start_helpers(host: anyio.abc.TaskGroup, run: Run, stopper: Stopper) -> list[anyio.CancelScope]:
    scopes: list[anyio.CancelScope] = []

    async def unflinching(function: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
        """On asyncio a stranger may cancel any task. Without these, time limits would end, and clocks stand still,
        without a word: so they begin again.
        """
        with scope:
            while True:
                try:
                    await function()
                except run.cancelled:
                    if scope.cancel_called:
                        raise
                    forgive_cancellation()

    async def background() -> None:
        async with anyio.create_task_group() as run.background:
            await anyio.sleep_forever()

    jobs: dict[str, Callable[[], Awaitable[None]]] = {
        "thread box": run.box.run,
        "posts": run.posts.run,
        "background": background,
        "stopper": stopper.run,
        "time limits": run.limits.run,
        "turns": run.next_turn.run,
        "workers": run.pool.serve,
    }
    for name, job in jobs.items():
        scope = anyio.CancelScope(shield=True)
        scopes.append(scope)
        keeper = unflinching if name in ("time limits", "turns", "workers") else _shielded
        host.start_soon(keeper, job, scope, name=f"{run.name}: {name}")
    if run.reporter is not None:
        host.start_soon(_shielded, run.reporter.run, run.reporter_scope, name=f"{run.name}: observer")
    return scopes


def _end_helpers(run: Run, scopes: list[anyio.CancelScope]) -> None:
    """End what serves the run; the observer may see the last reports first."""
    run.box.close()
    for scope in scopes:
        scope.cancel()
    if run.reporter is not None:
        run.reporter.close()
        run.reporter_scope.deadline = run.now() + OBSERVER_PATIENCE
