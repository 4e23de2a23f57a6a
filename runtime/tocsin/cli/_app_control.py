"""The commands that ask a running daemon, as cyclopts sees them."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from ._control._asking import Asking, AskingOptions
from ._control._protocol import Json
from ._exit_codes import ANSWER_MEANINGS, table

CODES = f"Exit codes:\n{table(ANSWER_MEANINGS)}"
NOTHING = Asking()
HELP_STATUS = "Say how a running daemon is: its phase, its actors, their mailboxes, what they have done."
HELP_TOP = (
    "Show how a running daemon is, again and again, until q or Ctrl-C: its tree, how full mailboxes are, rates, "
    "how long handling takes, last errors. It may go away and come back meanwhile.\n\n"
    "With --json it prints one object a line."
)
HELP_PUBLISH = (
    "Publish an event on the bus of a running daemon.\n\n"
    "TYPE is a class of events that the bus knows: one that somebody subscribes to, or that its store has registered; "
    "its qualified name, or the end of that. JSON is the event as the codecs write it, or - for standard input."
)
HELP_ACTORS = (
    "Pause, resume, restart and stop actors of a running daemon.\n\n"
    "A NAME is that of a subscription, the beginning of only one such name, or a pattern with *, ? or [."
)
VERBS = {
    "pause": "Let actors begin nothing until they are resumed. What is published to them waits in their mailboxes.",
    "resume": "Let paused actors go on.",
    "restart": "Replace actors by fresh ones, or start those that are down. What is in their mailboxes waits for that.",
    "stop": "Stop actors, and leave them down until they are restarted. What comes for them becomes dead letters.",
}


def _check_headers(_type: object, headers: tuple[str, ...]) -> None:
    for each in headers:
        if not each.partition("=")[1]:
            raise ValueError(f"header={each}: must be NAME=VALUE.")


def _check_interval(_type: object, seconds: float) -> None:
    if not 0.1 <= seconds <= 3600.0:
        raise ValueError(f"interval={seconds}: must be seconds, from 0.1 to 3600.")


Interval = Annotated[float, Parameter(validator=_check_interval)]
Once = Annotated[bool, Parameter(negative="")]
Name = Annotated[str, Parameter(name="NAME", show_env_var=False)]
Data = Annotated[str, Parameter(name="JSON", allow_leading_hyphen=True, show_env_var=False)]
Header = Annotated[
    tuple[str, ...], Parameter(name="--header", negative="", show_env_var=False, validator=_check_headers)
]


def add_control_commands(app: App) -> None:
    """Add them to *app*."""
    _add_looking(app)
    actors = App(name="actors", help=HELP_ACTORS)
    app.command(actors)
    for verb, text in VERBS.items():
        _add_verb(actors, verb, text)
    _add_publishing(app)


def _add_looking(app: App) -> None:
    @app.command(help=HELP_STATUS, help_epilogue=CODES)
    def status(*, options: AskingOptions = NOTHING) -> int:
        from ._control._verbs import show_status

        return show_status(options)

    @app.command(help=HELP_TOP, help_epilogue=CODES)
    def top(*, interval: Interval = 1.0, once: Once = False, options: AskingOptions = NOTHING) -> int:
        """See the help.

        Parameters
        ----------
        interval
            Seconds between two looks.
        once
            Show one screen, with the rates of one interval, and end; also where there is no terminal.
        """
        from ._control._top import top as show_top

        return show_top(options, interval=interval, once=once)


def _add_publishing(app: App) -> None:
    @app.command(help=HELP_PUBLISH, help_epilogue=CODES)
    def publish(
        type: Annotated[str, Parameter(name="TYPE", show_env_var=False)],
        data: Data,
        /,
        *,
        topic: str | None = None,
        priority: Literal["critical", "high", "normal", "low"] = "normal",
        header: Header = (),
        correlation_id: str | None = None,
        expires_in: float | None = None,
        options: AskingOptions = NOTHING,
    ) -> int:
        """See the help.

        Parameters
        ----------
        topic
            The topic it is published on, beside its type.
        header
            NAME=VALUE, repeatable.
        correlation_id
            Ties events of one business process together.
        expires_in
            Seconds after which it is not handled any more.
        """
        from ._control._verbs import publish_event

        more: dict[str, Json] = {
            "topic": topic,
            "priority": priority,
            "headers": {name: value for name, _, value in (each.partition("=") for each in header)},
            "correlation_id": correlation_id,
            "expires_in": expires_in,
        }
        return publish_event(options, type, data, more)


def _add_verb(actors: App, verb: str, text: str) -> None:
    @actors.command(name=verb, help=text, help_epilogue=CODES)
    def act(name: Name, /, *names: Name, options: AskingOptions = NOTHING) -> int:
        from ._control._verbs import act_on_actors

        return act_on_actors(options, verb, (name, *names))
