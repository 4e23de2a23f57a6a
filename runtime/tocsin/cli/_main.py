"""Where the command line begins: before it is known whether what it needs is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ._extras import not_installed
from ._output import let_go_of_output

_OF_THE_EXTRA = ("cyclopts", "rich", "watchfiles")


def main(tokens: Sequence[str] | None = None, *, may_watch: bool = True) -> int:
    """Do what *tokens* say, those of the process if None, and give the exit code (see docs/running.md).

    Gives 2, and one line on standard error, when the extra is not installed. Without *may_watch* `--reload` is not
    obeyed: this is the process that is started again.
    """
    try:
        from ._app import call

        code = call(sys.argv[1:] if tokens is None else tokens, may_watch=may_watch)
        let_go_of_output()
        return code
    except ModuleNotFoundError as error:
        if error.name not in _OF_THE_EXTRA:
            raise
        print(f"tocsin: {not_installed(error.name, 'the command line', 'cli')}", file=sys.stderr)
        return 2


def forget_current_directory() -> None:
    """Take back what `python -m` has put in front of the path, so that modules are found there only if asked for."""
    if not sys.flags.safe_path and sys.path and sys.path[0] == os.getcwd():
        del sys.path[0]
