"""Where subscriptions are declared: the bus itself, and groups, each of which becomes a supervisor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, final

from tocsin_supervisors import RestartIntensity, Strategy

from ._settings import settings_of
from ._subscription import Subscription, subscription_of_actor, subscription_of_handler
from .exceptions import BusAlreadyRunning, BusNotRunning, DuplicateName, UnknownSubscription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Unpack

    from ._bus import EventBus
    from ._settings import Options

H = TypeVar("H", bound="Callable[..., Any]")
C = TypeVar("C", bound=type)


class Registrar(Protocol):
    """What a registry needs to know of a running bus."""

    def check_thread(self) -> None:
        """Raise WrongThread unless this is the thread that runs the bus."""

    async def start_actor(self, subscription: Subscription) -> None:
        """Start the actor of a subscription made while running, and route events to it."""

    def pause_actor(self, subscription: Subscription) -> None:
        """Let an actor begin nothing more."""

    def resume_actor(self, subscription: Subscription) -> None:
        """Let an actor that is paused go on."""

    async def restart_actor(self, subscription: Subscription) -> None:
        """Have a fresh incarnation of an actor up."""

    async def stop_actor(self, subscription: Subscription) -> None:
        """Have an actor down until it is restarted."""

    async def end_actor(self, subscription: Subscription) -> None:
        """Stop the actor of a subscription and take back what it had not handled."""


class Registry(ABC):
    """The part of `EventBus` and `Group` that declares subscribers. All options are those of `Settings`."""

    def __init__(self, name: str, *, strategy: Strategy, intensity: RestartIntensity) -> None:
        if not isinstance(strategy, Strategy):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may not check types
            raise TypeError(f"strategy={strategy!r}: must be one of {', '.join(map(str, Strategy))}")
        if not isinstance(intensity, RestartIntensity):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"intensity={intensity!r}: must be a RestartIntensity(max_restarts, period), or None")
        self.name = name
        self.strategy = strategy
        self.intensity = intensity
        # By name, in the order of declaration: started in it, stopped in reverse.
        self.members: dict[str, Subscription | Group] = {}

    @property
    @abstractmethod
    def bus(self) -> EventBus:
        """The bus that all this belongs to."""

    def subscriber(self, *interests: type | str, **options: Unpack[Options]) -> Callable[[H], H]:
        """Subscribe the decorated function to *interests*: event classes (subclasses included), topic patterns, or
        `object` for everything.

        The function itself is given back, so that it can still be called and tested. Options: see `Settings`. Raise
        InvalidHandler, InvalidTopic, DuplicateName or ValueError, naming the value and what is allowed.
        """

        def subscribe(handler: H) -> H:
            self.subscribe(handler, *interests, **options)
            return handler

        return subscribe

    def actor(self, **options: Unpack[Options]) -> Callable[[C], C]:
        """Subscribe the decorated actor class to what its `@handles` methods name.

        It is built anew, without arguments, for each incarnation.
        """

        def subscribe(actor_class: C) -> C:
            self.subscribe_actor(actor_class, **options)
            return actor_class

        return subscribe

    def subscribe(
        self, handler: Callable[..., Any], *interests: type | str, **options: Unpack[Options]
    ) -> Subscription:
        """Subscribe a function, a bound method or a callable object, and give the handle.

        Before the bus runs, or after; while it runs, raise BusAlreadyRunning: use `subscribe_now` then.
        """
        self._refuse_while_running("subscribe_now")
        return self._declare(subscription_of_handler(self, settings_of(options), handler, interests))

    def subscribe_actor(
        self, factory: Callable[[], Any], *, of: type | None = None, **options: Unpack[Options]
    ) -> Subscription:
        """Subscribe an actor class, or a factory for one: `partial(Class, …)`, or any function with `of=Class`."""
        self._refuse_while_running("subscribe_actor_now")
        return self._declare(subscription_of_actor(self, settings_of(options), factory, of))

    async def subscribe_now(
        self, handler: Callable[..., Any], *interests: type | str, **options: Unpack[Options]
    ) -> Subscription:
        """Subscribe while the bus runs: events published after this has returned are delivered.

        Raise ChildStartError if the actor does not start, BusNotRunning before the bus runs, BusClosed when it stops;
        then nothing is subscribed. Cancelled, nothing is subscribed. Not for `started()` of an actor: others start
        after it has returned.
        """
        return await self._declare_now(subscription_of_handler(self, settings_of(options), handler, interests))

    async def subscribe_actor_now(
        self, factory: Callable[[], Any], *, of: type | None = None, **options: Unpack[Options]
    ) -> Subscription:
        """Subscribe an actor class while the bus runs; see `subscribe_now` and `subscribe_actor`."""
        return await self._declare_now(subscription_of_actor(self, settings_of(options), factory, of))

    def group(
        self, name: str, *, strategy: Strategy = Strategy.ONE_FOR_ONE, intensity: RestartIntensity | None = None
    ) -> Group:
        """Declare a group: a supervisor of its own for the subscribers declared on it, with its own strategy and
        restart intensity.
        """
        self._refuse_while_running(None)
        if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may not check types
            raise TypeError(f"name={name!r}: the name of a group is a text that is not empty")
        group = Group(
            self, name, strategy=strategy, intensity=intensity if intensity is not None else default_intensity()
        )
        self._take_in(group)
        return group

    def all_subscriptions(self) -> Iterator[Subscription]:
        """Iterate over the subscriptions declared here and in groups below, in order."""
        for member in self.members.values():
            # Not by asking for a group: that has an abstract base, and asking for such a one takes five times as long.
            if isinstance(member, Subscription):
                yield member
            else:
                yield from member.all_subscriptions()

    def all_groups(self) -> Iterator[Group]:
        """Iterate over the groups declared here and below, in order."""
        for member in self.members.values():
            if isinstance(member, Group):
                yield member
                yield from member.all_groups()

    def without_a_store(self) -> str | None:
        """Say what cannot run because the bus has no store to keep it in; None if there is nothing."""
        if self.bus.store is not None:
            return None
        if self.bus.outbox is not None:
            return (
                f"bus {self.bus.name!r} has an outbox, and no store to keep in what it takes out of it: "
                "give it one, EventBus(…, store=SQLiteStore(path))"
            )
        return next((_lacks_store(each, self.bus) for each in self.all_subscriptions() if each.settings.durable), None)

    async def end(self, subscription: Subscription) -> None:
        """End *subscription*; see `Subscription.unsubscribe`."""
        if not self.has(subscription):
            return
        registrar = self.bus.registrar
        if registrar is not None:
            registrar.check_thread()
            await registrar.end_actor(subscription)
        self.let_go(subscription)

    def has(self, subscription: Subscription) -> bool:
        """Tell whether *subscription* is declared here, and was not ended."""
        return self.members.get(subscription.name) is subscription

    def let_go(self, subscription: Subscription) -> None:
        """Forget *subscription*; its name is free again."""
        if self.has(subscription):
            del self.members[subscription.name], self.bus.names[subscription.name]

    async def restart(self, subscription: Subscription) -> None:
        """Have a fresh incarnation of *subscription* up; see `Subscription.restart`."""
        await self._registrar_for(subscription).restart_actor(subscription)

    async def bring_down(self, subscription: Subscription) -> None:
        """Have the actor of *subscription* down; see `Subscription.stop`."""
        await self._registrar_for(subscription).stop_actor(subscription)

    def pause(self, subscription: Subscription) -> None:
        """Let *subscription* begin nothing more; see `Subscription.pause`."""
        self._registrar_for(subscription).pause_actor(subscription)

    def resume(self, subscription: Subscription) -> None:
        """Let *subscription* go on; see `Subscription.resume`."""
        self._registrar_for(subscription).resume_actor(subscription)

    def _registrar_for(self, subscription: Subscription) -> Registrar:
        """Give who knows the actor of *subscription* in the run that is up."""
        registrar = self.bus.registrar
        if registrar is None:
            raise BusNotRunning(f"bus {self.bus.name!r} is not running: its actors start with it")
        registrar.check_thread()
        if not self.has(subscription):
            raise UnknownSubscription(subscription.name, list(self.bus.subscriptions))
        return registrar

    def _declare(self, subscription: Subscription) -> Subscription:
        if subscription.settings.activation == "first_event":
            _check_may_be_dormant(subscription, self.strategy)
        self._take_in(subscription)
        return subscription

    def _take_in(self, member: Subscription | Group) -> None:
        # Groups and actors are both children of supervisors: reports and statistics tell them apart by name alone.
        names = self.bus.names
        if member.name in names:
            kind = "group" if isinstance(names[member.name], Group) else "subscription"
            raise DuplicateName(member.name, kind)
        names[member.name] = member
        self.members[member.name] = member

    async def _declare_now(self, subscription: Subscription) -> Subscription:
        registrar = self.bus.registrar
        if registrar is None:
            raise BusNotRunning(f"bus {self.bus.name!r} is not running: use subscribe() before it does")
        registrar.check_thread()
        if subscription.settings.durable and self.bus.store is None:
            raise ValueError(_lacks_store(subscription, self.bus))
        self._declare(subscription)
        try:
            await registrar.start_actor(subscription)
        except BaseException:  # raised again: it did not start, or the start was cancelled
            self.let_go(subscription)
            raise
        return subscription

    def _refuse_while_running(self, instead: str | None) -> None:
        if self.bus.registrar is not None:
            hint = f"use `await {instead}(…)`" if instead else "declare groups before the bus runs"
            raise BusAlreadyRunning(f"bus {self.bus.name!r} is running: {hint}")


def _check_may_be_dormant(subscription: Subscription, strategy: Strategy) -> None:
    """Raise ValueError unless *subscription* may wait for its first event; `Settings` has checked its own part."""
    what = f'subscription {subscription.name!r} with activation="first_event"'
    if not subscription.can_be_pooled:
        raise ValueError(
            f"{what} has started() or stopping(), for which its actor needs a task: leave them out, or use "
            'activation="start"'
        )
    if strategy is not Strategy.ONE_FOR_ONE:
        raise ValueError(
            f"{what} is declared on {subscription.registry.name!r}, which restarts its actors {strategy.value}: who is "
            'restarted along with others has to be up; use Strategy.ONE_FOR_ONE there, or activation="start"'
        )


def _lacks_store(subscription: Subscription, bus: EventBus) -> str:
    return (
        f"subscription {subscription.name!r} is durable, and bus {bus.name!r} has no store to keep it in: "
        "give it one, EventBus(…, store=SQLiteStore(path))"
    )


def default_intensity() -> RestartIntensity:
    """A supervisor of many actors: at most 30 restarts a minute, whoever they are of, before it gives up."""
    return RestartIntensity(30, 60.0)


@final
class Group(Registry):
    """A supervisor within a bus; made by `bus.group(name, …)`.

    Its subscribers are started, restarted and given up together as its strategy says.
    """

    def __init__(self, parent: Registry, name: str, *, strategy: Strategy, intensity: RestartIntensity) -> None:
        super().__init__(name, strategy=strategy, intensity=intensity)
        self.parent = parent

    @property
    def bus(self) -> EventBus:
        """The bus that this group belongs to."""
        return self.parent.bus

    def __repr__(self) -> str:
        return f"<Group {self.name}: {self.strategy.value}, {len(self.members)} members>"
