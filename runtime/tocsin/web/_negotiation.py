"""Which representation a client wants, by its `Accept` header (RFC 9110, 12.5.1), for the few that we have."""

from __future__ import annotations

from typing import Final, final

from attrs import frozen

LONGEST_ACCEPT: Final = 2_000  # characters: Prometheus sends about 400; what is behind that is not looked at


@final
@frozen
class MediaType:
    """One representation that can be given."""

    name: str
    content_type: str
    """The whole header, parameters included."""
    version: str | None = None
    """What a `version` parameter must say if the client sends one; None: any."""


def chosen(accept: str, offers: tuple[MediaType, ...]) -> MediaType:
    """Give the one of *offers* that *accept* likes best, the first of equals.

    The first, too, if it likes none: a probe that is answered in a format it did not expect is better off than one that
    is not answered.
    """
    ranges = [_parsed(each) for each in accept[:LONGEST_ACCEPT].split(",") if each.strip()]
    return max(offers, key=lambda offer: _quality(offer, ranges))


def _parsed(media_range: str) -> tuple[str, dict[str, str]]:
    name, *parameters = media_range.split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return name.strip().lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


def _quality(offer: MediaType, ranges: list[tuple[str, dict[str, str]]]) -> float:
    """Give the weight of the most specific range that fits *offer*; 0.0 when none does."""
    of_kind = offer.name.partition("/")[0] + "/*"
    for name in (offer.name, of_kind, "*/*"):
        weights = [_weight(each) for kind, each in ranges if kind == name and _fits(offer, each)]
        if weights:
            return max(weights)
    return 0.0


def _fits(offer: MediaType, parameters: dict[str, str]) -> bool:
    return offer.version is None or parameters.get("version", offer.version) == offer.version


def _weight(parameters: dict[str, str]) -> float:
    try:
        weight = float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0  # this also says no to NaN
