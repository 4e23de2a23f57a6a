"""What the commands do, after their command line was understood."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anyio

from tocsin import EventBus

from ._exit_codes import ExitCode
from ._extras import lack_of
from ._load_errors import CannotLoad
from ._loading import load_bus
from ._log import OURS, log_to_stderr
from ._output import say
from ._showing import shown
from ._storing import CannotStore, give_store
from ._target import Target, parse_target

if TYPE_CHECKING:
    from ._options import RunOptions

logger = logging.getLogger(OURS)


def run_bus(text: str, options: RunOptions, tokens: Sequence[str], *, may_watch: bool) -> int:
    """`tocsin run`: see its help. *tokens* are read again at SIGHUP, and handed on to the child of `--reload`."""
    target = _target(text)
    if target is None:
        return ExitCode.USAGE
    missing = _missing(options)
    if missing is not None:
        return refuse(missing)
    if options.reload and may_watch and not options.check:
        return _watch(options, tokens)
    try:
        bus = load_bus(target, app_dir=options.app_dir, factory=options.factory)
    except CannotLoad as error:
        return _cannot_load(error)
    try:
        give_store(bus, options.store)
    except CannotStore as error:
        return refuse(str(error))
    bus.measure_times = True  # who runs a bus wants to see how long handling takes
    return _check(bus, options) if options.check else _serve(bus, options, tokens)


def _missing(options: RunOptions) -> str | None:
    lacks_trio = lack_of("trio", wanted_by="--backend trio", extra="trio") if options.backend == "trio" else None
    return lacks_trio or (lack_of("anycorn", wanted_by="--http", extra="web") if options.http is not None else None)


def graph_bus(text: str, *, format: Literal["mermaid", "json"], factory: bool, app_dir: Path | None) -> int:
    """`tocsin graph`: see its help."""
    from ._graph import graph_of
    from ._graph_text import as_json, as_mermaid

    target = _target(text)
    if target is None:
        return ExitCode.USAGE
    try:
        bus = load_bus(target, app_dir=app_dir, factory=factory)
    except CannotLoad as error:
        return _cannot_load(error)
    say(as_json(graph_of(bus)) if format == "json" else as_mermaid(graph_of(bus)))
    return ExitCode.IN_ORDER


def _check(bus: EventBus, options: RunOptions) -> int:
    from ._check import code_of, conclusion, lines_of

    findings = bus.explain(shutdown_deadline=options.shutdown_deadline)
    for line in (*lines_of(findings), conclusion(bus, findings)):
        print(line)
    return code_of(findings)


def _serve(bus: EventBus, options: RunOptions, tokens: Sequence[str]) -> int:
    from ._control._commands import COMMANDS
    from ._control._finding import listen
    from ._control._server import ControlServer
    from ._control._socket import CannotListen
    from ._ground import ground
    from ._herald import Herald
    from ._notifications import watchdog_interval
    from ._notify_socket import NotifySocket
    from ._process import UnixProcess
    from ._serving import Daemon, serve

    log_to_stderr(options.log_level)
    for finding in bus.explain(shutdown_deadline=options.shutdown_deadline):
        if finding.severity == "warning":
            logger.warning("%s [%s]", shown(finding, 2000), finding.rule)
    try:
        control = listen(options.control, bus.name)
    except CannotListen as error:
        print(f"tocsin: {error}", file=sys.stderr)  # escaped already
        return ExitCode.NO_SOCKET
    if control is not None:
        logger.info("control socket: %s", shown(control.path))
    with control or nullcontext():
        daemon = Daemon(
            bus,
            options,
            partial(_read_again, tokens),
            UnixProcess(),
            NotifySocket.of_environment(),
            Herald(watchdog_interval(os.environ, os.getpid())),
            ground(bus, options),
            control=None if control is None else ControlServer(bus, COMMANDS, control),
        )
        return anyio.run(serve, daemon, backend=options.backend)


def _read_again(tokens: Sequence[str]) -> RunOptions:
    from cyclopts import CycloptsError

    from ._app import options_in
    from ._serving import Unreadable

    try:
        return options_in(tokens)
    except CycloptsError as error:
        raise Unreadable(str(error)) from error


def _watch(options: RunOptions, tokens: Sequence[str]) -> int:
    from ._reloading import run_again_and_again
    from ._serving import PATIENCE

    log_to_stderr(options.log_level)
    folders = options.reload_dir or (options.app_dir or Path(os.curdir),)
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing:
        return refuse(f"{missing[0]} is no directory to watch")
    # -P: the current directory is not searched here either.
    command = [sys.executable, "-P", "-m", "tocsin.cli._reloaded", *tokens]
    patience = options.drain_timeout + options.shutdown_deadline + PATIENCE
    logger.info("watching %s", shown(", ".join(map(str, folders))))
    return anyio.run(partial(run_again_and_again, command, folders, patience=patience))


def _target(text: str) -> Target | None:
    try:
        return parse_target(text)
    except ValueError as error:
        refuse(str(error))
        return None


def refuse(reason: str) -> int:
    """Say why the command line is refused, in a line, and give the exit code for that."""
    print(f"tocsin: {shown(reason, 1000)}", file=sys.stderr)
    return ExitCode.USAGE


def _cannot_load(error: CannotLoad) -> int:
    print(f"tocsin: {error}", file=sys.stderr)  # each piece of it is escaped already
    return ExitCode.NOT_LOADED
