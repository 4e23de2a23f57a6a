"""The commands that ask a running daemon, as cyclopts sees them."""

from __future__ import annotations

from cyclopts import App

from ._control._asking import Asking, AskingOptions
from ._exit_codes import ANSWER_MEANINGS, table

CODES = f"Exit codes:\n{table(ANSWER_MEANINGS)}"
NOTHING = Asking()


def add_control_commands(app: App) -> None:
    """Add them to *app*."""

    @app.command(
        help="Say how a running daemon is: its phase, its actors, their mailboxes, what they have done.",
        help_epilogue=CODES,
    )
    def status(*, options: AskingOptions = NOTHING) -> int:
        from ._control._verbs import show_status

        return show_status(options)
