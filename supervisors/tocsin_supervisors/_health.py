"""Poison or sick: does one delivery fail again and again, or does one delivery after the other?

* *Poison*: the same delivery fails in attempt after attempt while others succeed. That is the delivery's matter.
* *Sick*: the first attempts of several different deliveries fail in a row. That is the actor's matter, or that of
  something it depends on; burying its deliveries would empty the mailbox into the dead letters.

Failures that are the message's own fault (the retry policy's ``never_retry``) are not to be fed in.
"""

from __future__ import annotations

import enum
from typing import final

import attrs

from ._checks import count


@final
class Diagnosis(enum.Enum):
    """What a failure says about the actor."""

    WELL = "well"
    SICK = "sick"


@final
@attrs.define(on_setattr=attrs.setters.NO_OP)  # the validator looks at what it is made with: nobody sets that again
class Health:
    """The health of one actor; outlives its incarnations."""

    sick_after: int = attrs.field(validator=count(at_least=1))
    """First attempts of so many different deliveries failing in a row make the actor sick."""

    # Numbers of the deliveries in the streak, at most sick_after: while the actor is sick its failed attempts are not
    # counted, so one delivery may come back as a first attempt, and must not count twice.
    _failing: frozenset[int] = attrs.field(default=frozenset(), init=False)
    _on_probation: bool = attrs.field(default=False, init=False)

    @property
    def streak(self) -> int:
        """Different deliveries whose first attempt failed since the last success; counted up to *sick_after*."""
        return len(self._failing)

    @property
    def on_probation(self) -> bool:
        """Whether the actor was suspended and has not succeeded since."""
        return self._on_probation

    def on_success(self) -> None:
        """End the streak and the probation: a delivery was handled."""
        if self._failing or self._on_probation:
            self._failing = frozenset()
            self._on_probation = False

    def on_failure(self, delivery_number: int, attempt: int) -> Diagnosis:
        """Return the diagnosis after a failed attempt, counted from 1, of the delivery of that number.

        Retries neither lengthen nor end the streak. On probation any failure means sick.
        """
        if attempt == 1 and len(self._failing) < self.sick_after:
            self._failing |= {delivery_number}
        if self._on_probation or len(self._failing) >= self.sick_after:
            return Diagnosis.SICK
        return Diagnosis.WELL

    def begin_probation(self) -> None:
        """Note that the actor starts again after a suspension: it must prove itself by a success."""
        self._on_probation = True
