"""Which classes have a codec by their kind, and what comes back."""

from __future__ import annotations

import sys
from typing import Any

import attrs
import pytest

from tests.codecs import events
from tests.codecs.events import (
    EVERYTHING,
    KINDS,
    UNSUPPORTED,
    Base,
    ByIdentity,
    Derived,
    Holder,
    Inner,
    Model,
    Order,
    model,
)
from tocsin import Event
from tocsin.codecs import CodecRegistry, DecodeError, EncodeError, EncodeReason, UnsupportedType


def by_class(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def attributes(value: object) -> object:
    return attrs.asdict(value) if isinstance(value, ByIdentity) else value


@pytest.mark.parametrize("event", KINDS, ids=by_class)
def test_an_event_comes_back_as_it_was(event: object) -> None:
    registry = CodecRegistry()
    encoded = registry.encode(event)
    back = registry.decode(encoded.name, encoded.version, encoded.data)
    assert type(back) is type(event)
    assert repr(attributes(back)) == repr(attributes(event))
    registry.check(event)


def registered_and_prepared(registry: CodecRegistry, kind: type) -> None:
    registry.register(kind)
    registry.prepare()


@pytest.mark.parametrize(("kind", "why"), UNSUPPORTED.items(), ids=by_class)
def test_a_class_without_a_codec_is_refused_with_the_reason(kind: type, why: str) -> None:
    registry = CodecRegistry()
    with pytest.raises(UnsupportedType) as told:
        registered_and_prepared(registry, kind)
    assert why in str(told.value)
    assert told.value.type is kind


def test_an_event_without_a_codec_cannot_be_encoded() -> None:
    with pytest.raises(EncodeError, match=r"events\.Plain.*registry\.register\(TheClass, codec=…\)") as told:
        CodecRegistry().encode(events.Plain())
    assert (told.value.reason, told.value.type) == (EncodeReason.UNSUPPORTED, events.Plain)


@attrs.define
class MaybeReal:
    real: float | None


@attrs.define
class RealKeys:
    counts: dict[float, int]


def test_floats_may_be_keys() -> None:
    CodecRegistry().check(RealKeys({1.5: 1, -0.25: 2}))


LOSSY: dict[str, tuple[object, str]] = {
    "nan": (Order("o", float("nan")), r"event\['total'\] is nan"),
    "infinity": (Order("o", float("-inf")), r"event\['total'\] is -inf"),
    "nan where None is allowed": (MaybeReal(float("nan")), r"event\['real'\] is nan"),
    "nan deep down": (
        attrs.evolve(EVERYTHING, orders=[Order("o", float("inf"))]),
        r"\['orders'\]\[0\]\['total'\] is inf",
    ),
    "nan of a model": (model("o", real=float("nan")), r"event\['real'\] is nan"),
    "bare nan": (float("nan"), "the event is nan"),
    "nan where anything is allowed": (Holder(float("nan")), r"event\.held is nan and would be None"),
    "nan as a key of floats": (RealKeys({float("nan"): 1}), r"event\.counts"),
    "nan as a key": (Holder({float("nan"): 1}), r"event\.held"),
    "tuple": (Event("a", {"x": (1, 2)}), r"event\.payload\['x'\] is \(1, 2\) and would be \[1, 2\]"),
    "time": (Holder([EVERYTHING.when]), r"event\.held\[0\] is datetime"),
    "class": (Holder(Order("o", 1.0)), r"event\.held is Order"),
    "number as a key": (Holder({"a": 0, 1: 2}), r"event\.held\[1\] is 2 and would be nothing"),
    "keys that become one": (Holder({1: 2, "1": 3}), r"event\.held\[1\] is 2"),
    "by identity": (ByIdentity((1,)), r"event\.a is \(1,\)"),
}


@pytest.mark.parametrize(("event", "difference"), LOSSY.values(), ids=LOSSY.keys())
def test_an_event_that_json_would_change_without_an_error_is_refused(event: object, difference: str) -> None:
    with pytest.raises(EncodeError, match=difference) as told:
        CodecRegistry().encode(event)
    assert told.value.reason is EncodeReason.ALTERED


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


FAILING: dict[str, tuple[object, str]] = {
    "lone surrogate": (Order("\ud800", 1.0), "UnicodeEncodeError"),
    "lone surrogate of a model": (model("\ud800"), "surrogates not allowed"),
    "number of 6,000 digits": (2**20_000, "limit"),
    "nested too deep": (deep(100_000), "RecursionError"),
    "no plain value": (Holder(object()), "object"),
    "a model that lies": (Model.model_construct(id=3), "PydanticSerialization"),
}


@pytest.mark.parametrize(("event", "why"), FAILING.values(), ids=FAILING.keys())
def test_fault_H3_what_cannot_be_encoded_is_an_encode_error(event: object, why: str) -> None:
    with pytest.raises(EncodeError, match=why) as told:
        CodecRegistry().encode(event)
    assert told.value.reason is EncodeReason.FAILED


@attrs.frozen
class OnceOnly:
    value: Any

    def __attrs_post_init__(self) -> None:
        if self.value == "twice":
            raise ValueError("not again")


def test_an_open_event_that_cannot_be_read_again_is_refused() -> None:
    event = OnceOnly("once")
    object.__setattr__(event, "value", "twice")
    with pytest.raises(EncodeError, match=r"cannot be read again, .*not again"):
        CodecRegistry().encode(event)


def test_what_a_subclass_adds_is_lost_in_a_field_of_its_base_and_check_tells() -> None:
    @attrs.frozen
    class Holds:
        base: Base

    registry = CodecRegistry()
    registry.encode(Holds(Derived(1, 2)))  # a type cannot tell what else there may be
    with pytest.raises(EncodeError, match=r"event\.base is Derived"):
        registry.check(Holds(Derived(1, 2)))


DAMAGED: dict[str, tuple[type, bytes]] = {
    "text for a number": (Order, b'{"id": "a", "total": "1"}'),
    "number for text": (Order, b'{"id": 1, "total": 1.5}'),
    "null": (Order, b"null"),
    "attribute missing": (Order, b'{"id": "a"}'),
    "nan": (Order, b'{"id": "a", "total": NaN}'),
    "out of range": (Order, b'{"id": "a", "total": 1e999}'),
    "surrogate": (Order, b'{"id": "\\ud800", "total": 1}'),
    "no UTF-8": (Order, b'{"id": "\xff", "total": 1}'),
    "empty": (Order, b""),
    "two values": (Order, b"{}{}"),
    "5,000 digits": (int, b"1" * 5_000),
    "nested": (list, b"[" * 100_000 + b"]" * 100_000),
    "nested class": (events.Tree, b'{"left":' * 100_000 + b"null" + b"}" * 100_000),
    "nested model": (Model, b'{"id":' * 100_000),
    "model with more": (Model, b'{"id": "a", "more": 1}'),
    "unknown colour": (events.Colour, b'"green"'),
    "hostile topic": (Event, b'{"type": "a\\u001b[31m"}'),
}


@pytest.mark.parametrize(("kind", "data"), DAMAGED.values(), ids=DAMAGED.keys())
def test_data_that_is_not_of_its_type_is_a_decode_error(kind: type, data: bytes) -> None:
    registry = CodecRegistry()
    registry.know([kind])
    name = "tocsin.Event" if kind is Event else f"{kind.__module__}.{kind.__qualname__}"
    with pytest.raises(DecodeError) as told:
        registry.decode(name, 1, data)
    assert told.value.reason == "malformed"
    assert (told.value.name, told.value.version) == (name, 1)
    assert len(str(told.value)) < 1_000


def test_converters_do_not_run_again() -> None:
    registry = CodecRegistry()
    encoded = registry.encode(events.Doubled(2))
    assert registry.decode(encoded.name, 1, encoded.data).a == 4


def test_what_a_newer_program_has_added_is_left_out() -> None:
    registry = CodecRegistry()
    encoded = registry.encode(Order("a", 1.0))
    assert registry.decode(encoded.name, 1, encoded.data[:-1] + b',"more":1}') == Order("a", 1.0)


def test_a_model_is_written_by_the_names_of_its_fields() -> None:
    data = CodecRegistry().encode(model("a", inner=Inner(Size=1))).data
    assert data == b'{"id":"a","inner":{"size":1},"real":null,"when":null}'


def test_without_msgspec_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tocsin.codecs._structured", raising=False)
    monkeypatch.setitem(sys.modules, "msgspec", None)
    registry = CodecRegistry()
    registry.register(Order)
    with pytest.raises(ImportError, match=r"pip install 'tocsin\[durable\]'"):
        registry.prepare()
    with pytest.raises(EncodeError, match=r"pip install 'tocsin\[durable\]'"):
        registry.encode(Order("a", 1.0))
    registry.check(model("a"))
