"""`actors.…`: what an operator does to single actors. Those that several names mean are treated one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatchcase

from tocsin import EventBus, Subscription, TocsinError
from tocsin.cli._showing import shown
from tocsin_supervisors import SupervisionError

from ._errors import CommandRefused, unknown
from ._params import Params, bad_params
from ._protocol import Json


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


async def _each(bus: EventBus, params: Mapping[str, Json], act: Callable[[Subscription], Awaitable[None]]) -> Json:
    """Do *act* to each that `names` mean, and say for each whether that was done, or else why not."""
    asked = Params(params)
    names = asked.texts("names")
    asked.end()
    chosen = named(names, bus.subscriptions)
    return [await _one(bus, each, act) for each in chosen]


async def _one(bus: EventBus, subscription: Subscription, act: Callable[[Subscription], Awaitable[None]]) -> Json:
    error: str | None = None
    try:
        await act(subscription)
    except (TocsinError, SupervisionError) as failure:
        error = shown(failure)
    now = bus.statistics().subscriptions.get(subscription.name)
    state = "unknown" if now is None else now.state
    return {"name": subscription.name, "done": error is None, "state": state, "error": error}


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
