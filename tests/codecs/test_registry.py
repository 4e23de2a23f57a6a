"""How events become bytes, and come back; and that no bytes do anything else than fail."""

from __future__ import annotations

import ast
import datetime as dt
import decimal
import enum
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin import Event
from tocsin.codecs import Codec, CodecRegistry, DecodeError, Encoded, EncodeError

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)

TOKEN = uuid.UUID(int=7)


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Line:
    article: str
    amount: int = 1


@attrs.frozen(kw_only=True)
class Placed:
    number: int
    lines: tuple[Line, ...] = ()
    at: dt.datetime = NOW
    price: decimal.Decimal = decimal.Decimal("1.50")
    token: uuid.UUID = TOKEN
    colour: Colour = Colour.RED
    body: bytes = b"\x00\xff"
    note: str | None = None
    weight: float = 1.5


@dataclass
class Moved:
    number: int
    to: list[str] = field(default_factory=list)


class Counted(msgspec.Struct):
    number: int


class Pair(NamedTuple):
    left: int
    right: str


class Model(pydantic.BaseModel):
    number: int
    at: dt.datetime


class Stranger:
    pass


@attrs.frozen
class Picky:
    number: int = attrs.field(validator=attrs.validators.ge(0))


EVENTS = [
    Placed(number=1, lines=(Line("a"), Line("b", 2)), note="x"),
    Placed(number=2, weight=float("inf")),
    Moved(1, ["here"]),
    Counted(1),
    Pair(1, "b"),
    Model(number=1, at=NOW),
    Event("order.placed", {"id": 7, "of": [1, None, 2.5, b"bytes"]}),
    {"plain": [1, 2.5, None, True, "text"]},
    ["a", b"b"],
    "text",
    7,
    1.5,
    b"bytes",
    True,
    None,
]


def other_process(*kinds: type) -> CodecRegistry:
    """Give a registry that has seen none of the events, and knows *kinds*."""
    registry = CodecRegistry()
    registry.know(kinds)
    return registry


@pytest.mark.parametrize("event", EVENTS, ids=range(len(EVENTS)))
def test_an_event_comes_back_as_it_was_in_another_process(event: Any) -> None:
    encoded = CodecRegistry().encode(event)
    kind: Any = event.__class__
    assert other_process(kind).decode(encoded.name, encoded.version, encoded.data) == event
    CodecRegistry().check(event)


def test_not_a_number_comes_back_as_not_a_number() -> None:
    registry = CodecRegistry()
    encoded = registry.encode(Placed(number=1, weight=float("nan")))
    weight = registry.decode(encoded.name, encoded.version, encoded.data).weight
    assert weight != weight


@given(
    event=st.builds(
        Placed,
        number=st.integers(-(2**63), 2**63 - 1),
        lines=st.lists(st.builds(Line, st.text(), st.integers(0, 9)), max_size=3).map(tuple),
        note=st.none() | st.text(),
        body=st.binary(),
        weight=st.floats(allow_nan=False),
        price=st.decimals(allow_nan=False, places=3),
        token=st.uuids(),
    )
)
def test_whatever_the_fields_say_they_come_back(event: Placed) -> None:
    CodecRegistry().check(event)


def test_a_type_has_its_qualified_name_unless_it_is_given_another() -> None:
    registry = CodecRegistry()
    registry.register(Line, name="shop.line", version=3)
    assert registry.encode(Line("a")).name == "shop.line"
    assert registry.encode(Line("a")).version == 3
    assert registry.encode(Moved(1)).name == f"{__name__}.Moved"


def test_a_type_can_be_registered_where_it_is_defined() -> None:
    registry = CodecRegistry()

    def to_text(old: dict[str, Any]) -> dict[str, Any]:
        return {"text": old["body"]}

    @registry.registered(name="note", version=2, upgrades={1: to_text})
    @attrs.frozen
    class Note:
        text: str

    assert registry.encode(Note("a")).name == "note"
    assert registry.decode("note", 1, msgspec.msgpack.encode({"body": "old"})) == Note("old")


def test_two_types_cannot_have_one_name() -> None:
    registry = CodecRegistry()
    registry.register(Line, name="line")
    with pytest.raises(ValueError, match=r"the name 'line' is that of .*Line.*give .*Moved.* one of its own"):
        registry.register(Moved, name="line")


def test_a_type_that_is_registered_anew_has_its_new_name_only() -> None:
    registry = CodecRegistry()
    data = registry.encode(Line("a"))
    registry.register(Line, name="line")
    with pytest.raises(DecodeError, match="no type of this name is known"):
        registry.decode(data.name, 1, data.data)
    registry.know([Line])  # has one
    assert registry.encode(Line("a")).name == "line"


def test_two_classes_of_one_qualified_name_are_told_apart_or_refused() -> None:
    def local() -> Any:
        @attrs.frozen
        class Same:
            number: int

        return Same

    registry, one, other = CodecRegistry(), local(), local()
    registry.encode(one(1))
    registry.know([other])
    with pytest.raises(EncodeError, match=r"give .* one of its own, register\(…, name=…\)"):
        registry.encode(other(1))


# ── what cannot be encoded ──


@pytest.mark.parametrize("event", [Stranger(), object(), print, {"a": Stranger()}, 2**64, [2**70]], ids=range(6))
def test_fault_H3_what_cannot_be_encoded_is_refused_with_what_to_do(event: object) -> None:
    with pytest.raises(EncodeError, match=r"it cannot be encoded .* attrs class or dataclass .* or register a codec"):
        CodecRegistry().encode(event)


def test_fault_H2_an_event_that_is_too_large_is_refused() -> None:
    with pytest.raises(EncodeError, match="it takes 2005 bytes, more than max_bytes=2000: publish a reference"):
        CodecRegistry(max_bytes=2000).encode(b"x" * 2002)


def test_an_event_that_contains_itself_is_refused() -> None:
    event: list[Any] = []
    event.append(event)
    with pytest.raises(EncodeError, match="RecursionError"):
        CodecRegistry().encode(event)


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_a_limit_must_be_a_number_of_bytes(size: Any) -> None:
    with pytest.raises(ValueError, match=r"max_bytes=.*must be a whole number of bytes"):
        CodecRegistry(max_bytes=size)


# ── what cannot be decoded ──


def test_a_name_that_is_not_known_is_an_error_and_never_an_import() -> None:
    sys.modules.pop("antigravity", None)
    with pytest.raises(DecodeError, match=r"antigravity.fly: no type of this name is known: register it"):
        CodecRegistry().decode("antigravity.fly", 1, b"")
    assert "antigravity" not in sys.modules


def test_a_hostile_name_is_shown_harmlessly() -> None:
    with pytest.raises(DecodeError) as caught:
        CodecRegistry().decode("\x1b]52;c;evil\x07\n", 1, b"")
    assert str(caught.value).isprintable()


def test_bytes_of_another_form_are_an_error() -> None:
    registry = other_process(Line)
    with pytest.raises(DecodeError, match=r"Line: its bytes cannot be read .*ValidationError.*Expected `int`"):
        registry.decode(f"{__name__}.Line", 1, msgspec.msgpack.encode({"article": "a", "amount": "two"}))


def test_what_the_class_itself_refuses_is_an_error() -> None:
    registry = other_process(Picky)
    with pytest.raises(DecodeError, match="Picky: its bytes cannot be read"):
        registry.decode(f"{__name__}.Picky", 1, msgspec.msgpack.encode({"number": -1}))


def test_bytes_that_are_too_many_are_not_even_looked_at() -> None:
    registry = CodecRegistry(max_bytes=10)
    registry.know([bytes])
    with pytest.raises(DecodeError, match="11 bytes are more than max_bytes=10"):
        registry.decode("builtins.bytes", 1, b"x" * 11)


def test_bytes_that_nest_too_deeply_are_an_error() -> None:
    registry = other_process(list)
    with pytest.raises(DecodeError, match="RecursionError"):
        registry.decode("builtins.list", 1, b"\x91" * 100_000)


@pytest.mark.parametrize("examples", [500, pytest.param(100_000, marks=pytest.mark.slow)])
def test_fault_H10_whatever_the_bytes_are_nothing_but_a_decode_error_comes_out(examples: int) -> None:
    registry = other_process(Placed, Moved, Counted, Pair, Model)
    whole = {kind: registry.encode(event).data for event in EVENTS for kind in [type(event)]}
    names = {Placed: "Placed", Moved: "Moved", Counted: "Counted", Pair: "Pair", Model: "Model"}

    @settings(max_examples=examples)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(list(names)))
        changed = bytearray(whole[kind])
        for place in data.draw(st.lists(st.integers(0, len(changed) - 1), max_size=4)):
            changed[place] = data.draw(st.integers(0, 255))
        raw = bytes(changed[: data.draw(st.integers(0, len(changed)))])
        for each in (raw, data.draw(st.binary(max_size=30))):
            try:
                event = registry.decode(f"{__name__}.{names[kind]}", 1, each)
            except DecodeError:
                continue
            assert type(event) is kind

    check()


# ── versions ──


def renamed(old: dict[str, Any]) -> dict[str, Any]:
    return {"article": old["name"], "amount": old.get("count", 1)}


def doubled(old: dict[str, Any]) -> dict[str, Any]:
    return {**old, "amount": old["amount"] * 2}


def test_what_was_written_in_an_older_form_is_brought_up_to_date_step_by_step() -> None:
    registry = CodecRegistry()
    registry.register(Line, name="line", version=3, upgrades={1: renamed, 2: doubled})
    assert registry.decode("line", 1, msgspec.msgpack.encode({"name": "a", "count": 2})) == Line("a", 4)
    assert registry.decode("line", 2, msgspec.msgpack.encode({"article": "a", "amount": 2})) == Line("a", 4)
    assert registry.decode("line", 3, msgspec.msgpack.encode({"article": "a", "amount": 2})) == Line("a", 2)


def test_models_of_pydantic_are_brought_up_to_date_too() -> None:
    registry = CodecRegistry()
    registry.register(Model, name="model", version=2, upgrades={1: lambda old: {**old, "number": old["number"] + 1}})
    data = Model(number=1, at=NOW).model_dump_json().encode()
    assert registry.decode("model", 1, data) == Model(number=2, at=NOW)


@pytest.mark.parametrize("version", [0, 1, 4, -1])
def test_a_version_from_which_no_way_leads_here_is_an_error(version: int) -> None:
    registry = CodecRegistry()
    registry.register(Line, name="line", version=3, upgrades={2: doubled})
    with pytest.raises(DecodeError, match=rf"it is of version {version}, and versions \[2\] can be brought up to"):
        registry.decode("line", version, b"")


def test_an_upgrade_that_fails_is_a_decode_error() -> None:
    registry = CodecRegistry()
    registry.register(Line, name="line", version=2, upgrades={1: renamed})
    with pytest.raises(DecodeError, match="KeyError: 'name'"):
        registry.decode("line", 1, msgspec.msgpack.encode({}))


@pytest.mark.parametrize("upgrades", [{1: renamed, 3: renamed}, {4: renamed}, {0: renamed}, {1: renamed, 2: renamed}])
def test_upgrades_must_lead_from_version_to_version(upgrades: dict[int, Callable[[Any], Any]]) -> None:
    with pytest.raises(ValueError, match="must lead from one version to the next"):
        CodecRegistry().register(Line, version=4, upgrades=upgrades)


# ── a codec of one's own ──


class OfStrangers:
    def encode(self, event: Any, /) -> bytes:
        return b"stranger"

    def decode(self, data: bytes, /) -> Any:
        if data != b"stranger":
            raise OSError(data)
        return Stranger()


def test_a_type_may_have_a_codec_of_its_own() -> None:
    codec: Codec = OfStrangers()
    registry = CodecRegistry()
    registry.register(Stranger, name="stranger", version=2, codec=codec)
    assert registry.encode(Stranger()) == Encoded("stranger", 2, b"stranger")
    assert type(registry.decode("stranger", 1, b"stranger")) is Stranger
    with pytest.raises(DecodeError, match="OSError"):
        registry.decode("stranger", 2, b"other")
    registry.check(Stranger())


def test_a_codec_of_its_own_reads_what_is_old_itself() -> None:
    with pytest.raises(ValueError, match="has a codec of its own, which reads what is old itself"):
        CodecRegistry().register(Stranger, version=2, codec=OfStrangers(), upgrades={1: renamed})


def test_a_check_finds_what_does_not_come_back() -> None:
    @attrs.frozen
    class Vague:
        line: Any

    with pytest.raises(DecodeError, match="came back as"):
        CodecRegistry().check(Vague((1, 2)))


# ── headers ──


def test_headers_of_plain_values_come_back() -> None:
    registry = CodecRegistry()
    headers = {"a": 1, "b": [b"x", None, {"c": 2.5}]}
    assert registry.decode_headers(registry.encode_headers(headers)) == headers


def test_a_header_that_is_not_plain_is_named() -> None:
    with pytest.raises(EncodeError, match=r"the header two has a value that cannot be encoded: <.*Stranger"):
        CodecRegistry().encode_headers({"one": 1, "two": Stranger()})


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01", b"\x81\x01\x01"])
def test_headers_that_are_none_are_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError, match="headers: their bytes cannot be read"):
        CodecRegistry().decode_headers(data)


# ── what it stands on ──


def test_without_msgspec_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(ImportError, match=r'pip install "tocsin\[durable\]"'):
        CodecRegistry().encode(Line("a"))
    registry = other_process(Line)
    with pytest.raises(ImportError, match="msgspec"):
        registry.decode(f"{__name__}.Line", 1, b"")


def test_nothing_in_the_package_can_run_what_bytes_say() -> None:
    root = Path(__file__).resolve().parents[2] / "runtime" / "tocsin"
    for path in root.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            alias.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
        }
        assert not names & {"pickle", "marshal", "shelve", "dill", "cloudpickle"}, path
