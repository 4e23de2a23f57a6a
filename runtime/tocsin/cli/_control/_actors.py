"""`actors.…`: what an operator does to single actors. Those that several names mean are treated one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatchcase
from typing import TypeAlias

import anyio

from tocsin import EventBus, Subscription, TocsinError
from tocsin.cli._showing import shown
from tocsin_supervisors import SupervisionError

from ._errors import CommandRefused, unknown
from ._params import Params, bad_params
from ._protocol import Json

WAIT = 60.0  # seconds, for all of them together; a grace period is 30 by default
Act: TypeAlias = Callable[[Subscription], Awaitable[None]]


async def pause(bus: EventBus, params: Mapping[str, Json]) -> Json:
    """Let the actors begin nothing until they are resumed."""

    async def act(subscription: Subscription) -> None:
        subscription.pause()

    return await _each(bus, params, act)


async def resume(bus: EventBus, params: Mapping[str, Json]) -> Json:
    """Let the actors go on."""

    async def act(subscription: Subscription) -> None:
        subscription.resume()

    return await _each(bus, params, act)


async def restart(bus: EventBus, params: Mapping[str, Json]) -> Json:
    """Replace the actors by fresh incarnations, or start those that are down."""
    return await _each(bus, params, Subscription.restart)


async def stop(bus: EventBus, params: Mapping[str, Json]) -> Json:
    """Stop the actors, and leave them down until they are restarted."""
    return await _each(bus, params, Subscription.stop)


async def _each(bus: EventBus, params: Mapping[str, Json], act: Act) -> Json:
    """Do *act* to each that `names` mean, and say for each whether that was done, or else why not.

    `wait` is how many seconds that may take; what is not done then goes on by itself.
    """
    asked = Params(params)
    names, wait = asked.texts("names"), asked.optional_number("wait")
    asked.end()
    chosen = named(names, bus.subscriptions)
    deadline = anyio.current_time() + (WAIT if wait is None else wait)
    return [await _one(bus, each, act, deadline) for each in chosen]


async def _one(bus: EventBus, subscription: Subscription, act: Act, deadline: float) -> Json:
    error: str | None = "it takes longer, and goes on by itself"
    with anyio.CancelScope(deadline=deadline):
        error = await _error_of(act, subscription)
    now = bus.statistics().subscriptions.get(subscription.name)
    state = "unknown" if now is None else now.state
    return {"name": subscription.name, "done": error is None, "state": state, "error": error}


async def _error_of(act: Act, subscription: Subscription) -> str | None:
    try:
        await act(subscription)
    except (TocsinError, SupervisionError) as error:
        return shown(error)
    return None


def named(names: tuple[str, ...], known: Mapping[str, Subscription]) -> list[Subscription]:
    """Give those of *known* that *names* mean, each once, in order of declaration; raise CommandRefused.

    A name means whoever is called so, whatever is in it. Otherwise one with `*`, `?` or `[` is a pattern, of which at
    least one must be; and any other the beginning of a name, of which only one may be.
    """
    if not names:
        raise bad_params("names is missing: it must have one name at least")
    meant = {each for name in names for each in _meant(name, known)}
    return [subscription for name, subscription in known.items() if name in meant]


def _meant(name: str, known: Mapping[str, Subscription]) -> list[str]:
    if name in known:
        return [name]
    is_pattern = any(character in name for character in "*?[")
    found = [each for each in known if (fnmatchcase(each, name) if is_pattern else name and each.startswith(name))]
    if not found:
        raise CommandRefused("unknown_name", unknown("actor", name, known))
    if len(found) > 1 and not is_pattern:
        names = " or ".join(shown(each, 60) for each in found[:5])
        raise CommandRefused(
            "ambiguous_name", f"which {shown(name, 60)}: {names}? A pattern {shown(name, 60)}* means all"
        )
    return found
