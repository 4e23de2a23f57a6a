"""Which exits a child is restarted after."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, final

from ._exits import Crashed, Suspended

if TYPE_CHECKING:
    from ._exits import Exit


@final
@enum.unique
class RestartPolicy(enum.Enum):
    """Whether a child is started again after it ended by itself; OTP's three. A child that was stopped never is."""

    PERMANENT = "permanent"
    """Always."""

    TRANSIENT = "transient"
    """After a crash; when it returned, it has finished."""

    TEMPORARY = "temporary"
    """Never. Its spec is forgotten when it ends, and a group restart does not bring it back."""

    def restarts_after(self, exit: Exit) -> bool:
        """Tell whether a child that ended by itself with *exit* is started again (a renewal is no end, see
        `Renewed`)."""
        if self is RestartPolicy.PERMANENT:
            return True
        return self is RestartPolicy.TRANSIENT and isinstance(exit, Crashed | Suspended)
