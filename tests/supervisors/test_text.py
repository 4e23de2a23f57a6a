"""Text of untrusted values: never raises, always one bounded printable line."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import linecache
import math
import pathlib
import time
import uuid
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_supervisors._text import (
    MAX_JSON_NODES,
    MAX_JSON_TEXT,
    Frames,
    json_safe,
    qualified_name,
    safe_repr,
    safe_text,
)


class Evil:
    """Raises what it is told to, from both of its texts."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error

    __repr__ = __str__


class LyingText(str):
    """A text whose methods cannot be trusted."""

    __slots__ = ()

    def __str__(self) -> str:
        raise SystemExit

    def isprintable(self) -> bool:
        raise SystemExit


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit(3), GeneratorExit(), RecursionError()])
def test_a_value_that_cannot_be_printed_is_named_whatever_it_raises(error: BaseException) -> None:
    assert safe_text(Evil(error)) == "<unprintable Evil>"
    assert safe_repr(Evil(error)) == "<unprintable Evil>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, größer, 日本", "plain, größer, 日本"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("abc\u202edcba", "abc\\u202edcba"),
        ("\ud800", "\\ud800"),
        ("nul\0", "nul\\x00"),
    ],
)
def test_unprintable_characters_are_escaped(text: str, expected: str) -> None:
    assert safe_text(text) == expected


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_text_is_printable_and_within_its_limit(text: str, limit: int) -> None:
    result = safe_text(text, limit)
    assert result.isprintable()
    assert len(result) <= limit


def test_what_is_cut_off_is_marked() -> None:
    assert safe_text("abcdef", 6) == "abcdef"
    assert safe_text("abcdefg", 6) == "abcde…"


@pytest.mark.parametrize("huge", ["x" * 50_000_000, b"x" * 50_000_000], ids=["str", "bytes"])
def test_a_huge_value_costs_what_the_limit_asks_for(huge: object) -> None:
    began = time.process_time()
    assert len(safe_repr(huge)) == 200
    assert len(safe_text(huge)) == 200
    assert time.process_time() - began < 0.01


def test_a_subclass_of_str_cannot_interfere() -> None:
    assert safe_text(LyingText("fine")) == "fine"


def test_an_integer_the_interpreter_refuses_to_print_is_named() -> None:
    assert safe_text(10**5000) == "<unprintable int>"


def test_a_class_is_named_with_its_module() -> None:
    assert qualified_name(ValueError) == "builtins.ValueError"
    assert qualified_name(Evil) == f"{__name__}.Evil"


def test_the_name_of_a_class_without_a_usable_module_is_still_text() -> None:
    odd = type("Odd\nName", (), {"__module__": 7})
    made: dict[str, Any] = {}
    exec('Homeless = type("Homeless", (), {})', made)  # without __name__ in its globals, it gets no module
    assert qualified_name(odd) == "?.Odd\\nName"
    assert qualified_name(made["Homeless"]) == "?.Homeless"


def test_a_metaclass_cannot_interfere_with_the_name() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise SystemExit

    class Hostile(metaclass=Meta):
        pass

    assert qualified_name(Hostile).endswith("Hostile")


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@attrs.frozen
class Order:
    number: int
    lines: tuple[str, ...] = ()


@dataclasses.dataclass
class Note:
    text: str


NOON = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        ("é", "é"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (b"\x00\xff", "AP8="),
        (bytearray(b"ab"), "YWI="),
        (NOON, "2024-05-01T12:00:00+00:00"),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        (datetime.time(12), "12:00:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.10"), "1.10"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        ((1, [2]), [1, [2]]),
        (frozenset({1}), [1]),
        ({"a": {1}}, {"a": [1]}),
        (Order(1, ("x",)), {"number": 1, "lines": ["x"]}),
        (Note("x"), {"text": "x"}),
        (Order, f"{__name__}.Order"),
        (2j, "2j"),
    ],
)
def test_values_become_their_nearest_json(value: object, expected: object) -> None:
    assert json_safe(value) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_become_text(value: float) -> None:
    assert json_safe(value) == repr(value)


def test_an_integer_too_long_to_print_is_described() -> None:
    assert json_safe(10**5000) == "<integer of 16610 bits>"


def test_a_lone_surrogate_is_escaped_for_readers_in_other_languages() -> None:
    assert json_safe("a\ud800") == "a\\ud800"


def test_keys_with_one_text_do_not_hide_each_other() -> None:
    assert json_safe({"1": "text", 1: "number"}) == {"1": "text", "1 (builtins.int)": "number"}


def test_a_value_whose_own_code_fails_is_named() -> None:
    class Broken(list[int]):
        def __iter__(self) -> Any:
            raise RuntimeError

    (text,) = json_safe([Broken([1])])
    assert text.startswith("<")
    assert text.endswith("Broken>")


def test_a_cycle_ends() -> None:
    ring: list[object] = []
    ring.append(ring)
    assert json.dumps(json_safe(ring), allow_nan=False).startswith("[[[")


def test_a_structure_that_multiplies_is_bounded() -> None:
    tower: list[object] = []
    for _ in range(15):
        tower = [tower] * 10
    assert json.dumps(json_safe(tower)).count("[") <= MAX_JSON_NODES + 1


def test_a_long_text_is_cut() -> None:
    assert len(json_safe("x" * (2 * MAX_JSON_TEXT))) == MAX_JSON_TEXT


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=20,
    )
)
def test_every_plain_value_can_be_dumped_strictly(value: object) -> None:
    assert "\n" not in json.dumps(json_safe(value), allow_nan=False)


def test_an_exception_that_was_never_raised_has_no_frames() -> None:
    frames = Frames.of(ValueError())
    assert frames.text() == ""
    assert frames.place() == ""


def test_the_innermost_frames_are_shown_and_the_others_counted() -> None:
    def deep(level: int) -> None:
        if level == 0:
            raise ValueError("bottom")
        deep(level - 1)

    with pytest.raises(ValueError, match=r"^bottom$") as caught:
        deep(49)
    text = Frames.of(caught.value).text()
    assert text.startswith("  ... 21 outer frames left out\n")
    assert text.endswith('    raise ValueError("bottom")\n')
    assert text.count("  File ") == 30


def test_a_frame_whose_source_cannot_be_loaded_is_shown_without_it() -> None:
    class Loader:
        def get_source(self, name: str) -> str:
            raise RuntimeError(name)

    globals_ = {"__name__": "odd", "__loader__": Loader()}
    with pytest.raises(ZeroDivisionError) as caught:
        exec(compile("1 / 0", "<no such file>.py", "exec"), globals_)
    assert Frames.of(caught.value).text().endswith('File "<no such file>.py", line 1, in <module>\n')


def test_a_line_of_source_that_was_changed_meanwhile_is_shown_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(source: str) -> str:
        monkeypatch.setitem(linecache.cache, "shop.py", (len(source), None, [f"{source}\n"], "shop.py"))
        with pytest.raises(ZeroDivisionError) as caught:
            exec(compile("1 / 0", "shop.py", "exec"), {"__name__": "shop"})
        return Frames.of(caught.value).text()

    assert shown("1 / 0  # before").endswith("    1 / 0  # before\n")
    assert shown("1 / 0  # after").endswith("    1 / 0  # after\n")


def test_a_class_that_was_renamed_has_its_new_name() -> None:
    kind = type("Before", (), {"__module__": "shop"})
    assert qualified_name(kind) == "shop.Before"
    kind.__qualname__ = "After"
    assert qualified_name(kind) == "shop.After"


def test_the_place_is_the_innermost_frame_outside_of_libraries() -> None:
    with pytest.raises(ValueError, match="Expecting") as caught:
        json.loads("{")
    line = test_the_place_is_the_innermost_frame_outside_of_libraries.__code__.co_firstlineno + 2
    name = "test_the_place_is_the_innermost_frame_outside_of_libraries"
    assert Frames.of(caught.value).place() == f" at test_text.py:{name}:{line}"


def test_a_traceback_within_libraries_alone_has_its_innermost_frame_as_place() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        exec(compile("1 / 0", "queue.py", "exec"), {"__name__": "queue"})
    alone = caught.value.with_traceback(caught.tb.tb_next)
    assert Frames.of(alone).place() == " at queue.py:<module>:1"


def test_code_without_a_module_name_counts_as_the_application() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        exec(compile("1 / 0", "made.py", "exec"), {"__name__": None})
    assert Frames.of(caught.value).place() == " at made.py:<module>:1"
