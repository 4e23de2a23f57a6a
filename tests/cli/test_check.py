"""What `--check` says of a declaration."""

from __future__ import annotations

from collections.abc import Callable

from tocsin import EventBus, Strategy
from tocsin.cli._check import code_of, conclusion, lines_of

MakeBus = Callable[..., EventBus]


async def ignore(event: object) -> None: ...


def test_a_bus_without_findings_is_in_order(make_bus: MakeBus) -> None:
    bus = make_bus("shop")
    bus.subscribe(ignore, int)
    assert code_of(bus.explain()) == 0
    assert conclusion(bus, bus.explain()) == "shop: 1 subscriptions, 0 groups; 0 warnings, 0 notes"


def test_a_warning_is_told_with_its_rule_and_makes_the_exit_code(make_bus: MakeBus) -> None:
    bus = make_bus("shop")
    bus.subscribe(ignore, int, grace_period=60.0)
    findings = bus.explain()
    assert [line.split(":")[0] for line in lines_of(findings)] == ["warning"]
    assert "[stop_of_one_too_long]" in lines_of(findings)[0]
    assert code_of(findings) == 1


def test_a_note_makes_the_exit_code_as_well(make_bus: MakeBus) -> None:
    bus = make_bus("shop")
    group = bus.group("orders", strategy=Strategy.REST_FOR_ONE)
    group.subscribe(ignore, int, name="a")
    group.subscribe(ignore, int, name="b")
    findings = bus.explain()
    assert conclusion(bus, findings) == "shop: 2 subscriptions, 1 groups; 0 warnings, 1 notes"
    assert code_of(findings) == 1
