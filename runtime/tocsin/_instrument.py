"""What looks on while a bus runs, in the very step in which something happens: for the test kit, not for users, who
have the observer.

Without one nothing is asked on the way of a delivery: an instrument puts itself around the handlers of a life when it
begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ._actor import Actor
    from ._invocation import Handles, Invoke
    from ._reports import Report


class Instrument(Protocol):
    """See the module. It must not raise."""

    def reported(self, report: Report) -> None:
        """Something is about to be reported to the observer."""
        ...

    def around_deliveries(self, actor: Actor, invoke: Invoke) -> Invoke:
        """Give what is called in the place of *invoke*, for a life of *actor* that begins."""
        ...

    def around_plain(self, actor: Actor, handles: Handles) -> Handles:
        """Give what is called in the place of *handles*, for the plain deliveries of that life."""
        ...
