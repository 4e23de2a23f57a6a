"""What `tocsin dlq` does, after its command line was understood."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import final

import attrs

from tocsin.cli._control._asking import Asking, as_json, failure, tell_trouble
from tocsin.cli._control._errors import ControlError, NoDaemon
from tocsin.cli._control._protocol import Json
from tocsin.cli._exit_codes import LetterCode
from tocsin.cli._output import say
from tocsin.cli._showing import shown
from tocsin.cli._storing import lack_of_store, path_in
from tocsin.exceptions import TocsinError

from ._choice import Choice
from ._file import CannotWrite, written
from ._letter import LetterView
from ._office import LetterNotFound, Office, Refusal
from ._online import OnLine
from ._page import page
from ._table import table

HINT_STORE = "with its daemon down, name its file: --store bus.db"
HINT_SOCKET = "if its daemon has it, leave --store out: it is asked over its control socket"


@final
@attrs.frozen(kw_only=True)
class Where:
    """Where the letters are, and how they are shown."""

    asking: Asking
    store: str | None = None


class _Refused(Exception):
    """The command line cannot be obeyed. Its text says why."""


def list_letters(where: Where, choice: Choice) -> int:
    """`tocsin dlq list`: see its help."""

    def act(office: Office) -> int:
        letters = office.letters(choice, full=False)
        if where.asking.json:
            _say_lines(letters)
            return LetterCode.DONE
        found = list(letters)
        for line in table(found, _width()) if found else ["no dead letters" + ("" if choice.is_all else " are meant")]:
            say(line)
        return LetterCode.DONE

    return _at(where, act)


def show_letter(where: Where, number: int) -> int:
    """`tocsin dlq show`: see its help."""

    def act(office: Office) -> int:
        letter = office.letter(number)
        for line in [as_json(letter.to_json())] if where.asking.json else page(letter):
            say(line)
        return LetterCode.DONE

    return _at(where, act)


def purge_letters(where: Where, choice: Choice, *, everything: bool, dry_run: bool) -> int:
    """`tocsin dlq purge`: see its help."""

    def act(office: Office) -> int:
        if everything and not choice.is_all:
            raise _Refused("--all means all letters: leave it out, or what else says which")
        if choice.is_all and not (everything or dry_run) and not _agrees_to_all():
            say("nothing was purged")
            return LetterCode.REFUSED
        numbers = list(office.purge(choice, dry_run=dry_run))
        purged: list[Json] = list(numbers)
        would = "would be purged" if dry_run else "purged"
        text = f"{_letters(len(numbers))} {would}{_listed(numbers)}"
        say(as_json({"dry_run": dry_run, "purged": purged}) if where.asking.json else text)
        return LetterCode.DONE

    return _at(where, act)


def replay_letters(where: Where, choice: Choice, *, rate: float | None, dry_run: bool) -> int:
    """`tocsin dlq replay`: see its help."""

    def act(office: Office) -> int:
        if rate is not None and where.store is not None:
            raise _Refused("--rate is for a daemon that runs: what is replayed in a file waits for its next run")
        moved: list[int] = []
        refused: list[Refusal] = []
        for some in office.replay(choice, rate=rate, dry_run=dry_run):
            moved += some.moved
            refused += some.refused
        lines = (
            [as_json(_as_document(moved, refused, dry_run))] if where.asking.json else _fates(moved, refused, dry_run)
        )
        for line in lines:
            say(line)
        return LetterCode.REFUSED if refused else LetterCode.DONE

    return _at(where, act)


def export_letters(where: Where, choice: Choice, target: Path | None, *, force: bool) -> int:
    """`tocsin dlq export`: see its help."""

    def act(office: Office) -> int:
        letters = office.letters(choice, full=True)
        if target is None:
            _say_lines(letters)
            return LetterCode.DONE
        count = 0
        with written(target, force=force) as write:
            for letter in letters:
                write(letter.to_json_line())
                count += 1
        text = f"{_letters(count)} written to {shown(target)}"
        say(as_json({"file": str(target), "count": count}) if where.asking.json else text)
        return LetterCode.DONE

    return _at(where, act)


# ── where the letters are, and what goes wrong there ──


def _at(where: Where, act: Callable[[Office], int]) -> int:
    """Let *act* have the letters, and give its exit code, or that of the trouble, which is told on standard error."""
    try:
        return act(_office(where))
    except NoDaemon as error:
        return failure(where.asking, NoDaemon(f"{error}; {HINT_STORE}"))
    except ControlError as error:
        return failure(where.asking, error)
    except LetterNotFound as error:
        return tell_trouble(where.asking, "not_found", error, LetterCode.REFUSED)
    except _Refused as error:
        return tell_trouble(where.asking, "usage", error, LetterCode.USAGE)
    except CannotWrite as error:
        return tell_trouble(where.asking, "not_written", error, LetterCode.NOT_WRITTEN)
    except TocsinError as error:
        from tocsin.durable import StoreCorrupt

        code = LetterCode.DAMAGED if isinstance(error, StoreCorrupt) else LetterCode.UNAVAILABLE
        name: str = getattr(error.__cause__, "sqlite_errorname", "")
        is_taken = name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
        return tell_trouble(where.asking, "store", f"{error}; {HINT_SOCKET}" if is_taken else error, code)


def _office(where: Where) -> Office:
    if where.store is None:
        return OnLine(where.asking)
    if lack := lack_of_store():
        raise _Refused(lack)
    from ._offline import OffLine

    return OffLine(Path(path_in(where.store)))


# ── words ──


def _say_lines(letters: Iterable[LetterView]) -> None:
    for letter in letters:
        say(letter.to_json_line())


def _width() -> int | None:
    """Give how wide the terminal is; None: it is none, and whoever reads wants all of it."""
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None


def _agrees_to_all() -> bool:
    """Ask whether all letters are to go; raise _Refused where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise _Refused("which letters? Say --all for all of them")
    print("Delete all dead letters? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _letters(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"


def _listed(numbers: list[int]) -> str:
    return f": {', '.join(map(str, numbers))}" if numbers else ""


def _as_document(moved: list[int], refused: list[Refusal], dry_run: bool) -> Json:
    return {
        "dry_run": dry_run,
        "replayed": list[Json](moved),
        "refused": [{"id": each.id, "why": each.why} for each in refused],
    }


def _fates(moved: list[int], refused: list[Refusal], dry_run: bool) -> list[str]:
    would = "would be replayed" if dry_run else "replayed"
    stays = "would not be" if dry_run else "not replayed"
    lines = [f"{_letters(len(moved))} {would}{_listed(moved)}"]
    return lines + [f"{each.id} {stays}: {shown(each.why, 1000)}" for each in refused]
