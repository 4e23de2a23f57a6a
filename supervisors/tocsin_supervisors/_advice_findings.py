"""What the advice on a supervision tree consists of. Apart from all that finds it: it is the part that users hold."""

from __future__ import annotations

from typing import Literal, TypeAlias, final

import attrs

Rule: TypeAlias = Literal[
    "never_given_up",
    "not_kept_clear",
    "window_never_trips",
    "consecutive_never_trips",
    "supervisor_trips_first",
    "hot_loop",
    "supervisor_never_trips",
    "subtree_never_trips",
    "subtree_trips_first",
    "option_without_effect",
    "auto_shutdown_never_comes",
    "all_significant_is_any",
    "start_cut_short",
    "stop_of_one_too_long",
    "stop_of_subtree_cut",
    "stop_of_all_too_long",
    "stop_without_limit",
    "parked_in_a_group",
    "unrelated_but_coupled",
    "coupling_unchecked",
    "subtree_coupled",
    "needs_a_later_one",
    "needs_restarted_alone",
]


@final
@attrs.frozen
class Finding:
    """One piece of advice on the declaration of a supervisor. A `warning` is very likely a mistake, a `note` worth
    knowing."""

    rule: Rule
    """What was looked for, in a short name that stays the same."""

    severity: Literal["note", "warning"]

    supervisor: str
    """Path of the supervisor whose declaration it is about: names from the root down, joined by "/"."""

    children: tuple[str, ...]
    """Ids of the children it is about; of those further below, paths from that supervisor down."""

    text: str
    """What is declared, with the values, what follows from it, and what to do: whole sentences."""

    def __str__(self) -> str:
        return f"{self.supervisor}: {self.text}"
