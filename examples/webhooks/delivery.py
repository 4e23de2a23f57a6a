"""Subscribers that hand on: a notifier that depends on the network, and repository feeds with an honest bug."""

from __future__ import annotations

from pathlib import Path

import httpx2
from attrs import define

from tocsin import Delivery

from .events import Webhook


@define
class Notifier:
    """Tells an HTTP endpoint of what cannot wait.

    It does nothing about failures: they are raised, and the bus retries, gives up on a delivery, or suspends the whole
    notifier, as the options say that it was subscribed with. A request may have arrived although its answer did not, so
    the endpoint gets the id of the webhook to recognise a second one by.
    """

    client: httpx2.AsyncClient
    url: str
    sent: int = 0

    async def notify(self, event: Webhook, delivery: Delivery[Webhook]) -> None:
        """Send one notification. No time limit here: the bus has one for each attempt."""
        body = {
            "delivery": event.delivery,
            "title": event.title,
            "priority": delivery.priority,
            "attempt": delivery.attempt,
        }
        response = await self.client.post(self.url, json=body, timeout=None)
        response.raise_for_status()
        self.sent += 1


@define
class RepositoryFeeds:
    """Keeps a file for each repository, with a line for each webhook."""

    folder: Path
    fixed: bool = False

    def append(self, event: Webhook) -> None:
        """Add a line to the feed of the repository that *event* is about."""
        path = self.folder / (self._name(event).replace("/", " ") + ".txt")
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{event.delivery} {event.title}\n")

    def _name(self, event: Webhook) -> str:
        if self.fixed:
            return event.repository or "without repository"
        name: str = event.payload["repository"]["full_name"]  # the bug: 49 of the 329 are about no repository
        return name
