"""`tocsin dlq`, as cyclopts sees it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, final

import attrs
from cyclopts import App, Parameter

from tocsin_supervisors import DeadLetterReason

from ._control._asking import Asking, AskingOptions
from ._dlq._choice import MOST, Choice
from ._dlq._times import moment
from ._dlq._verbs import Where, export_letters, list_letters, purge_letters, replay_letters, show_letter
from ._exit_codes import LETTER_MEANINGS, table
from ._storing import path_in

CODES = f"Exit codes:\n{table(LETTER_MEANINGS)}"
HELP = (
    "Look after dead letters: what a daemon could not handle.\n\n"
    "They are asked for over the control socket of the daemon that runs, or read from its file (--store) when none "
    "does. Filters are the same everywhere: a letter is meant if it meets all that are given."
)
HELP_LIST = "List dead letters, oldest first. With --json, one a line."
HELP_SHOW = "Print all that is known of one dead letter: the event, its headers, why it failed, how often, where."
HELP_REPLAY = (
    "Have dead letters handled once more, each by the actor that failed, oldest first.\n\n"
    "In a file, they become deliveries that the next run handles. Without filters, all letters are meant."
)
HELP_PURGE = "Delete dead letters, for good. Without filters, --all must be said, or is asked for at a terminal."
HELP_EXPORT = (
    "Write dead letters as lines of JSON, with all that is known of them. They stay.\n\n"
    "FILE is made for its owner alone; without it, they go to standard output."
)


def _check_number(_type: object, id: int) -> None:
    if not 0 < id <= MOST:
        raise ValueError(f"ID={id}: the numbers of letters begin with 1.")


def _check_moment(_type: object, text: str | None) -> None:
    if text is not None:
        moment(text, datetime.now(UTC))


def _check_limit(_type: object, limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise ValueError(f"limit={limit}: must be a number of letters, 1 or more.")


def _check_rate(_type: object, rate: float | None) -> None:
    if rate is not None and not 0 < rate < math.inf:
        raise ValueError(f"rate={rate}: must be letters per second, above 0.")


def _check_store(_type: object, store: str | None) -> None:
    if store is not None:
        path_in(store)


Id = Annotated[int, Parameter(name="ID", show_env_var=False, validator=_check_number)]
Time = Annotated[str | None, Parameter(validator=_check_moment)]


@final
@attrs.frozen(kw_only=True)
class Filters:
    """Which letters are meant."""

    actor: str | None = None
    """The subscription that failed."""
    type: str | None = None
    """The class of the event: its qualified name, or the end of that, such as OrderPlaced."""
    reason: DeadLetterReason | None = None
    """Why it was given up."""
    error: str | None = None
    """The class of the last error: its qualified name, or the end of that, such as ValueError."""
    since: Time = None
    """When it failed last, at the earliest: 2026-11-27T18:00, in UTC unless it says, or how long ago: 30m, 2h, 7d."""
    until: Time = None
    """When it failed last, at the latest."""
    limit: Annotated[int | None, Parameter(validator=_check_limit)] = None
    """How many, the oldest of those that are meant."""


FiltersOptions = Annotated[Filters, Parameter(name="*")]
StoreOption = Annotated[
    str | None,
    Parameter(name="--store", validator=_check_store, help="File of a daemon that does not run, such as bus.db."),
]
NOTHING, ALL = Asking(), Filters()


def choice_of(ids: tuple[int, ...], filters: Filters, now: datetime) -> Choice:
    """Give the letters that a command line means at *now*."""
    return Choice(
        ids=ids,
        subscription=filters.actor,
        event_type=filters.type,
        error_type=filters.error,
        reason=filters.reason,
        since=None if filters.since is None else moment(filters.since, now),
        until=None if filters.until is None else moment(filters.until, now),
        limit=filters.limit,
    )


def _chosen(ids: tuple[int, ...], filters: Filters) -> Choice:
    return choice_of(ids, filters, datetime.now(UTC))


def add_dlq_commands(app: App) -> None:
    """Add them to *app*."""
    dlq = App(name="dlq", help=HELP)
    app.command(dlq)
    _add_reading(dlq)
    _add_changing(dlq)


def _add_reading(dlq: App) -> None:
    @dlq.command(name="list", help=HELP_LIST, help_epilogue=CODES)
    def list_(
        *ids: Id, filters: FiltersOptions = ALL, store: StoreOption = None, options: AskingOptions = NOTHING
    ) -> int:
        return list_letters(Where(asking=options, store=store), _chosen(ids, filters))

    @dlq.command(help=HELP_SHOW, help_epilogue=CODES)
    def show(id: Id, /, *, store: StoreOption = None, options: AskingOptions = NOTHING) -> int:
        return show_letter(Where(asking=options, store=store), id)

    @dlq.command(help=HELP_EXPORT, help_epilogue=CODES)
    def export(
        *ids: Id,
        file: Path | None = None,
        force: bool = False,
        filters: FiltersOptions = ALL,
        store: StoreOption = None,
        options: AskingOptions = NOTHING,
    ) -> int:
        """See the help.

        Parameters
        ----------
        file
            Where to write to; standard output without it.
        force
            Replace FILE if it is there.
        """
        return export_letters(Where(asking=options, store=store), _chosen(ids, filters), file, force=force)


def _add_changing(dlq: App) -> None:
    @dlq.command(help=HELP_REPLAY, help_epilogue=CODES)
    def replay(
        *ids: Id,
        rate: Annotated[float | None, Parameter(validator=_check_rate)] = None,
        dry_run: bool = False,
        filters: FiltersOptions = ALL,
        store: StoreOption = None,
        options: AskingOptions = NOTHING,
    ) -> int:
        """See the help.

        Parameters
        ----------
        rate
            Letters per second, at most.
        dry_run
            Only say what would become of each.
        """
        where = Where(asking=options, store=store)
        return replay_letters(where, _chosen(ids, filters), rate=rate, dry_run=dry_run)

    @dlq.command(help=HELP_PURGE, help_epilogue=CODES)
    def purge(
        *ids: Id,
        all: bool = False,
        dry_run: bool = False,
        filters: FiltersOptions = ALL,
        store: StoreOption = None,
        options: AskingOptions = NOTHING,
    ) -> int:
        """See the help.

        Parameters
        ----------
        all
            All letters, for lack of filters.
        dry_run
            Only say which would go.
        """
        where = Where(asking=options, store=store)
        return purge_letters(where, _chosen(ids, filters), everything=all, dry_run=dry_run)
