"""Takes the snapshots of `_statistics.py` from a run."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from attrs import evolve

from tocsin_supervisors import TreeNode

from ._lifecycle import Phase, is_over
from ._registry import Group
from ._statistics import DORMANT, NEVER_RAN, BusStatistics, SubscriptionStatistics

if TYPE_CHECKING:
    from ._actor import Actor
    from ._bus import EventBus
    from ._registry import Registry
    from ._run import Run
    from ._subscription import Subscription


def snapshot(bus: EventBus, run: Run | None) -> BusStatistics:
    """Give the state of *bus* at this instant; of its last run when it does not run."""
    if run is None:
        return BusStatistics(
            name=bus.name,
            phase=str(Phase.NEW),
            published=0,
            undeliverable=0,
            ledger=NEVER_RAN,
            subscriptions=MappingProxyType({}),
            tree=None,
            dead_letters=len(bus.dead_letters),
            dead_letters_evicted=bus.dead_letters.evicted,
            reports_lost=0,
            observer_errors=0,
        )
    run.routes.count()
    tree = run.root.tree()
    nodes: dict[str, TreeNode] = {}
    _index(tree, nodes)
    statistics = {name: _of_actor(actor, nodes.get(name)) for name, actor in run.actors.items()}
    if run.dormant:
        tree = _with_dormant(tree, bus, run)
        statistics |= {each.name: _of_dormant(each) for each in run.dormant}
    return BusStatistics(
        name=bus.name,
        phase=str(run.phase),
        published=run.published,
        undeliverable=run.undeliverable,
        ledger=run.ledger(),
        subscriptions=MappingProxyType(statistics),
        tree=tree,
        dead_letters=len(bus.dead_letters),
        dead_letters_evicted=bus.dead_letters.evicted,
        reports_lost=0 if run.reporter is None else run.reporter.lost,
        observer_errors=0 if run.reporter is None else run.reporter.errors,
        store_up=None if run.keeper is None else run.keeper.condition.is_well,
        store_errors=0 if run.keeper is None else run.keeper.condition.errors,
        store_backlog=0 if run.keeper is None else run.keeper.backlog,
    )


def _index(node: TreeNode, nodes: dict[str, TreeNode]) -> None:
    for child in node.children:
        nodes[child.id] = child
        _index(child, nodes)


def _with_dormant(tree: TreeNode, bus: EventBus, run: Run) -> TreeNode:
    """Give *tree* with what is dormant behind the children of each supervisor."""
    dormant: dict[Registry, list[TreeNode]] = {}
    for each in run.dormant:
        dormant.setdefault(each.registry, []).append(TreeNode(each.name, "actor", DORMANT, None, 0, 0, None))

    def complete(node: TreeNode, registry: Registry) -> TreeNode:
        members = ((each, registry.members.get(each.id)) for each in node.children)
        below = (complete(each, member) if isinstance(member, Group) else each for each, member in members)
        return evolve(node, children=(*below, *dormant.get(registry, ())))

    return complete(tree, bus)


def _of_dormant(subscription: Subscription) -> SubscriptionStatistics:
    """Give the statistics of one that has no actor."""
    return SubscriptionStatistics(
        name=subscription.name,
        group=_group_of(subscription),
        state=DORMANT,
        is_paused=False,
        depth=0,
        capacity=subscription.settings.mailbox,
        oldest_age=0.0,
        in_flight=0,
        waiting_retry=0,
        blocked_publishers=0,
        handled=0,
        retried=0,
        dead_lettered=0,
        dropped=0,
        rejected=0,
        returned=0,
        restarts=0,
        incarnation=0,
        last_error=None,
    )


def _group_of(subscription: Subscription) -> str | None:
    return subscription.registry.name if isinstance(subscription.registry, Group) else None


def _of_actor(actor: Actor, node: TreeNode | None) -> SubscriptionStatistics:
    counters, mailbox = actor.counters, actor.mailbox
    oldest = mailbox.oldest()
    failure, times = actor.last_error, actor.times
    p50, p99 = (None, None) if times is None else times.percentiles(_now(actor.run), 0.5, 0.99)
    return SubscriptionStatistics(
        name=actor.name,
        group=_group_of(actor.subscription),
        state="stopped" if node is None else node.state,
        is_paused=actor.is_paused,
        depth=mailbox.queued,
        capacity=mailbox.capacity,
        oldest_age=0.0 if oldest is None else max(0.0, actor.run.now() - oldest),
        in_flight=sum(server.is_handling for server in actor.servers),
        waiting_retry=mailbox.waiting_retry,
        blocked_publishers=mailbox.blocked_publishers,
        handled=actor.handled_by_now,
        retried=counters.retried,
        dead_lettered=counters.dead_lettered,
        dropped=counters.dropped,
        rejected=counters.rejected,
        returned=counters.returned,
        restarts=0 if node is None else node.restarts,
        incarnation=actor.incarnation,
        last_error=None if failure is None else f"{failure.type}: {failure.message}",
        p50=p50,
        p99=p99,
        measured=0 if times is None else times.count,
        handling_time=0.0 if times is None else times.seconds,
    )


def _now(run: Run) -> float | None:
    """Give the time on the clock of *run*; None when it is over: then there may be no such clock any more."""
    return None if is_over(run.phase) else run.now()
