"""The commands of the command line that ask a running daemon."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from tocsin.cli._exit_codes import AnswerCode
from tocsin.cli._showing import shown

from ._asking import Asking, answer
from ._client import TIMEOUT
from ._protocol import Json, read_json
from ._reading import Reading
from ._status_text import status_lines
from ._view import view_of

STOPPING = 90.0  # seconds: an actor may take its grace period, 30 by default, and then be started again
MARGIN = 0.5  # seconds: what waits ends before its time limit, and can say how far it has come
PARTICIPLES = {"pause": "paused", "resume": "resumed", "restart": "restarted", "stop": "stopped"}


def show_status(options: Asking) -> int:
    """`tocsin status`: see its help."""
    return answer(options, "status", None, _status)


def _status(document: Json) -> str:
    return "\n".join(status_lines(view_of(document)))


def act_on_actors(options: Asking, verb: str, names: Sequence[str]) -> int:
    """`tocsin actors pause` and so on: see their help."""
    timeout = STOPPING if verb in ("restart", "stop") else TIMEOUT
    params: dict[str, Json] = {"names": list(names), "wait": _wait(options, timeout)}

    def text_of(result: Json) -> str:
        return "\n".join(_what_was_done(each, PARTICIPLES[verb]) for each in _acted_on(result))

    return answer(options, f"actors.{verb}", params, text_of, _whether_all_was_done, timeout=timeout)


def _wait(options: Asking, timeout: float) -> float:
    seconds = timeout if options.timeout is None else options.timeout
    return max(seconds / 2, seconds - MARGIN)


def _acted_on(result: Json) -> list[Reading]:
    return list(Reading({"actors": result}).objects("actors"))


def _what_was_done(actor: Reading, participle: str) -> str:
    name = shown(actor.text("name"))
    if actor.flag("done"):
        return f"{name}: {participle}"
    return f"{name}: not {participle}: {shown(actor.optional_text('error'))}"


def _whether_all_was_done(result: Json) -> AnswerCode:
    return AnswerCode.DONE if all(each.flag("done") for each in _acted_on(result)) else AnswerCode.REFUSED


def publish_event(options: Asking, kind: str, data: str, more: Mapping[str, Json]) -> int:
    """`tocsin publish`: see its help. *data* is JSON, or `-` for what standard input has; *more* what else is said."""
    try:
        value = read_json(sys.stdin.read() if data == "-" else data)
    except ValueError as error:
        print(f"tocsin: {shown(data, 60)} is no JSON: {shown(error)}", file=sys.stderr)
        return AnswerCode.USAGE
    params: dict[str, Json] = {"type": kind, "data": value, "wait": _wait(options, TIMEOUT), **more}
    return answer(options, "publish", params, _who_took_it, _whether_all_took_it)


def _who_took_it(result: Json) -> str:
    receipt = Reading(result)
    accepted, withdrawn = receipt.texts("accepted"), receipt.texts("withdrawn")
    parts = [f"taken by {', '.join(map(shown, accepted))}"] if accepted else []
    parts += [f"not taken by {', '.join(map(shown, withdrawn))}, as there was no room"] if withdrawn else []
    what = f"{shown(receipt.text('type'))} as {shown(receipt.optional_text('event_id'))}"
    return f"published {what}: {'; '.join(parts) or 'nobody wants it'}"


def _whether_all_took_it(result: Json) -> AnswerCode:
    receipt = Reading(result)
    is_taken = receipt.texts("accepted") and not receipt.texts("withdrawn")
    return AnswerCode.DONE if is_taken else AnswerCode.REFUSED
