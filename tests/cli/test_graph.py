"""The graph of a declared bus."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tocsin import EventBus, Priority, Strategy, handles
from tocsin.cli._graph import Interest, SubscriptionNode, graph_of
from tocsin.cli._graph_text import as_json, as_mermaid

MakeBus = Callable[..., EventBus]


class Order: ...


class Counter:
    @handles(Order)
    async def count(self, order: Order) -> None: ...


async def ignore(event: object) -> None: ...


@pytest.fixture
def shop(make_bus: MakeBus) -> EventBus:
    bus = make_bus("shop")
    bus.subscribe(ignore, Order, name="confirm", concurrency=2, priorities=[Priority.LOW, Priority.CRITICAL])
    records = bus.group("records", strategy=Strategy.REST_FOR_ONE)
    records.subscribe(ignore, "order.*", Order, name="audit", when=bool)
    records.group("inner").subscribe_actor(Counter, name="counter")
    return bus


def test_the_graph_has_every_subscription_in_its_group_in_order(shop: EventBus) -> None:
    model = json.loads(as_json(graph_of(shop)))
    assert [member["name"] for member in model["members"]] == ["confirm", "records"]
    records = model["members"][1]
    assert (records["strategy"], [member["name"] for member in records["members"]]) == (
        "rest_for_one",
        ["audit", "inner"],
    )


def test_a_subscription_says_what_it_wants_and_how(shop: EventBus) -> None:
    assert graph_of(shop).members[0] == SubscriptionNode(
        name="confirm",
        kind="handler",
        interests=(Interest("class", f"{__name__}.Order"),),
        priorities=("CRITICAL", "LOW"),
        has_predicate=False,
        mailbox=1000,
        concurrency=2,
    )


def test_the_flowchart_reads_as_expected(shop: EventBus) -> None:
    assert (
        as_mermaid(graph_of(shop))
        == f"""flowchart LR
    e0(["{__name__}.Order"])
    e1{{{{"order.*"}}}}
    subgraph g0["shop: one_for_one"]
        s0["confirm x 2"]
        subgraph g1["records: rest_for_one"]
            s1["audit"]
            subgraph g2["inner: one_for_one"]
                s2[["counter"]]
            end
        end
    end
    e0 -->|"CRITICAL, LOW"| s0
    e0 -->|"when"| s1
    e1 -->|"when"| s1
    e0 --> s2"""
    )


def test_an_empty_bus_has_a_graph(make_bus: MakeBus) -> None:
    assert as_mermaid(graph_of(make_bus("empty"))).splitlines() == [
        "flowchart LR",
        '    subgraph g0["empty: one_for_one"]',
        "    end",
    ]


HOSTILE = 'a"]; click s0 "javascript:alert(1)" %%{init: {"securityLevel": "loose"}}%% <img src=x> `b` #amp; \x1b\n end'


def test_a_name_can_only_be_a_label(make_bus: MakeBus) -> None:
    bus = make_bus(HOSTILE)
    bus.group(HOSTILE + "g").subscribe(ignore, Order, name=HOSTILE + "s")
    text = as_mermaid(graph_of(bus))
    labels = re.findall(r'"([^"]*)"', text)
    assert len(labels) == 4
    assert all(re.fullmatch(r"(?:[\w .,\-/():*+=]|#\d+;)+", label) for label in labels)
    assert len(text.splitlines()) == len(as_mermaid(graph_of(bus)).split("\n")) == 8


def test_a_label_reads_as_the_name_does(make_bus: MakeBus) -> None:
    label = re.findall(r'"([^"]*)"', as_mermaid(graph_of(make_bus('Größe "x" #1'))))[0]
    assert re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label) == 'Größe "x" #1: one_for_one'


def test_names_stay_as_they_are_in_json(make_bus: MakeBus) -> None:
    assert json.loads(as_json(graph_of(make_bus(HOSTILE))))["name"] == HOSTILE


def test_looking_runs_nothing(shop: EventBus) -> None:
    graph_of(shop)
    assert shop.statistics().phase == "new"
