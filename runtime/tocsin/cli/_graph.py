"""What a bus declares, as plain values: who wants what, in which group. Nothing runs for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias, final

from attrs import frozen

from tocsin import Group, Priority, Subscription
from tocsin_supervisors import qualified_name

if TYPE_CHECKING:
    from tocsin import EventBus


@final
@frozen
class Interest:
    """A class of events, or a pattern of topics."""

    kind: Literal["class", "topic"]
    name: str


@final
@frozen(kw_only=True)
class SubscriptionNode:
    """One subscription."""

    name: str
    kind: Literal["handler", "actor"]
    interests: tuple[Interest, ...]
    priorities: tuple[str, ...]
    """The most urgent first."""
    has_predicate: bool
    """True: only some of the events are delivered (`when=`)."""
    mailbox: int
    concurrency: int


@final
@frozen(kw_only=True)
class GroupNode:
    """The bus itself, or a group in it: a supervisor each."""

    name: str
    strategy: str
    members: tuple[SubscriptionNode | GroupNode, ...]


Member: TypeAlias = SubscriptionNode | GroupNode
ALL_PRIORITIES = tuple(each.name for each in sorted(Priority))


def graph_of(bus: EventBus) -> GroupNode:
    """Give the graph of everything that *bus* declares, in the order of declaration."""
    return _group(bus.name, bus)


def _group(name: str, registry: EventBus | Group) -> GroupNode:
    members = (
        _group(member.name, member) if isinstance(member, Group) else _subscription(member)
        for member in registry.members.values()
    )
    return GroupNode(name=name, strategy=registry.strategy.value, members=tuple(members))


def _subscription(subscription: Subscription) -> SubscriptionNode:
    settings = subscription.settings
    classes = [Interest("class", qualified_name(each)) for each in subscription.types]
    topics = [Interest("topic", each) for each in subscription.patterns]
    return SubscriptionNode(
        name=subscription.name,
        kind="actor" if subscription.is_stateful else "handler",
        interests=(*classes, *topics),
        priorities=tuple(each.name for each in sorted(settings.priorities)),
        has_predicate=settings.when is not None,
        mailbox=settings.mailbox,
        concurrency=settings.concurrency,
    )


def subscriptions_in(group: GroupNode) -> Iterator[SubscriptionNode]:
    """Iterate over the subscriptions in *group* and below it, in order."""
    for member in group.members:
        if isinstance(member, GroupNode):
            yield from subscriptions_in(member)
        else:
            yield member
