"""What is kept of an exception, and what its leaves mean."""

from __future__ import annotations

import gc
import itertools
import sys
import time
import traceback
import weakref
from typing import Any, TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_supervisors import Failure, forget_traceback, matches, sort_leaves
from tocsin_supervisors._failures import MAX_GROUP_NODES, leaves_of

E = TypeVar("E", bound=BaseException)


class Cancelled(BaseException):
    """Stands for the backend's cancellation."""


class Evil(Exception):
    """Raises from everything that an exception can be asked."""

    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise SystemExit

    __hash__ = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit


def raised(error: E) -> E:
    try:
        raise error
    except BaseException:
        return error


def nested(error: Exception, depth: int) -> Exception:
    for _ in range(depth):
        error = ExceptionGroup("deeper", [error])
    return error


def nested_fatally(error: BaseException, depth: int) -> BaseException:
    for _ in range(depth):
        error = BaseExceptionGroup("deeper", [error])
    return error


def doubled(error: Exception) -> Exception:
    return ExceptionGroup("twice", [error, error])


def test_a_failure_tells_type_message_and_place() -> None:
    failure = Failure.of(raised(ValueError("no such order")))
    assert failure.type == "builtins.ValueError"
    assert failure.message == "no such order"
    line = raised.__code__.co_firstlineno + 2
    assert failure.fingerprint == f"builtins.ValueError at test_failures.py:raised:{line}"
    assert failure.traceback.endswith(f'test_failures.py", line {line}, in raised\n    raise error\n')
    assert not failure.truncated


def test_a_failure_reads_as_type_and_message() -> None:
    assert str(Failure.of(ValueError("x"))) == "builtins.ValueError: x"
    assert str(Failure.of(ValueError())) == "builtins.ValueError"


def test_an_exception_that_was_never_raised_has_its_type_as_fingerprint() -> None:
    assert Failure.of(ValueError("x")).fingerprint == "builtins.ValueError"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError(), ""),
        (ValueError("a\nb"), "a\\nb"),
        (ValueError("a", 1), "('a', 1)"),
        (ValueError(*range(11)), "(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …)"),
        (KeyError("a"), "'a'"),
        (KeyError(), ""),
        (KeyError("a", "b"), "('a', 'b')"),
        (OSError(2, "gone"), "[Errno 2] gone"),
    ],
)
def test_the_message_is_what_the_exception_says(error: Exception, message: str) -> None:
    assert Failure.of(error).message == message


def test_nothing_an_exception_does_prevents_its_snapshot() -> None:
    failure = Failure.of(raised(Evil()))
    assert failure.message == "<unprintable Evil>"
    assert failure.type.endswith(".Evil")
    assert failure.fingerprint.startswith(f"{failure.type} at test_failures.py:raised:")


@pytest.mark.parametrize(
    "error",
    [ValueError("x" * 10_000_000), KeyError("x" * 10_000_000), ValueError("x" * 10_000_000, b"x" * 10_000_000)],
    ids=["one argument", "key", "two arguments"],
)
def test_a_huge_message_is_cut_at_no_cost(error: Exception) -> None:
    Failure.of(error)
    began = time.process_time()
    failure = Failure.of(error)
    assert time.process_time() - began < 0.01
    assert len(failure.message) == 1000
    assert failure.truncated


def test_causes_are_listed_nearest_first() -> None:
    error = ValueError("top")
    error.__cause__ = KeyError("middle")
    error.__cause__.__context__ = OSError("bottom")
    assert Failure.of(error).causes == ("builtins.KeyError: 'middle'", "builtins.OSError: bottom")


def test_a_context_hidden_by_from_none_is_not_a_cause() -> None:
    error = ValueError()
    error.__context__ = KeyError()
    assert Failure.of(error).causes == ("builtins.KeyError",)
    error.__suppress_context__ = True
    assert Failure.of(error).causes == ()


def test_causes_that_run_in_a_circle_are_listed_once() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert Failure.of(first).causes == ("builtins.ValueError: second",)


def test_a_hundred_thousand_causes_are_cut_to_ten() -> None:
    error: BaseException = ValueError("innermost")
    for _ in range(100_000):
        outer = ValueError("outer")
        outer.__cause__ = error
        error = outer
    failure = Failure.of(error)
    assert len(failure.causes) == 10
    assert failure.truncated
    forget_traceback(error)
    while error.__cause__ is not None:  # unlink one by one: freeing the chain at once recurses in the interpreter
        error = error.__cause__


def test_a_group_lists_its_leaves_at_whatever_depth() -> None:
    group = ExceptionGroup("both", [ValueError("a"), ExceptionGroup("inner", [KeyError("b"), OSError()])])
    assert Failure.of(group).leaves == ("builtins.ValueError: a", "builtins.KeyError: 'b'", "builtins.OSError")


def test_a_group_is_placed_where_its_first_leaf_was_raised() -> None:
    group = raised(ExceptionGroup("g", [raised(ValueError("a"))]))
    failure = Failure.of(group)
    assert failure.fingerprint.startswith("builtins.ExceptionGroup[builtins.ValueError] at test_failures.py:raised:")
    assert "first of its leaves, builtins.ValueError:\n  File " in failure.traceback


def test_a_group_of_unraised_exceptions_is_placed_where_it_was_raised_itself() -> None:
    failure = Failure.of(raised(ExceptionGroup("g", [ValueError()])))
    assert failure.fingerprint.startswith("builtins.ExceptionGroup[builtins.ValueError] at test_failures.py:raised:")
    assert "first of its leaves" not in failure.traceback


def test_more_than_twenty_leaves_are_cut() -> None:
    failure = Failure.of(ExceptionGroup("many", [ValueError(str(n)) for n in range(21)]))
    assert len(failure.leaves) == 20
    assert failure.truncated


@pytest.mark.parametrize("depth", [1_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_group_of_any_depth_gives_a_failure(depth: int) -> None:
    failure = Failure.of(nested(ValueError("core"), depth))
    assert failure.type == "builtins.ExceptionGroup"
    assert failure.truncated == (depth > 1_000)


def test_only_the_innermost_frames_of_a_recursion_are_kept() -> None:
    def endless() -> None:
        endless()

    with pytest.raises(RecursionError) as caught:
        endless()
    failure = Failure.of(caught.value)
    assert failure.truncated
    assert failure.traceback.count("  File ") == 30
    assert "outer frames left out" in failure.traceback


def test_a_traceback_of_more_than_ten_thousand_characters_loses_its_beginning() -> None:
    made: dict[str, Any] = {"__name__": "made"}
    deep = "def " + "f" * 250 + "(n):\n    if n == 0: 1 / 0\n    " + "f" * 250 + "(n - 1)\n"
    exec(compile(deep, "y" * 300, "exec"), made)
    with pytest.raises(ZeroDivisionError) as caught:
        made["f" * 250](40)
    text = Failure.of(caught.value).traceback
    assert len(text) == 10_000
    assert text.startswith("…")
    assert text.endswith("\n")


def test_a_failure_keeps_nothing_of_the_exception_alive() -> None:
    class Local:
        pass

    def handler() -> weakref.ref[Local]:
        event = Local()
        error = raised(ValueError(event))
        kept.append(Failure.of(error))
        forget_traceback(error)
        return weakref.ref(event)

    kept: list[Failure] = []
    reference = handler()
    gc.collect()
    assert reference() is None
    assert len(kept) == 1


def test_forgetting_reaches_causes_contexts_and_leaves() -> None:
    cause, context, leaf = raised(KeyError()), raised(OSError()), raised(TypeError())
    error = raised(BaseExceptionGroup("g", [leaf, Cancelled()]))
    error.__cause__, error.__context__, cause.__context__ = cause, context, error
    forget_traceback(error)
    assert [each.__traceback__ for each in (error, cause, context, leaf)] == [None] * 4


def test_forgetting_a_chain_is_bounded() -> None:
    chain = [raised(ValueError(n)) for n in range(1500)]
    for outer, inner in itertools.pairwise(chain):
        outer.__cause__ = inner
    forget_traceback(chain[0])
    assert chain[999].__traceback__ is None
    assert chain[1000].__traceback__ is not None


def test_one_instance_raised_again_and_again_does_not_grow_once_forgotten() -> None:
    error = ValueError("always me")
    for _ in range(1000):
        raised(error)
        forget_traceback(error)
    raised(error)
    assert error.__traceback__ is not None
    assert error.__traceback__.tb_next is None


def test_a_bare_exception_is_an_ordinary_leaf() -> None:
    error = ValueError()
    leaves = sort_leaves(error, Cancelled)
    assert (leaves.ordinary, leaves.fatal, leaves.cancelled, leaves.truncated) == ((error,), (), 0, False)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, BaseException])
def test_a_bare_exception_that_is_no_exception_is_fatal(kind: type[BaseException]) -> None:
    error = kind()
    assert sort_leaves(error, Cancelled).fatal == (error,)


def test_a_cancellation_is_counted_and_neither_ordinary_nor_fatal() -> None:
    leaves = sort_leaves(Cancelled(), Cancelled)
    assert (leaves.ordinary, leaves.fatal, leaves.cancelled) == ((), (), 1)


def test_the_leaves_of_a_mixed_group_are_sorted() -> None:
    ordinary, fatal = ValueError(), SystemExit(3)
    group = BaseExceptionGroup("g", [Cancelled(), BaseExceptionGroup("h", [ordinary, fatal]), Cancelled()])
    leaves = sort_leaves(group, Cancelled)
    assert (leaves.ordinary, leaves.fatal, leaves.cancelled) == ((ordinary,), (fatal,), 2)


def test_a_generator_exit_inside_a_group_is_a_crash() -> None:
    closed = GeneratorExit()
    (crash,) = sort_leaves(BaseExceptionGroup("g", [closed]), Cancelled).ordinary
    assert isinstance(crash, RuntimeError)
    assert crash.__cause__ is closed


@pytest.mark.parametrize("depth", [999, 1_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_deep_group_of_exceptions_is_ordinary(depth: int) -> None:
    leaves = sort_leaves(nested(ValueError(), depth), Cancelled)
    assert len(leaves.ordinary) == 1
    assert leaves.truncated == (depth > 1_000)


def test_a_group_too_deep_to_know_its_leaves_is_a_crash() -> None:
    leaves = sort_leaves(nested_fatally(KeyboardInterrupt(), 1_001), Cancelled)
    assert [str(crash) for crash in leaves.ordinary] == ["an exception group is too deep or too large to be sorted"]
    assert leaves.truncated


def test_a_group_too_wide_to_be_walked_counts_as_one_leaf() -> None:
    wide = ExceptionGroup("wide", [ValueError()] * (MAX_GROUP_NODES + 1))
    leaves = sort_leaves(wide, Cancelled)
    assert leaves.ordinary == (wide,)
    assert leaves.truncated


def test_groups_that_share_their_members_are_walked_within_bounds() -> None:
    error: Exception = ValueError()
    for _ in range(60):
        error = doubled(error)
    leaves = sort_leaves(error, Cancelled)
    assert leaves.truncated
    assert len(leaves.ordinary) <= MAX_GROUP_NODES


def test_sorting_survives_hostile_leaves() -> None:
    evil = Evil()
    (leaf,) = sort_leaves(ExceptionGroup("g", [evil]), Cancelled).ordinary
    assert leaf is evil


def test_sorting_needs_no_stack() -> None:
    deep = nested(ValueError(), 10_000)

    def at_depth(left: int) -> int:
        return at_depth(left - 1) if left else len(sort_leaves(deep, Cancelled).ordinary)

    used = len(traceback.StackSummary.extract(traceback.walk_stack(None), lookup_lines=False))
    assert at_depth(sys.getrecursionlimit() - used - 40) == 1


EXCEPTIONS: st.SearchStrategy[BaseException] = st.recursive(
    st.builds(ValueError) | st.builds(KeyError) | st.builds(Cancelled) | st.builds(SystemExit),
    lambda inner: st.lists(inner, min_size=1, max_size=4).map(lambda members: BaseExceptionGroup("g", members)),
    max_leaves=20,
)


@given(EXCEPTIONS)
def test_every_leaf_is_sorted_once_and_in_order(error: BaseException) -> None:
    def flat(exc: BaseException) -> list[BaseException]:
        members = cast("tuple[BaseException, ...]", getattr(exc, "exceptions", ()))
        return [leaf for member in members for leaf in flat(member)] if members else [exc]

    expected, leaves = flat(error), sort_leaves(error, Cancelled)
    assert list(leaves_of(error)) == expected
    assert list(leaves.ordinary) == [leaf for leaf in expected if isinstance(leaf, Exception)]
    assert list(leaves.fatal) == [leaf for leaf in expected if isinstance(leaf, SystemExit)]
    assert leaves.cancelled == sum(isinstance(leaf, Cancelled) for leaf in expected)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ((), False),
        ((KeyError,), True),
        ((LookupError,), True),
        ((ValueError,), False),
        (("builtins.KeyError",), True),
        (("builtins.LookupError",), True),
        (("KeyError",), False),
        (("some.library.NotInstalled", KeyError), True),
    ],
)
def test_an_exception_matches_by_class_or_by_qualified_name(kinds: Any, expected: bool) -> None:
    assert matches(KeyError(), kinds) is expected


def test_a_class_that_lies_about_itself_is_matched_by_its_true_type() -> None:
    assert matches(Evil(), (ValueError,)) is False
    assert matches(Evil(), (Evil,)) is True


def test_a_class_of_a_hostile_metaclass_matches_by_its_name_each_time() -> None:
    class Equal(type):
        def __eq__(cls, other: object) -> bool:
            raise AssertionError("it was compared")

        __hash__ = None  # type: ignore[assignment]

    kind = Equal("Odd", (Exception,), {"__module__": "shop"})
    for _ in range(2):
        assert matches(kind(), ("shop.Odd",))
        assert not matches(kind(), ("shop.Even",))
