"""Subscribers that know something: an actor class that answers questions, and triage, which wants only some events."""

from __future__ import annotations

from collections import Counter

from attrs import define, field, frozen

from tocsin import handles

from .events import Applause, Issue, PullRequest, Webhook


@frozen
class TopRepositories:
    """A question for the statistics: which repositories had most webhooks?"""

    limit: int = 5


@frozen
class RepositoryCount:
    """A line of the answer."""

    repository: str
    webhooks: int
    people: int


class RepositoryStatistics:
    """Counts, per repository. An actor class: its state needs no lock, and is built anew after a restart."""

    def __init__(self) -> None:
        self._webhooks: Counter[str] = Counter()
        self._people: dict[str, set[str]] = {}

    @handles(Webhook)
    async def count(self, event: Webhook) -> None:
        """Count one webhook; those without a repository belong to nobody."""
        if event.repository is None:
            return
        self._webhooks[event.repository] += 1
        people = self._people.setdefault(event.repository, set())
        if event.sender is not None:
            people.add(event.sender)

    @handles(TopRepositories)
    async def top(self, question: TopRepositories) -> tuple[RepositoryCount, ...]:
        """Answer: what a handler returns is what `await bus.ask(…)` gives."""
        best = self._webhooks.most_common(question.limit)
        return tuple(RepositoryCount(name, count, len(self._people[name])) for name, count in best)


@define
class Triage:
    """A list of what nobody has looked at yet."""

    waiting: list[str] = field(factory=list[str])

    async def note(self, event: Issue | PullRequest) -> None:
        """Put *event* on the list."""
        self.waiting.append(event.title)


def nobody_looks_at(event: Issue | PullRequest) -> bool:
    """A predicate for `when=`: newly opened, and nobody is assigned."""
    body = event.payload.get(event.event, {})
    return event.action in {"opened", "reopened"} and not body.get("assignees")


@define
class ApplauseMeter:
    """Counts stars, forks and watchers."""

    heard: Counter[str] = field(factory=Counter[str])

    async def hear(self, event: Applause) -> None:
        """Count *event*."""
        self.heard[event.event] += 1
