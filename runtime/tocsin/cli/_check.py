"""`tocsin run --check`: what in the declared tree will not do what its numbers promise, as lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ._exit_codes import ExitCode
from ._showing import shown

if TYPE_CHECKING:
    from tocsin import EventBus, Finding


def lines_of(findings: Iterable[Finding]) -> list[str]:
    """Give one line for each finding, with its rule: that is what to search the documentation for."""
    return [f"{each.severity}: {shown(each, 2000)} [{each.rule}]" for each in findings]


def conclusion(bus: EventBus, findings: Sequence[Finding]) -> str:
    """Say in a line what was looked at, and how much was found."""
    warnings = sum(each.severity == "warning" for each in findings)
    looked_at = f"{shown(bus.name)}: {len(bus.subscriptions)} subscriptions, {len(bus.group_names())} groups"
    return f"{looked_at}; {warnings} warnings, {len(findings) - warnings} notes"


def code_of(findings: Sequence[Finding]) -> ExitCode:
    """Give the exit code: notes count, too, or a pipeline could not hold a bus to having none."""
    return ExitCode.FINDINGS if findings else ExitCode.IN_ORDER
