"""The daemon itself: who subscribes to what, and under which conditions. Read this first."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from attrs import frozen

from tocsin import Backoff, Deduplicate, EventBus, RestartIntensity, RetryPolicy, Strategy

from .delivery import Notifier, RepositoryFeeds
from .events import CheckRun, Issue, PullRequest, Release, SecurityAlert, Webhook
from .insight import ApplauseMeter, RepositoryStatistics, Triage, nobody_looks_at
from .pace import Pace
from .records import AuditLog, SearchIndex

# What `RestartIntensity.for_network_dependency()` says, for a suspension that is much shorter than the default one, as
# nobody wants to watch for minutes. `bus.explain()` would tell if it could be exceeded.
OUTLASTS_OUTAGES = RestartIntensity(3000, 600.0, max_consecutive=None, may_never_trip=True)


@frozen
class Daemon:
    """The subscribers; each is an ordinary object that knows nothing of the bus."""

    audit: AuditLog
    index: SearchIndex
    triage: Triage
    applause: ApplauseMeter
    notifier: Notifier
    feeds: RepositoryFeeds

    def subscribe(self, bus: EventBus, pace: Pace) -> None:
        """Declare everything on *bus*.

        bus ─┬─ records ──┬─ audit         started first, stopped last: it sees everything
             │            └─ search
             ├─ statistics
             ├─ triage
             ├─ applause
             └─ delivery ─┬─ notifier
                          └─ feeds
        """
        # A group is a supervisor of its own. Here: when the audit log is restarted, so is what follows it in the group.
        records = bus.group("records", strategy=Strategy.REST_FOR_ONE)
        records.subscribe(self.audit.record, Webhook, name="audit")
        records.subscribe(self.index.add, Webhook, name="search")

        bus.subscribe_actor(RepositoryStatistics, name="statistics")
        bus.subscribe(self.triage.note, Issue, PullRequest, name="triage", when=nobody_looks_at)
        bus.subscribe(self.applause.hear, "star.*", "watch.*", "fork", name="applause")

        delivery = bus.group("delivery")
        delivery.subscribe(
            self.notifier.notify,
            *(SecurityAlert, CheckRun, Release, Issue, PullRequest),
            name="notifier",
            mailbox=100,  # when it is full, publishers wait
            concurrency=2,
            timeout=pace.time_limit,
            retry=RetryPolicy(max_attempts=6, backoff=Backoff(initial=0.1, maximum=2.0)),
            # An outage is no reason to give up: it is suspended, tries one delivery now and then, keeps its mailbox.
            suspension=pace.suspension,
            intensity=OUTLASTS_OUTAGES,
            deduplicate=Deduplicate(by=delivery_id),
        )
        # One webhook in seven is poison for it. `sick_after` is well above the longest row of them.
        delivery.subscribe(self.feeds.append, Webhook, name="feeds", sick_after=20)


def delivery_id(event: Webhook) -> str:
    """What makes two webhooks the same."""
    return event.delivery


@asynccontextmanager
async def daemon(folder: Path, *, url: str, fixed: bool) -> AsyncGenerator[Daemon]:
    """Open the files and the HTTP client for the time of the block. The bus must run within it."""
    feeds = folder / "feeds"
    feeds.mkdir()
    async with (
        AuditLog.opened(folder / "audit.ndjson") as audit,
        httpx2.AsyncClient(verify=False, trust_env=False) as client,
    ):
        with SearchIndex(folder / "search.sqlite") as index:
            yield Daemon(
                audit=audit,
                index=index,
                triage=Triage(),
                applause=ApplauseMeter(),
                notifier=Notifier(client, url),
                feeds=RepositoryFeeds(feeds, fixed=fixed),
            )
