"""Subscriptions without an actor yet: with `activation="first_event"` the first event that matches makes one.

The states of such a subscription in one run, and who changes them:

    dormant ──activate──▶ being activated ──supervisor──▶ active
       └─────unsubscribe──▶ gone

Dormant, it stands in the router, at its place in the order of declaration, and in here; there is no actor, no mailbox,
and its supervisor does not know of it. `activate` is one step: the actor takes that place, and its supervisor has a
child more, after all others, in this run of it and in each later one, so after a restart of its group an active one
comes back and a dormant one stays dormant. The supervisor starts the child in this very step, and then it is active:
an actor like any other, until the run of the bus ends. In the next run it is dormant again.

Not in this step, if the supervisor itself is down, starts or stops, if it is just being told something else (code of
the user that it calls publishes), or in a callback of asyncio, which is in no task. Then the actor is *being
activated*: as when it restarts, its mailbox takes what it is sent, and who asks is told to ask again. What the
supervisor never starts, because all is stopping, is returned with the rest of the run. A first start that fails is a
crash like any other: charged, and made again as the restart policy says.

Activated by: an event, for those that want it, after predicates and before anything is offered; `ask`, `replay`,
`pause`, `restart` and `stop`, for the one they name; a letter that was replayed while no bus ran. Nobody who looks on
activates anything, and `resume` and `unsubscribe` need no actor.

All moves are single steps. Only `activate_many` waits, between two of them: cancelled there, some are active, and
nothing else has happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, final

from ._actor import Actor
from ._lifecycle import may_publish
from ._subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._envelope import Envelope
    from ._run import Run

PORTION = 32  # activations without giving others a turn, some 3 ms; as many as publishes, in which this may happen

Entry: TypeAlias = Actor | Subscription  # of the router: who wants an event


@final
class Dormant:
    """Those of one run; see the module."""

    # No table of them: the router has each by itself, and the bus by name.
    __slots__ = ("_count", "_run")

    def __init__(self, run: Run) -> None:
        self._run: Run = run
        self._count: int = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Subscription]:
        """Iterate over them in the order of declaration."""
        return filter(self.has, self._run.bus.all_subscriptions()) if self else iter(())

    def has(self, subscription: Subscription) -> bool:
        """Tell whether *subscription* is dormant."""
        return self._run.router.has(subscription)

    def called(self, name: str) -> Subscription | None:
        """Give the dormant one called *name*."""
        member = self._run.bus.names.get(name)
        return member if isinstance(member, Subscription) and self.has(member) else None

    def add(self, subscription: Subscription) -> None:
        """Route to *subscription*, last in order, without an actor."""
        subscription.actor = None  # that of the last run, if there was one
        self._run.router.add(subscription)
        self._count += 1

    def let_go(self, subscription: Subscription) -> bool:
        """Forget *subscription*; False: it is not dormant."""
        if not self.has(subscription):
            return False
        self._count -= 1
        self._run.router.remove(subscription)
        return True

    def activate(self, subscription: Subscription) -> Actor:
        """Make the actor of *subscription*, and have it started."""
        self._count -= 1
        return self._run.members.activate(subscription)

    def activated(self, entries: list[Entry]) -> list[Actor]:
        """Give the actors of *entries*, in their order, activating those that are dormant."""
        return [each if isinstance(each, Actor) else self._actor_of(each) for each in entries]

    def _actor_of(self, subscription: Subscription) -> Actor:
        if self.has(subscription):
            return self.activate(subscription)
        # What the start of another one has called was quicker.
        assert subscription.actor is not None
        return subscription.actor

    async def activate_many(self, envelope: Envelope[Any], *, from_handler: bool) -> bool:
        """Activate those that *envelope* wakes, if they are too many for one step: others have their turn between.
        Tell whether they had, as much may have changed then.
        """
        publisher = self._run.publisher
        event: object = envelope.event
        entries = self._run.router.route(type(event), envelope.topic)
        if sum(isinstance(each, Subscription) for each in entries) <= PORTION:
            return False
        portion = PORTION
        for each in publisher.matching(envelope):
            if portion == 0:
                await publisher.let_others()
                portion = PORTION
            if not may_publish(self._run.phase, from_handler=from_handler):
                break
            if isinstance(each, Subscription) and self.has(each):
                self.activate(each)
                portion -= 1
        return True
