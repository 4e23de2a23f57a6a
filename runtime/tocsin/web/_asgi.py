"""The ASGI application: looks at the bus when asked, and answers. All that it says is decided in the pure modules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final
from urllib.parse import parse_qs

from attrs import frozen

from ._exposition import OPEN_METRICS, PROMETHEUS, exposition
from ._health import liveness, readiness
from ._health_text import as_json, as_text
from ._hosts import AllowedHosts
from ._metrics import families
from ._negotiation import MediaType, chosen

if TYPE_CHECKING:
    from tocsin._bus import EventBus

    from ._health import Health

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

# With a tenth of the room left, the requests that are on their way find some while the load balancer learns of it.
HIGH_WATER: Final = 0.9
MAX_SUBSCRIPTIONS: Final = 1_000  # 20,000 series: what a scrape of one process may bring without a word with its owner

_TEXT: Final = MediaType("text/plain", "text/plain; charset=utf-8")
_JSON: Final = MediaType("application/json", "application/json")
_HEADERS: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


@final
@frozen
class _Answer:
    status: int
    content_type: str
    text: str
    allow: bytes = b""  # for 405

    def headers(self) -> list[tuple[bytes, bytes]]:
        length = str(len(self.body())).encode()
        own = [(b"content-type", self.content_type.encode()), (b"content-length", length), *_HEADERS]
        return [*own, (b"allow", self.allow)] if self.allow else own

    def body(self) -> bytes:
        return self.text.encode()


@final
class HealthApp:
    """What `health_app` gives: an ASGI 3 application."""

    def __init__(
        self, bus: EventBus, *, high_water: float, max_subscriptions: int, allowed_hosts: AllowedHosts | None
    ) -> None:
        self._bus = bus
        self._high_water = high_water
        self._max_subscriptions = max_subscriptions
        self._allowed_hosts = allowed_hosts
        self._routes: dict[str, Callable[[str, str], _Answer]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; of a web socket refuse the handshake, and take part in the lifespan protocol."""
        match scope["type"]:
            case "http":
                await _respond(self._answer(scope), send, has_body=scope["method"] != "HEAD")
            case "lifespan":
                await _live(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})
            case other:
                raise ValueError(f"scope type {other!r}: health_app knows http, websocket and lifespan")

    def __repr__(self) -> str:
        return f"<health_app of {self._bus!r}>"

    def _answer(self, scope: Scope) -> _Answer:
        """Decide on one request. Of its body nothing is read."""
        if self._allowed_hosts is not None and not self._allowed_hosts.allows(_header(scope, b"host")):
            return _plain(421, "this host name is not served here: see allowed_hosts of tocsin.web")
        route = self._routes.get(own_path(scope))
        if route is None:
            return _plain(404, f"nothing is here: there are {', '.join(self._routes)}")
        if scope["method"] not in ("GET", "HEAD"):
            return _plain(405, "only GET and HEAD are answered", allow=b"GET, HEAD")
        return route(_header(scope, b"accept"), scope.get("query_string", b"").decode("latin-1"))

    def _livez(self, accept: str, query: str) -> _Answer:
        return _of_health(liveness(self._bus.name, self._bus.phase), accept, query)

    def _readyz(self, accept: str, query: str) -> _Answer:
        settings = {name: each.settings for name, each in self._bus.subscriptions.items()}
        return _of_health(readiness(self._bus.statistics(), settings, self._high_water), accept, query)

    def _metrics(self, accept: str, query: str) -> _Answer:
        media_type = chosen(accept, (PROMETHEUS, OPEN_METRICS))
        found = families(self._bus.statistics(), self._max_subscriptions)
        return _Answer(200, media_type.content_type, exposition(found, media_type))


def health_app(
    bus: EventBus,
    *,
    high_water: float = HIGH_WATER,
    max_subscriptions: int = MAX_SUBSCRIPTIONS,
    allowed_hosts: Iterable[str] | None = None,
) -> HealthApp:
    """Give an ASGI application that tells how *bus* is: `/livez`, `/readyz` and `/metrics`.

    Mount it into an application of yours, in the loop that runs the bus, or have `serve_health` serve it alone. It
    needs no other library. GET and HEAD are answered; nothing can be changed through it. What the answers mean is in
    `docs/operation.md`. It may be called in any phase of the bus and in any run, and holds on to the bus only.

    *high_water*: the share of its capacity (0.9) from which on a mailbox makes `/readyz` say 503.
    *max_subscriptions*: how many subscriptions (1,000) have series of their own in `/metrics`, the rest is added up
    under `subscription="other"`. *allowed_hosts*: which `Host` headers are answered, names, addresses or networks;
    others get 421. None, for an application of yours that checks that itself: any.

    One answer takes a snapshot of the bus, which costs the loop about 10 µs for each subscription, and `/metrics`
    as much again several times. Raise ValueError or TypeError for an option that can be none.
    """
    if not (type(high_water) in (int, float) and 0 < high_water <= 1):
        raise ValueError(f"high_water={high_water!r}: must be a share of the mailbox, above 0 and at most 1")
    if type(max_subscriptions) is not int or max_subscriptions < 0:
        raise ValueError(f"max_subscriptions={max_subscriptions!r}: must be a whole number, 0 or more")
    hosts = None if allowed_hosts is None else AllowedHosts.of(allowed_hosts)
    return HealthApp(bus, high_water=high_water, max_subscriptions=max_subscriptions, allowed_hosts=hosts)


def _of_health(health: Health, accept: str, query: str) -> _Answer:
    status = 200 if health.is_well else 503
    match _format(query):
        case "json":
            media_type = _JSON
        case "text":
            media_type = _TEXT
        case _:
            media_type = chosen(accept, (_TEXT, _JSON))
    text = as_json(health) if media_type is _JSON else as_text(health)
    return _Answer(status, media_type.content_type, text)


def _format(query: str) -> str | None:
    return parse_qs(query[:200]).get("format", [None])[-1]


def _plain(status: int, text: str, *, allow: bytes = b"") -> _Answer:
    return _Answer(status, _TEXT.content_type, f"{text}\n", allow)


def _header(scope: Scope, wanted: bytes) -> str:
    """Give the header *wanted*, in lower case, of a request; several of one name are one list (RFC 9110, 5.3)."""
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)


def own_path(scope: Scope) -> str:
    """Give the path below the place where this is mounted, with one slash before and none behind.

    Of old, `path` was without `root_path`; by ASGI 3 as it is now, it begins with it; Litestar takes its own part off,
    and puts a slash at the end.
    """
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    below = path[len(root) :] if path.startswith(f"{root}/") else path
    return f"/{below.strip('/')}"


async def _respond(answer: _Answer, send: Send, *, has_body: bool) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers()})
    await send({"type": "http.response.body", "body": answer.body() if has_body else b""})


async def _live(receive: Receive, send: Send) -> None:
    """Say yes to whatever the host begins and ends: there is nothing here to open or to close."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
