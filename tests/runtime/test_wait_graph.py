"""Whether one more wait among actors would never end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin._wait_graph import closing_cycle

Waits = Mapping[str, Sequence[frozenset[str]]]


def one_server(node: str) -> int:
    return 1


def ring(size: int) -> Waits:
    """Actors 1, 2, … that each wait for the next one; 0 has not begun to."""
    return {str(node): [frozenset({str((node + 1) % size)})] for node in range(1, size)}


@pytest.mark.parametrize("size", range(1, 9))
def test_the_wait_that_closes_a_ring_of_any_length_is_found(size: int) -> None:
    cycle = closing_cycle(ring(size), one_server, "0", [str(1 % size)])
    assert cycle == (*(str(node) for node in range(size)), "0")


def test_a_wait_for_actors_that_wait_for_nobody_can_end() -> None:
    assert closing_cycle({"b": [frozenset({"c"})]}, one_server, "a", ["b", "c"]) is None


def test_a_wait_for_nobody_can_end() -> None:
    assert closing_cycle({}, one_server, "a", []) is None


def test_one_stuck_target_of_several_is_enough() -> None:
    waits = {"b": [frozenset({"a"})]}
    assert closing_cycle(waits, one_server, "a", ["free", "b"]) == ("a", "b", "a")


def test_an_actor_with_a_server_left_can_go_on() -> None:
    def servers(node: str) -> int:
        return 2 if node == "b" else 1

    one_waits = {"b": [frozenset({"a"})]}
    both_wait = {"b": [frozenset({"a"}), frozenset({"a"})]}
    assert closing_cycle(one_waits, servers, "a", ["b"]) is None
    assert closing_cycle(both_wait, servers, "a", ["b"]) == ("a", "b", "a")


def test_a_newcomer_with_a_server_left_can_go_on() -> None:
    assert closing_cycle({}, lambda _: 2, "a", ["a"]) is None
    assert closing_cycle({"a": [frozenset({"a"})]}, lambda _: 2, "a", ["a"]) == ("a", "a")


def test_one_server_that_will_go_on_saves_its_actor() -> None:
    def servers(node: str) -> int:
        return 2 if node == "b" else 1

    waits = {"b": [frozenset({"a"}), frozenset({"free"})]}
    assert closing_cycle(waits, servers, "a", ["b"]) is None


def test_a_newcomer_that_waits_for_a_cycle_beside_it_is_refused_with_that_cycle() -> None:
    waits = {"b": [frozenset({"c"})], "c": [frozenset({"b"})]}
    assert closing_cycle(waits, one_server, "a", ["b"]) == ("b", "c", "b")


nodes = st.sampled_from("abcde")
targets = st.frozensets(nodes, min_size=1, max_size=3)


def goes_on(waits: Waits, servers: Mapping[str, int], newcomer: str, wanted: frozenset[str]) -> bool:
    """The other way round: let whoever can go on do so, and see whether the newcomer's actor is among them at last."""
    each = {node: [*waits.get(node, ()), *([wanted] if node == newcomer else [])] for node in "abcde"}
    going: set[str] = set()
    while True:
        more = {
            node for node in each if len(each[node]) < servers[node] or any(wait <= going for wait in each[node])
        } - going
        if not more:
            return newcomer in going
        going |= more


@given(
    waits=st.dictionaries(nodes, st.lists(targets, max_size=2)),
    servers=st.fixed_dictionaries({node: st.integers(1, 3) for node in "abcde"}),
    newcomer=nodes,
    wanted=targets,
)
def test_a_wait_is_refused_exactly_if_nobody_can_make_it_end(
    waits: dict[str, list[frozenset[str]]], servers: dict[str, int], newcomer: str, wanted: frozenset[str]
) -> None:
    cycle = closing_cycle(waits, servers.__getitem__, newcomer, wanted)
    assert (cycle is None) is goes_on(waits, servers, newcomer, wanted)
    if cycle is not None:
        edges = {node: [*waits.get(node, ()), *([wanted] if node == newcomer else [])] for node in "abcde"}
        assert cycle[0] == cycle[-1]
        for one, following in pairwise(cycle):
            assert any(following in wait for wait in edges[one])
