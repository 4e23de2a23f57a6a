"""Which letters a command line means, and the same as parameters of a request. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import final

import attrs

from tocsin.cli._control._params import Params, bad_params
from tocsin.cli._control._protocol import Json
from tocsin_supervisors import Conditions, DeadLetterReason

from ._times import moment

MOST = 2**53  # numbers that every reader of JSON can hold


@final
@attrs.frozen(kw_only=True)
class Choice:
    """The letters that meet all that is given; each field means what it does in `Conditions`."""

    ids: tuple[int, ...] = ()
    """Numbers; none: whatever number."""
    subscription: str | None = None
    event_type: str | None = None
    error_type: str | None = None
    reason: DeadLetterReason | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None

    @property
    def is_all(self) -> bool:
        """True if it leaves nobody out; a limit alone chooses nobody either, it only ends sooner."""
        return self == Choice(limit=self.limit)

    @property
    def says_more_than_ids(self) -> bool:
        """True if what a letter says decides, and not its number alone."""
        return attrs.evolve(self, ids=(), limit=None) != Choice()

    def conditions(self) -> Conditions:
        """Give the conditions of the office, without the limit, as that is counted over all pages."""
        return Conditions(
            ids=self.ids or None,
            subscription=self.subscription,
            event_type=self.event_type,
            error_type=self.error_type,
            reason=self.reason,
            since=self.since,
            until=self.until,
        )

    def params(self) -> dict[str, Json]:
        """Give the parameters of a request, without the limit."""
        fields: dict[str, Json] = {
            "ids": list(self.ids) or None,
            "subscription": self.subscription,
            "event_type": self.event_type,
            "error_type": self.error_type,
            "reason": None if self.reason is None else self.reason.value,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
        }
        return {name: value for name, value in fields.items() if value is not None}


def choice_in(params: Params, now: datetime) -> Choice:
    """Take what `Choice.params` gives out of *params*; raise CommandRefused."""
    return Choice(
        ids=_ids(params.value("ids")),
        subscription=params.optional_text("subscription"),
        event_type=params.optional_text("event_type"),
        error_type=params.optional_text("error_type"),
        reason=_reason(params.optional_text("reason")),
        since=_moment("since", params.optional_text("since"), now),
        until=_moment("until", params.optional_text("until"), now),
    )


def _ids(found: Json) -> tuple[int, ...]:
    if found is None:
        return ()
    if isinstance(found, list):
        ids = tuple(each for each in found if type(each) is int and 0 < each <= MOST)
        if ids and len(ids) == len(found):
            return ids
    raise bad_params("ids must be a list of numbers of letters, one at least")


def _reason(text: str | None) -> DeadLetterReason | None:
    try:
        return None if text is None else DeadLetterReason(text)
    except ValueError as error:
        raise bad_params(f"reason must be one of {', '.join(DeadLetterReason)}") from error


def _moment(name: str, text: str | None, now: datetime) -> datetime | None:
    try:
        return None if text is None else moment(text, now)
    except ValueError as error:
        raise bad_params(f"{name}={error}") from error
