"""`serve_health`: the application of `health_app` on a port of its own, in the loop that runs the bus."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import anyio
from anyio.abc import SocketAttribute

from ._anycorn import Anycorn
from ._asgi import HIGH_WATER, MAX_SUBSCRIPTIONS, health_app
from ._binding import Binding
from ._connections import Connections
from ._hosts import ANY_ADDRESS, LOOPBACK_HOSTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anyio.abc import SocketStream, TaskStatus
    from anyio.streams.stapled import MultiListener

    from tocsin._bus import EventBus

    from ._connections import Listener


async def serve_health(
    bus: EventBus,
    bind: str = "127.0.0.1:9464",
    *,
    exposed: bool = False,
    high_water: float = HIGH_WATER,
    max_subscriptions: int = MAX_SUBSCRIPTIONS,
    allowed_hosts: Iterable[str] | None = None,
    task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the health of *bus* over HTTP/1.1 at *bind*, until cancelled; see `health_app` for what is served.

    Start it in a task group around the bus, so that it answers while the bus starts, drains and stops::

        async with anyio.create_task_group() as tasks:
            url = await tasks.start(serve_health, bus)
            async with bus.running():
                await bus.wait_stopped()
            tasks.cancel_scope.cancel()

    It is a plain coroutine function, so `ChildSpec("health", partial(serve_health, bus))` runs it under a supervisor as
    well. `tasks.start` returns its URL once it listens. *bind* is an address and a port: 9464, where OpenTelemetry's
    exporters listen for Prometheus, or 0 for any that is free. Only this machine can reach it, unless *exposed* says
    that others may: there is no password, and whoever reaches it reads the names of your subscriptions.

    *allowed_hosts*: names, addresses or networks that a `Host` header may carry; others get 421, so that no page in a
    browser can read it by a name of its own. By default localhost, 127.0.0.1 and [::1]; exposed, localhost and any
    address. *high_water* and *max_subscriptions* are those of `health_app`.

    No signal is touched. A client gets 5 seconds for a request and 10 for taking the answer, and of more than 100
    connections the oldest is closed. Cancelled, it takes no more connections, lets answers that are on their way
    arrive for half a second, closes the others, and has ended within about a second.

    Raise ModuleNotFoundError without the extra `web`, ValueError for options that can be none, OSError when *bind*
    cannot be listened at, because the port is in use, for example.
    """
    binding = Binding.of(bind)
    if not (exposed or binding.is_loopback):
        raise ValueError(
            f"bind={bind!r}: others than this machine might reach it, and there is no password: listen at 127.0.0.1, "
            "or say exposed=True when the network keeps strangers out"
        )
    if allowed_hosts is None:
        allowed_hosts = LOOPBACK_HOSTS if binding.is_loopback else ANY_ADDRESS
    app = health_app(bus, high_water=high_water, max_subscriptions=max_subscriptions, allowed_hosts=allowed_hosts)
    connections = Connections(Anycorn(app))
    async with await _listen(binding) as listener:
        bound = Binding(binding.host, listener.extra(SocketAttribute.local_port))
        task_status.started(f"http://{bound}")
        await connections.serve(cast("Iterable[Listener]", listener.listeners))


async def _listen(binding: Binding) -> MultiListener[SocketStream]:
    """Listen at all addresses that the host of *binding* stands for."""
    try:
        return await anyio.create_tcp_listener(local_host=binding.host, local_port=binding.port)
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot listen at {binding} ({error.strerror or error}): end what listens there, or choose another port; "
            "port 0 is any that is free",
        ) from error
