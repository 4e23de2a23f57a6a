"""Which entries an event is routed to."""

from __future__ import annotations

import abc
import gc
import weakref
from typing import Any

import pytest
from attrs import field, frozen

from tocsin._router import MAX_ROUTES, Router
from tocsin.exceptions import InvalidTopic


class Base:
    pass


class Left(Base):
    pass


class Right(Base):
    pass


class Bottom(Left, Right):
    pass


@frozen(eq=False)
class Entry:
    types: tuple[type, ...] = ()
    patterns: tuple[str, ...] = ()
    name: str = field(default="", kw_only=True)


class Unfriendly:
    """An entry that can be neither hashed nor compared."""

    __hash__ = None  # type: ignore[assignment]
    types: tuple[type, ...] = (Base,)
    patterns: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        raise AssertionError("entries are told apart by identity")


def router_with(*entries: Entry) -> Router[Entry]:
    router: Router[Entry] = Router()
    for entry in entries:
        router.add(entry)
    return router


# ── by class ──


def test_an_event_goes_to_entries_for_its_class_and_its_base_classes() -> None:
    entries = [Entry((Bottom,)), Entry((Left,)), Entry((Right,)), Entry((Base,)), Entry((object,)), Entry((int,))]
    router = router_with(*entries)
    assert router.route(Bottom, None) == tuple(entries[:5])
    assert router.route(Left, None) == (entries[1], entries[3], entries[4])


def test_entries_come_in_order_of_subscription_however_they_match() -> None:
    entries = [Entry((), ("#",)), Entry((object,)), Entry((Left,)), Entry((), ("order.*",)), Entry((Bottom,))]
    assert router_with(*entries).route(Bottom, "order.placed") == tuple(entries)


def test_the_order_is_kept_among_many_entries() -> None:
    # More than eight: the numbers of the first few come out of a set in order anyway.
    entries = [Entry((Base,) if number % 7 == 1 else (int,)) for number in range(200)]
    assert router_with(*entries).route(Left, None) == tuple(entries[1::7])


def test_an_entry_that_matches_in_several_ways_is_there_once() -> None:
    entry = Entry((Base, Left, object), ("order.*", "#"))
    assert router_with(entry).route(Bottom, "order.placed") == (entry,)


def test_an_event_that_interests_nobody_goes_nowhere() -> None:
    router = router_with(Entry((Left,)))
    assert router.route(Right, None) == ()
    assert router.route(Right, None) == ()


def test_virtual_subclasses_do_not_count_and_real_ones_do() -> None:
    class Abstract(abc.ABC):
        @abc.abstractmethod
        def price(self) -> int: ...

    class Real(Abstract):
        def price(self) -> int:
            return 1

    Abstract.register(Base)
    entry = Entry((Abstract,))
    router = router_with(entry)
    assert issubclass(Base, Abstract)
    assert router.route(Base, None) == ()
    assert router.route(Real, None) == (entry,)


def test_the_same_interests_twice_are_two_entries() -> None:
    first, second = Entry((Base,)), Entry((Base,))
    assert router_with(first, second).route(Left, None) == (first, second)


# ── by topic ──


def test_a_pattern_matches_events_of_any_class_on_a_topic() -> None:
    entry = Entry((), ("order.*",))
    router = router_with(entry)
    assert router.route(Base, "order.placed") == (entry,)
    assert router.route(int, "order.placed") == (entry,)
    assert router.route(Base, "invoice.sent") == ()


def test_a_pattern_does_not_match_events_without_a_topic() -> None:
    assert router_with(Entry((), ("#",))).route(Base, None) == ()


@pytest.mark.parametrize("topic", ["", "a..b", "order.*", "a\x00"])
def test_a_text_that_is_no_topic_is_refused(topic: str) -> None:
    with pytest.raises(InvalidTopic):
        router_with(Entry((object,))).route(Base, topic)


# ── changes ──


def test_an_added_entry_is_routed_to_from_then_on() -> None:
    first, second = Entry((Base,)), Entry((Base,), ("#",))
    router = router_with(first)
    before = router.route(Base, None), router.route(Base, "a")
    router.add(second)
    assert before == ((first,), (first,))
    assert router.route(Base, None) == (first, second)
    assert router.route(Base, "a") == (first, second)


def test_a_removed_entry_is_routed_to_no_more() -> None:
    first, second = Entry((Base,), ("a.*",)), Entry((Base,), ("a.*",))
    router = router_with(first, second)
    held = router.route(Base, "a.b")
    router.remove(first)
    assert held == (first, second)
    assert router.route(Base, "a.b") == (second,)
    router.remove(second)
    assert router.route(Base, "a.b") == ()


def test_removing_an_unknown_entry_changes_nothing() -> None:
    router = router_with(Entry((Base,)))
    router.remove(Entry((Base,)))
    assert len(router.route(Base, None)) == 1


def test_an_entry_added_again_comes_last() -> None:
    first, second = Entry((Base,)), Entry((Base,))
    router = router_with(first, second)
    router.remove(first)
    router.add(first)
    assert router.route(Base, None) == (second, first)
    assert list(router) == [second, first]


def test_an_entry_cannot_be_added_twice() -> None:
    entry = Entry((Base,))
    router = router_with(entry)
    with pytest.raises(ValueError, match="is in the router already"):
        router.add(entry)


def test_an_entry_with_a_bad_pattern_is_refused_whole() -> None:
    router = router_with(Entry((Base,)))
    with pytest.raises(InvalidTopic):
        router.add(Entry((Base,), ("order.*", "ord*")))
    assert len(router) == 1
    assert router.route(int, "order.placed") == ()


def test_entries_may_be_removed_while_they_are_iterated_over() -> None:
    router = router_with(Entry((Base,)), Entry((Base,)))
    for entry in router:
        router.remove(entry)
    assert len(router) == 0


def test_entries_are_neither_hashed_nor_compared() -> None:
    router: Router[Unfriendly] = Router()
    first, second = Unfriendly(), Unfriendly()
    router.add(first)
    router.add(second)
    router.remove(second)
    (found,) = router.route(Base, None)
    assert found is first


# ── remembering ──


def test_a_route_is_remembered_under_the_class_or_the_class_and_the_topic() -> None:
    router = router_with(Entry((Base,)))
    routes = router.routes
    plain, with_topic = router.route(Left, None), router.route(Left, "a.b")
    assert routes[Left] is plain
    assert routes[Left, "a.b"] is with_topic
    assert router.route(Left, None) is plain


def test_every_change_forgets_all_routes_in_the_same_dictionary() -> None:
    entry = Entry((Base,))
    router = router_with(entry)
    routes = router.routes
    router.route(Left, None)
    router.remove(entry)
    assert routes == {}
    router.route(Left, None)
    router.add(entry)
    assert routes == {}
    assert router.routes is routes


def test_the_memory_for_routes_is_bounded_and_its_clearings_are_counted() -> None:
    router = router_with(Entry((), ("#",)))
    for number in range(2 * MAX_ROUTES + 1):
        assert len(router.route(Base, f"order.{number}")) == 1
        assert len(router.routes) <= MAX_ROUTES
    assert router.clearings == 2


def test_the_memory_for_routes_has_room_for_every_class_that_was_asked_for() -> None:
    classes = [type(f"Event{number}", (), {}) for number in range(MAX_ROUTES + 100)]
    router = router_with(*(Entry((kind,), ()) for kind in classes))
    for kind in classes:
        router.route(kind, None)
    assert (router.clearings, len(router.routes)) == (0, len(classes))
    assert router.most_routes == MAX_ROUTES + len(classes)


@pytest.mark.slow
def test_fault_H5_classes_made_on_the_fly_do_not_stay_for_ever() -> None:
    router = router_with(Entry((Base,)))
    made = [weakref.ref(type("Dynamic", (Base,), {})) for _ in range(3)]
    for reference in made:
        kind = reference()
        if kind is not None:
            router.route(kind, None)
        del kind
    router.add(Entry((int,)))
    gc.collect()
    assert all(reference() is None for reference in made)


def test_a_router_tells_its_state_in_words() -> None:
    router = router_with(Entry((Base,)))
    router.route(Base, None)
    assert repr(router) == "<Router with 1 entries, 1 routes remembered>"


# ── hostile events ──


class Shadowing(type):
    """Says that its classes have no base classes."""

    @property
    def __mro__(cls) -> Any:
        raise AssertionError("the true base classes are to be read")


class Unhashable(type):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("classes are told apart by identity")


class EqualByName(type):
    def __hash__(cls) -> int:
        return hash(cls.__name__)

    def __eq__(cls, other: object) -> bool:
        return isinstance(other, EqualByName) and cls.__name__ == other.__name__


def test_the_true_base_classes_count_whatever_a_metaclass_says() -> None:
    class Hostile(Base, metaclass=Shadowing):
        pass

    entry = Entry((Base,))
    assert router_with(entry).route(Hostile, None) == (entry,)


def test_fault_H4_an_event_whose_class_lies_about_itself_is_routed_by_its_type() -> None:
    class Pretender(Left):
        @property
        def __class__(self) -> Any:
            return int

        @__class__.setter
        def __class__(self, value: object) -> None:
            raise AssertionError("nobody sets the class")

        def __getattr__(self, name: str) -> Any:
            raise AssertionError("an event is not asked while it is routed")

    entries = Entry((Left,)), Entry((int,))
    pretender = Pretender()
    assert pretender.__class__ is int
    assert router_with(*entries).route(type(pretender), None) == entries[:1]


def test_an_unhashable_class_is_routed_without_being_remembered() -> None:
    class Hostile(Base, metaclass=Unhashable):
        pass

    entries = Entry((Base,)), Entry((Hostile,))
    router = router_with(*entries)
    assert router.route(Hostile, None) == entries
    assert router.route(Hostile, "a") == entries
    assert router.routes == {}
    router.remove(entries[1])
    assert router.route(Hostile, None) == entries[:1]


class OwnHash(type):
    __hash__ = type.__repr__  # type: ignore[assignment]  # nobody may call it


class OwnEquality(type):
    __hash__ = type.__hash__

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("classes are told apart by identity")


@pytest.mark.parametrize(("metaclass", "count"), [(abc.ABCMeta, 1), (OwnHash, 0), (OwnEquality, 0)])
def test_routes_of_classes_are_remembered_unless_the_metaclass_has_them_compared(metaclass: type, count: int) -> None:
    kind = metaclass("Kind", (), {})
    entry = Entry((kind,))
    router = router_with(entry)
    assert router.route(kind, None) == (entry,)
    assert len(router.routes) == count


def test_classes_that_are_equal_but_not_the_same_have_routes_of_their_own() -> None:
    first = EqualByName("Twin", (Base,), {})
    second = EqualByName("Twin", (Base,), {})
    assert first == second
    entries = Entry((first,)), Entry((second,))
    router = router_with(*entries)
    assert router.route(first, None) == entries[:1]
    assert router.route(second, None) == entries[1:]
