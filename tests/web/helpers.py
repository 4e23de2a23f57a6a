"""What the tests of `tocsin.web` share: snapshots by hand, and requests to an ASGI application without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast, final

from attrs import frozen
from prometheus_client import Metric, parser
from prometheus_client.openmetrics import parser as open_parser

from tocsin import BusStatistics, Ledger, SubscriptionStatistics
from tocsin.web import HealthApp
from tocsin.web._exposition import OPEN_METRICS, PROMETHEUS
from tocsin.web._negotiation import MediaType

Parse: TypeAlias = "Callable[[str], Iterable[Metric]]"
# The second one has no types.
PARSERS: dict[MediaType, Parse] = {
    PROMETHEUS: parser.text_string_to_metric_families,
    OPEN_METRICS: cast("Parse", getattr(open_parser, "text_string_to_metric_families")),  # noqa: B009
}


def of_subscription(name: str = "bill", **facts: Any) -> SubscriptionStatistics:
    """Make the statistics of a subscription that is well, but for *facts*."""
    well: dict[str, Any] = {
        "group": None,
        "state": "running",
        "is_paused": False,
        "depth": 0,
        "capacity": 1000,
        "oldest_age": 0.0,
        "in_flight": 0,
        "waiting_retry": 0,
        "blocked_publishers": 0,
        "handled": 0,
        "retried": 0,
        "dead_lettered": 0,
        "dropped": 0,
        "rejected": 0,
        "returned": 0,
        "restarts": 0,
        "incarnation": 1,
        "last_error": None,
    }
    return SubscriptionStatistics(name=name, **(well | facts))


def of_bus(*subscriptions: SubscriptionStatistics, **facts: Any) -> BusStatistics:
    """Make the statistics of a bus with *subscriptions* that is well, but for *facts*."""
    well: dict[str, Any] = {
        "name": "shop",
        "phase": "running",
        "published": 0,
        "undeliverable": 0,
        "ledger": Ledger(),
        "tree": None,
        "dead_letters": 0,
        "dead_letters_evicted": 0,
        "reports_lost": 0,
        "observer_errors": 0,
    }
    return BusStatistics(subscriptions={each.name: each for each in subscriptions}, **(well | facts))


@final
@frozen
class Response:
    """What an application has sent."""

    status: int
    headers: dict[str, str]
    body: str


async def ask(
    app: HealthApp,
    path: str,
    *,
    method: str = "GET",
    query: str = "",
    headers: tuple[tuple[str, str], ...] = (),
    root_path: str | None = None,
) -> Response:
    """Send one request to *app* as a server would, and give the response."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    if root_path is not None:
        scope["root_path"] = root_path
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body of a request is of no interest")

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, body = sent
    assert (start["type"], body["type"]) == ("http.response.start", "http.response.body")
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return Response(start["status"], found, body["body"].decode())
