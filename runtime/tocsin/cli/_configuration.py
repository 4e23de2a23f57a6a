"""Where options come from besides the command line: cyclopts' own machinery, held to be strict.

cyclopts gives each source in its order what no earlier one has set: the command line, then what the app was given. It
refuses unknown keys of a table by itself, but neither variables of ours that mean nothing, nor tables that do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, final

from cyclopts import CycloptsError
from cyclopts.config import Env, Toml

if TYPE_CHECKING:
    from cyclopts import App, ArgumentCollection

PREFIX = "TOCSIN_"


@final
class StrictEnvironment(Env):
    """Takes options from `TOCSIN_RUN_…`; refuses variables with such a name that are no option."""

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """See the class; called by cyclopts, once for each command line."""
        prefix = self._prefix(commands)
        known = {self._convert_argument(commands, each) for each in arguments}
        unknown = sorted(name for name in os.environ if name.startswith(prefix) and name not in known)
        if unknown:
            raise CycloptsError(msg=f"Unknown variable: {', '.join(unknown)}. --help has those there are.")
        super().__call__(app, commands, arguments)


def file_for(root: App) -> Callable[[App, tuple[str, ...], ArgumentCollection], None]:
    """Give the source that takes options from the file that `--config` names, if it does: each command of *root* from
    the table that is named as it is."""

    def from_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        paths = [token.value for each in arguments if "--config" in each.names for token in each.tokens]
        if paths:
            file = Toml(paths[0], must_exist=True)
            _refuse_unknown_tables(file, {name for name in root if not name.startswith("-")})
            file(app, commands, arguments)

    return from_file


def _refuse_unknown_tables(file: Toml, allowed: set[str]) -> None:
    try:
        unknown = sorted(set(file.config) - allowed)
    except OSError as error:
        raise CycloptsError(msg=f"The configuration {file.path} cannot be read: {error.strerror}.") from error
    if unknown:
        tables = ", ".join(f"[{name}]" for name in sorted(allowed))
        raise CycloptsError(msg=f"Unknown in {file.path}: {', '.join(unknown)}. Allowed are the tables {tables}.")
