"""The commands, as cyclopts sees them. Each one parses, then calls what does the work.

Modules that carry a run are imported by the command that needs them: `--help` should not take the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from tocsin.web._binding import Binding

from ._app_control import add_control_commands
from ._app_dlq import add_dlq_commands
from ._commands import graph_bus, refuse, run_bus
from ._configuration import PREFIX, StrictEnvironment, file_for
from ._exit_codes import ExitCode, table
from ._options import RunOptions
from ._storing import path_in

HELP = "Supervised actors on an event bus, as a daemon."
HELP_RUN = (
    "Run the bus that MODULE declares as BUS, until it is told to stop.\n\n"
    "MODULE is imported from the path of modules; the current directory is not on it unless --app-dir names it. "
    "SIGTERM and SIGINT drain the bus, a second one cuts the drain short, a third one ends the process. "
    "SIGHUP reads the configuration again. A service manager is told when it is up and how it is."
)
HELP_GRAPH = "Draw who wants what: events and topics, subscriptions, and the groups they are in. Runs nothing."
TARGET = Parameter(name="MODULE:BUS", help="Where the bus is declared, such as shop.daemon:bus.", show_env_var=False)


def call(tokens: Sequence[str], *, may_watch: bool) -> int:
    """Do what *tokens* say, and give the exit code."""
    app = _app(tokens, may_watch=may_watch)
    try:
        result = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:  # printed by us, as what it quotes may have escape sequences in it
        return refuse(str(error))
    except KeyboardInterrupt:  # so early that nobody listened for signals yet
        return 130
    if result is None and not tokens:
        return ExitCode.USAGE  # without a command, the help was printed
    return ExitCode.IN_ORDER if result is None else int(result)


def options_in(tokens: Sequence[str]) -> RunOptions:
    """Give the options of `run` that *tokens*, the environment and the file say now; raise CycloptsError."""
    _, bound, _ = _app(tokens, may_watch=False).parse_args(tokens, exit_on_error=False, print_error=False)
    options: RunOptions = bound.arguments.get("options", RunOptions())
    return options


def _app(tokens: Sequence[str], *, may_watch: bool) -> App:
    app = App(name="tocsin", help=HELP, version=_version, help_format="plaintext", suppress_keyboard_interrupt=False)
    app.config = (StrictEnvironment(PREFIX), file_for(app))  # the first one that has a value wins

    @app.command(help=HELP_RUN, help_epilogue=f"Exit codes:\n{table()}")
    def run(
        target: Annotated[str, TARGET],
        /,
        options: Annotated[RunOptions, Parameter(name="*", validator=_check)] = RunOptions(),  # noqa: B008  # a value
    ) -> int:
        return run_bus(target, options, tokens, may_watch=may_watch)

    @app.command(help=HELP_GRAPH)
    def graph(
        target: Annotated[str, TARGET],
        /,
        *,
        format: Literal["mermaid", "json"] = "mermaid",
        factory: bool = False,
        app_dir: Path | None = None,
    ) -> int:
        return graph_bus(target, format=format, factory=factory, app_dir=app_dir)

    add_control_commands(app)
    add_dlq_commands(app)
    return app


def _check(_type: Any, options: RunOptions) -> None:
    for name in ("drain_timeout", "shutdown_deadline"):
        seconds = getattr(options, name)
        if not 0 <= seconds < math.inf:
            raise ValueError(f"{name}={seconds}: must be seconds, 0 or more.")
    if options.store is not None:
        path_in(options.store)
    if options.http is not None and not (Binding.of(options.http).is_loopback or options.http_exposed):
        raise ValueError(f"http={options.http}: others than this machine may reach it: say so by --http-exposed.")


def _version() -> str:
    try:
        return version("tocsin")
    except PackageNotFoundError:  # run from a checkout
        return "of a checkout"
