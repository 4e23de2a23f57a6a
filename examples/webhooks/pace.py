"""How fast the demo plays. The story is the same at every pace."""

from __future__ import annotations

from attrs import evolve, frozen

from tocsin import Backoff


@frozen(kw_only=True)
class Pace:
    """All durations are seconds."""

    rate: float | None
    """Webhooks a second; None: as fast as the subscribers take them."""
    time_limit: float
    """Of one notification."""
    stall: float
    """How long the endpoint stalls when it does: beyond the time limit."""
    outage: float
    """How long the endpoint is down."""
    suspension: Backoff
    """How long the notifier is suspended while it is sick."""
    intermission: float
    """Between the acts, to look at what happened."""

    def at_rate(self, rate: float | None) -> Pace:
        """The same pace with another rate, if one is given."""
        return self if rate is None else evolve(self, rate=rate)


UNHURRIED = Pace(
    rate=45.0,
    time_limit=1.0,
    stall=2.0,
    outage=3.0,
    suspension=Backoff(initial=1.0, maximum=4.0),
    intermission=2.0,
)
FAST = Pace(
    rate=None,
    time_limit=0.3,
    stall=0.6,
    outage=0.4,
    suspension=Backoff(initial=0.1, maximum=0.4),
    intermission=0.0,
)
