"""Which metrics a bus has: judged by the parsers of prometheus-client, whatever its subscriptions are called."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.helpers import PARSERS, of_bus, of_subscription
from tests.web.test_exposition import texts
from tocsin import BusStatistics, EventBus, Ledger
from tocsin._lifecycle import Phase
from tocsin.web._exposition import OPEN_METRICS, PROMETHEUS, exposition
from tocsin.web._metrics import families
from tocsin.web._negotiation import MediaType

MakeBus = Callable[..., EventBus]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
OUTCOMES = {"handled": 1, "dead_lettered": 2, "dropped": 3, "rejected": 4, "returned": 5}


def samples(statistics: BusStatistics, media_type: MediaType = PROMETHEUS, most: int = 1000) -> Samples:
    """Give what a parser of *media_type* makes of the metrics of *statistics*: name and labels → value."""
    text = exposition(families(statistics, most), media_type)
    found: Samples = {}
    for family in PARSERS[media_type](text):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def of(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset({"bus": "shop", **labels}.items())]


@pytest.mark.parametrize("media_type", [PROMETHEUS, OPEN_METRICS])
def test_every_counter_and_gauge_of_a_subscription_is_there(media_type: MediaType) -> None:
    mail = of_subscription(
        "mail",
        group="post",
        depth=6,
        capacity=7,
        oldest_age=8.5,
        in_flight=9,
        waiting_retry=10,
        blocked_publishers=11,
        retried=12,
        restarts=13,
        incarnation=14,
        state="parked",
        **OUTCOMES,
    )
    found = samples(of_bus(of_subscription("bill"), mail), media_type)
    its = {"subscription": "mail", "group": "post"}
    for outcome, count in OUTCOMES.items():
        assert of(found, "tocsin_deliveries_total", **its, outcome=outcome) == count
    values = {
        "tocsin_mailbox_depth": 6,
        "tocsin_mailbox_capacity": 7,
        "tocsin_mailbox_oldest_age_seconds": 8.5,
        "tocsin_deliveries_in_flight": 9,
        "tocsin_deliveries_waiting_retry": 10,
        "tocsin_publishers_blocked": 11,
        "tocsin_delivery_retries_total": 12,
        "tocsin_actor_restarts_total": 13,
        "tocsin_actor_incarnation": 14,
        "tocsin_actor_up": 0,
    }
    assert {name: of(found, name, **its) for name in values} == values
    assert of(found, "tocsin_actor_up", subscription="bill", group="") == 1


@pytest.mark.parametrize("media_type", [PROMETHEUS, OPEN_METRICS])
def test_every_counter_and_gauge_of_the_bus_is_there(media_type: MediaType) -> None:
    ledger = Ledger(matched=7, handled=7)
    statistics = of_bus(
        published=3,
        undeliverable=4,
        ledger=ledger,
        dead_letters=5,
        dead_letters_evicted=6,
        reports_lost=8,
        observer_errors=9,
    )
    found = samples(statistics, media_type)
    values = {
        "tocsin_bus_up": 1,
        "tocsin_events_published_total": 3,
        "tocsin_events_undeliverable_total": 4,
        "tocsin_deliveries_matched_total": 7,
        "tocsin_ledger_balanced": 1,
        "tocsin_dead_letters": 5,
        "tocsin_dead_letters_evicted_total": 6,
        "tocsin_reports_lost_total": 8,
        "tocsin_observer_errors_total": 9,
    }
    assert {name: of(found, name) for name in values} == values
    assert len(found) == len(values) + len(Phase)


@pytest.mark.parametrize("media_type", [PROMETHEUS, OPEN_METRICS])
def test_a_store_has_metrics_if_the_bus_has_one(media_type: MediaType) -> None:
    found = samples(of_bus(store_up=False, store_errors=2, store_backlog=3), media_type)
    values = {"tocsin_store_up": 0, "tocsin_store_errors_total": 2, "tocsin_store_backlog": 3}
    assert {name: of(found, name) for name in values} == values
    with pytest.raises(KeyError):
        of(samples(of_bus(), media_type), "tocsin_store_up")


def test_a_ledger_that_does_not_balance_is_told() -> None:
    assert of(samples(of_bus(ledger=Ledger(matched=2, handled=1))), "tocsin_ledger_balanced") == 0


@pytest.mark.parametrize("media_type", [PROMETHEUS, OPEN_METRICS])
@pytest.mark.parametrize("phase", Phase)
def test_exactly_the_phase_it_is_in_is_set(phase: Phase, media_type: MediaType) -> None:
    found = samples(of_bus(phase=str(phase)), media_type)
    assert {str(each): of(found, "tocsin_bus_phase", tocsin_bus_phase=str(each)) for each in Phase} == {
        str(each): int(each is phase) for each in Phase
    }


@pytest.mark.parametrize(("facts", "up"), [({}, 1), ({"phase": "draining"}, 1), ({"phase": "stopping"}, 0)])
def test_up_is_what_livez_says(facts: dict[str, Any], up: int) -> None:
    assert of(samples(of_bus(**facts)), "tocsin_bus_up") == up


@pytest.mark.parametrize("media_type", [PROMETHEUS, OPEN_METRICS])
def test_those_beyond_the_cap_are_added_up_under_other(media_type: MediaType) -> None:
    shown = of_subscription("a", handled=1)
    rest = [
        of_subscription("b", handled=10, depth=1, capacity=5, oldest_age=3.0, incarnation=2),
        of_subscription("c", handled=100, depth=2, capacity=6, oldest_age=9.0, incarnation=1, group="post"),
        of_subscription("d", handled=1000, depth=3, capacity=7, oldest_age=1.0, state="parked"),
    ]
    found = samples(of_bus(shown, *rest), media_type, most=1)
    other = {"subscription": "other", "group": ""}
    assert of(found, "tocsin_deliveries_total", subscription="a", group="", outcome="handled") == 1
    assert of(found, "tocsin_deliveries_total", **other, outcome="handled") == 1110
    assert of(found, "tocsin_mailbox_depth", **other) == 6
    assert of(found, "tocsin_mailbox_capacity", **other) == 18
    assert of(found, "tocsin_mailbox_oldest_age_seconds", **other) == 9.0
    assert of(found, "tocsin_actor_incarnation", **other) == 2
    assert of(found, "tocsin_actor_up", **other) == 0
    assert {value for _, labels in found for key, value in labels if key == "subscription"} == {"a", "other"}


def test_a_dormant_actor_is_none_that_is_down() -> None:
    assert (
        of(samples(of_bus(of_subscription("a", state="dormant"))), "tocsin_actor_up", subscription="a", group="") == 1
    )


def test_with_no_room_for_any_all_are_under_other() -> None:
    found = samples(of_bus(of_subscription("a", depth=1), of_subscription("b", depth=2)), most=0)
    assert of(found, "tocsin_mailbox_depth", subscription="other", group="") == 3


@pytest.mark.parametrize("media_type", [PROMETHEUS, OPEN_METRICS])
def test_one_that_is_called_other_is_added_to_the_others_and_no_series_is_there_twice(media_type: MediaType) -> None:
    found = samples(of_bus(of_subscription("other", depth=1), of_subscription("b", depth=2)), media_type, most=1)
    assert of(found, "tocsin_mailbox_depth", subscription="other", group="") == 3


def test_two_names_that_are_written_alike_become_one_series() -> None:
    found = samples(of_bus(of_subscription("x\ud800", depth=1), of_subscription("x\\ud800", depth=2)))
    assert of(found, "tocsin_mailbox_depth", subscription="x\\ud800", group="") == 3


@given(st.lists(texts(), unique=True, max_size=5), texts(), st.none() | texts(), st.integers(0, 6))
def test_whatever_names_are_they_read_back_from_both_formats(
    names: list[str], bus: str, group: str | None, most: int
) -> None:
    statistics = of_bus(*(of_subscription(name, group=group) for name in names), name=bus)
    expected = {(bus, name, group or "") for name in names[:most]}
    if len(names) > most:
        expected.add((bus, "other", ""))
    for media_type in (PROMETHEUS, OPEN_METRICS):
        found = samples(statistics, media_type, most)
        depths = [dict(labels) for name, labels in found if name == "tocsin_mailbox_depth"]
        assert {(each["bus"], each["subscription"], each["group"]) for each in depths} == expected


async def test_the_metrics_of_a_real_bus_agree_with_its_statistics(make_bus: MakeBus) -> None:
    bus = make_bus("shop")
    evil = 'evil"} 1\ntocsin_fake{a="b\\'

    async def ignore(event: int) -> None: ...

    bus.subscribe(ignore, int, name=evil)
    bus.group("group\n").subscribe(ignore, int, name="plain")
    async with bus.running():
        await bus.publish_many(range(3))
        await bus.publish("nobody")
        await bus.drain()
        for media_type in (PROMETHEUS, OPEN_METRICS):
            found = samples(bus.statistics(), media_type)
            assert of(found, "tocsin_deliveries_total", subscription=evil, group="", outcome="handled") == 3
            assert of(found, "tocsin_deliveries_total", subscription="plain", group="group\n", outcome="handled") == 3
            assert of(found, "tocsin_events_published_total") == 4
            assert of(found, "tocsin_events_undeliverable_total") == 1
            assert not any(name == "tocsin_fake" for name, _ in found)


# ── times of handling ──


@pytest.mark.parametrize("media_type", [PROMETHEUS, OPEN_METRICS])
def test_measured_times_are_a_summary(media_type: MediaType) -> None:
    mail = of_subscription("mail", p50=0.25, p99=2.0, measured=7, handling_time=3.5)
    idle = of_subscription("idle", measured=1, handling_time=0.5)
    statistics = of_bus(mail, idle)
    found = samples(statistics, media_type)
    its = {"subscription": "mail", "group": ""}
    assert of(found, "tocsin_handling_seconds", **its, quantile="0.5") == 0.25
    assert of(found, "tocsin_handling_seconds", **its, quantile="0.99") == 2.0
    assert of(found, "tocsin_handling_seconds_count", **its) == 7
    assert of(found, "tocsin_handling_seconds_sum", **its) == 3.5
    assert math.isnan(of(found, "tocsin_handling_seconds", subscription="idle", group="", quantile="0.5"))
    text = exposition(families(statistics, 1000), media_type)
    (kind,) = [family.type for family in PARSERS[media_type](text) if family.name == "tocsin_handling_seconds"]
    assert kind == "summary"


def test_without_measured_times_there_is_no_summary() -> None:
    assert not [name for name, _ in samples(of_bus(of_subscription())) if name.startswith("tocsin_handling_seconds")]


@pytest.mark.parametrize(("one", "other", "together"), [(0.1, 0.2, 0.2), (None, 0.2, 0.2), (0.3, None, 0.3)])
def test_of_those_that_are_not_shown_apart_the_longest_times_are_told(
    one: float | None, other: float | None, together: float
) -> None:
    hidden = [of_subscription(name, p50=p50, measured=1) for name, p50 in (("a", one), ("b", other))]
    found = samples(of_bus(of_subscription("shown"), *hidden), most=1)
    its = {"subscription": "other", "group": ""}
    assert of(found, "tocsin_handling_seconds", **its, quantile="0.5") == together
    assert math.isnan(of(found, "tocsin_handling_seconds", **its, quantile="0.99"))
    assert of(found, "tocsin_handling_seconds_count", **its) == 2


async def test_a_bus_that_measures_exports_what_it_has_measured(make_bus: MakeBus) -> None:
    bus = make_bus("shop", measure_times=True)

    @bus.subscriber(int, name="sleep")
    async def sleep(seconds: int) -> None:
        await anyio.sleep(seconds)

    async with bus.running():
        await (await bus.publish(3)).settled()
        found = samples(bus.statistics())
    its = {"subscription": "sleep", "group": ""}
    assert of(found, "tocsin_handling_seconds_sum", **its) == pytest.approx(3.0)
    assert of(found, "tocsin_handling_seconds", **its, quantile="0.99") == pytest.approx(3.0, rel=0.25)
