"""Looking at a daemon again and again: what was seen last, and what has changed since the look before."""

from __future__ import annotations

from pathlib import Path
from typing import Self, final

import attrs
from attrs import define, field

from ._client import call
from ._errors import ControlError
from ._protocol import Json
from ._rates import Rates, rates_between
from ._view import BusView, view_of


@final
@define
class Watching:
    """Watches the daemon at *path*, which may go away and come back; each look may take *timeout* seconds."""

    path: Path
    timeout: float
    document: Json
    """The state that was seen last; it stays while the daemon is away."""
    view: BusView
    """The same."""
    rates: Rates = field(factory=Rates, init=False)
    trouble: ControlError | None = field(default=None, init=False)
    """Why the last look has failed; None if it has not."""

    @classmethod
    async def begun(cls, path: Path, timeout: float) -> Self:  # noqa: ASYNC109  # the daemon is told of it
        """Look for the first time. Raise ControlError."""
        document = await call(path, "status", timeout=timeout)
        return cls(path, timeout, document, view_of(document))

    async def look(self) -> None:
        """Look once more. Cancelled, what was seen before stays."""
        try:
            document = await call(self.path, "status", timeout=self.timeout)
            view = view_of(document)
        except ControlError as error:
            self.trouble = error
            self.rates = Rates()
        else:
            self.trouble = None
            self.rates = rates_between(self.view, view)
            self.view, self.document = view, document

    def as_json(self) -> Json:
        """Give what was seen last for programs: the document of `status`, and the rates."""
        return {"status": self.document, "rates": attrs.asdict(self.rates)}
