"""What `tocsin run` can be told, and what of it can change while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, final

import attrs

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
RELOADABLE = ("drain_timeout", "log_level")


@final
@attrs.frozen(kw_only=True)
class RunOptions:
    """The options of one run. Where a value may come from, the strongest first: the command line, the environment
    (`TOCSIN_RUN_…`), the table `[run]` of the file, the default."""

    factory: bool = False
    """BUS is a function that makes the bus."""
    app_dir: Path | None = None
    """Directory in which MODULE is looked for first; the current one is not searched otherwise."""
    config: Path | None = None
    """TOML file; its table [run] holds these options. Unknown keys are errors."""
    backend: Literal["asyncio", "trio"] = "asyncio"
    """The event loop."""
    drain_timeout: float = 30.0
    """Seconds that what was accepted may take after the first SIGTERM or SIGINT. SIGHUP reads it again."""
    shutdown_deadline: float = 30.0
    """Seconds in which all actors must have stopped after that."""
    store: str | None = None
    """File for what durable subscriptions have accepted, in the place of the one that the bus declares, if any."""
    http: str | None = None
    """Address and port for /livez, /readyz and /metrics, such as 127.0.0.1:9464. Nothing is served otherwise."""
    http_exposed: bool = False
    """Let others than this machine reach --http: there is no password."""
    control: str | None = None
    """Path of the control socket, or "off" for none. By default it is in a directory of this user; see
    docs/control.md."""
    log_level: LogLevel = "info"
    """How much is written to standard error. SIGHUP reads it again."""
    check: bool = False
    """Import, say what in the declaration will not do what its numbers promise, run nothing."""
    reload: bool = False
    """Start again when files change; for development."""
    reload_dir: tuple[Path, ...] = ()
    """Directory to watch, repeatable; by default that of --app-dir, or the current one."""


@final
@attrs.frozen
class Change:
    """One option that has another value than before."""

    name: str
    before: object
    after: object
    takes_effect: bool  # without a restart

    def __str__(self) -> str:
        restart = "" if self.takes_effect else " (takes effect at the next start)"
        return f"{self.name} {self.before} → {self.after}{restart}"


def changes(before: RunOptions, after: RunOptions) -> tuple[Change, ...]:
    """Give what is different in *after*, in the order of the options."""
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in attrs.fields_dict(RunOptions)]
    return tuple(Change(name, old, new, name in RELOADABLE) for name, old, new in pairs if old != new)


def taken_over(running: RunOptions, read: RunOptions) -> RunOptions:
    """Give the options to go on with: those of *read* where a change takes effect, those of *running* elsewhere."""
    return attrs.evolve(running, **{name: getattr(read, name) for name in RELOADABLE})
