"""A graph of a bus as text: a flowchart for mermaid, or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count

import attrs

from tocsin_supervisors import safe_text

from ._graph import ALL_PRIORITIES, GroupNode, Interest, SubscriptionNode, subscriptions_in

# Everything else is written as the number of its character: a label must not be able to end its quotes, begin a
# directive (`%%{`), a link or a tag. Letters of any script are harmless.
_PLAIN = frozenset(" .,_-/():*+=")


def as_json(graph: GroupNode) -> str:
    """Give *graph* as JSON, each object with all fields of its class."""
    return json.dumps(attrs.asdict(graph), indent=2)


def as_mermaid(graph: GroupNode) -> str:
    """Give *graph* as a flowchart: interests on the left, subscriptions in the supervisors that they are children of.

    An edge is labelled with the priorities if not all are delivered, and with `when` if a predicate decides.
    """
    subscriptions = list(subscriptions_in(graph))
    numbers = {each.name: f"s{number}" for number, each in enumerate(subscriptions)}  # names are unique in a bus
    events = {each: f"e{number}" for number, each in enumerate(_interests(subscriptions))}
    lines = ["flowchart LR"]
    lines += [f"    {node}{_event_shape(each)}" for each, node in events.items()]
    lines += _subgraph(graph, numbers, count(), depth=1)
    for subscription in subscriptions:
        label = _edge_label(subscription)
        arrow = f"-->|{_quoted(label)}|" if label else "-->"
        lines += [f"    {events[each]} {arrow} {numbers[subscription.name]}" for each in subscription.interests]
    return "\n".join(lines)


def _interests(subscriptions: list[SubscriptionNode]) -> dict[Interest, None]:
    """Give every interest once, in order of the first that has it."""
    return {interest: None for each in subscriptions for interest in each.interests}


def _event_shape(interest: Interest) -> str:
    text = _quoted(interest.name)
    return f"([{text}])" if interest.kind == "class" else f"{{{{{text}}}}}"


def _subgraph(group: GroupNode, numbers: dict[str, str], ids: Iterator[int], depth: int) -> Iterator[str]:
    indent = "    " * depth
    yield f"{indent}subgraph g{next(ids)}[{_quoted(f'{group.name}: {group.strategy}')}]"
    for member in group.members:
        if isinstance(member, GroupNode):
            yield from _subgraph(member, numbers, ids, depth + 1)
        else:
            yield f"{indent}    {numbers[member.name]}{_subscription_shape(member)}"
    yield f"{indent}end"


def _subscription_shape(subscription: SubscriptionNode) -> str:
    several = f" x {subscription.concurrency}" if subscription.concurrency > 1 else ""
    text = _quoted(f"{subscription.name}{several}")
    return f"[[{text}]]" if subscription.kind == "actor" else f"[{text}]"


def _edge_label(subscription: SubscriptionNode) -> str:
    priorities = () if subscription.priorities == ALL_PRIORITIES else subscription.priorities
    return ", ".join([*priorities, *(["when"] if subscription.has_predicate else [])])


def _quoted(text: str) -> str:
    """Give *text* as a label: it reads as it did, and means nothing to mermaid."""
    return f'"{"".join(map(_escaped, safe_text(text)))}"'


def _escaped(character: str) -> str:
    return character if character.isalnum() or character in _PLAIN else f"#{ord(character)};"
