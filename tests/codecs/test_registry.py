"""Names, versions, upgrades, codecs of one's own, caps."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest

from tests.codecs import events
from tests.codecs.events import Model, Order, Point, Shipped, model
from tocsin import Event
from tocsin.codecs import (
    CodecRegistry,
    DecodeError,
    DecodeReason,
    DuplicateTypeName,
    Encoded,
    EncodeError,
    EncodeReason,
    PayloadTooLarge,
    UnsupportedType,
)

ORDER = "tests.codecs.events.Order"


def reason(registry: CodecRegistry, name: Any, version: Any = 1, data: Any = b"{}") -> DecodeReason:
    with pytest.raises(DecodeError) as told:
        registry.decode(name, version, data)
    return told.value.reason


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unregistered_class_is_known_by_its_qualified_name_once_encoded() -> None:
    registry = CodecRegistry()
    encoded = registry.encode(Order("a", 1.5))
    assert encoded == Encoded(ORDER, 1, b'{"id":"a","total":1.5}')
    assert registry.decode(ORDER, 1, encoded.data) == Order("a", 1.5)


def test_a_name_given_by_hand_is_written_and_read() -> None:
    registry = CodecRegistry()
    assert registry.register(Order, name="shop.order", version=3) is Order
    encoded = registry.encode(Order("a", 1.5))
    assert (encoded.name, encoded.version) == ("shop.order", 3)
    assert registry.decode("shop.order", 3, encoded.data) == Order("a", 1.5)
    assert reason(registry, ORDER) is DecodeReason.UNKNOWN_NAME


def test_a_class_can_be_registered_by_a_decorator_that_gives_it_back() -> None:
    registry = CodecRegistry()

    @registry.register(name="shop.cancelled")
    @attrs.frozen
    class Cancelled:
        id: str

    assert registry.encode(Cancelled("a")) == Encoded("shop.cancelled", 1, b'{"id":"a"}')


def test_a_class_that_holds_itself_can_be_registered_by_a_decorator() -> None:
    registry = CodecRegistry()
    registry.register(events.Tree)
    registry.prepare()
    registry.check(events.Tree(events.Tree()))


def test_every_name_is_told_with_the_newest_version_of_its_type() -> None:
    registry = CodecRegistry()
    registry.register(Order, name="shop.order", version=2, upgrade={1: lambda value: value}, former_names=["order"])
    assert registry.versions() == {"tocsin.Event": 1, "shop.order": 2, "order": 2}


def test_a_known_class_is_decoded_before_any_event_of_it_was_encoded() -> None:
    registry = CodecRegistry()
    registry.know([Order, Point, Order])
    assert registry.decode(ORDER, 1, b'{"id":"a","total":1}') == Order("a", 1.0)


def test_classes_without_a_codec_may_be_known_and_are_told_when_data_is_of_them() -> None:
    registry = CodecRegistry()
    registry.know([object, events.Plain])
    registry.prepare()
    assert reason(registry, "builtins.object") is DecodeReason.UNSUPPORTED


def test_data_under_a_former_name_is_read() -> None:
    registry = CodecRegistry()
    registry.register(Order, name="shop.order", former_names=[ORDER])
    assert registry.decode(ORDER, 1, b'{"id":"a","total":1}') == Order("a", 1.0)
    assert registry.encode(Order("a", 1.0)).name == "shop.order"


def test_registering_by_hand_comes_after_know_and_wins() -> None:
    registry = CodecRegistry()
    registry.know([Order])
    registry.register(Order, name="shop.order")
    assert reason(registry, ORDER) is DecodeReason.UNKNOWN_NAME
    registry.know([Order])
    assert registry.encode(Order("a", 1.0)).name == "shop.order"


def test_registering_by_hand_comes_too_late_after_an_event_was_encoded() -> None:
    registry = CodecRegistry()
    registry.encode(Order("a", 1.0))
    with pytest.raises(DuplicateTypeName, match="register it before that") as told:
        registry.register(Order, name="shop.order")
    assert told.value.name == ORDER


def test_a_class_is_registered_once() -> None:
    registry = CodecRegistry()
    registry.register(Order, name="a")
    with pytest.raises(DuplicateTypeName, match=r"Order is registered already under the name 'a'$"):
        registry.register(Order, name="a")


@pytest.mark.parametrize("former", [(), ("b",)])
def test_a_name_is_that_of_one_class(former: tuple[str, ...]) -> None:
    registry = CodecRegistry()
    registry.register(Order, name="a", former_names=former)
    with pytest.raises(DuplicateTypeName, match=r"is that of tests\.codecs\.events\.Order already"):
        registry.register(Point, name="c", former_names=["b" if former else "a"])
    assert registry.encode(Point(1, 2)).name == "tests.codecs.events.Point"


def made() -> type:
    @attrs.frozen
    class Made:
        id: str

    return Made


def test_of_two_classes_of_one_qualified_name_the_second_cannot_be_encoded() -> None:
    registry = CodecRegistry()
    registry.encode(made()("a"))
    with pytest.raises(EncodeError, match="Made already: give it another one"):
        registry.encode(made()("a"))


BAD_NAMES: list[Any] = ["", "a\nb", "\x1b[31m", "\ud800", "ß" * 128, 7, b"a", "a\u202eb"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_is_1_to_255_bytes_of_printable_text(name: Any) -> None:
    with pytest.raises(ValueError, match="1 to 255 bytes of printable text"):
        CodecRegistry().register(Order, name=name)


def test_a_qualified_name_that_is_too_long_asks_for_one_by_hand() -> None:
    kind = attrs.frozen(type("A" * 300, (), {"__annotations__": {"a": int}}))
    with pytest.raises(EncodeError, match=r"registry\.register\(TheClass, name=…\)"):
        CodecRegistry().encode(kind(1))


@pytest.mark.parametrize("kind", [list[int], events.Holder[int], "Order", 7])
def test_only_classes_are_registered(kind: Any) -> None:
    with pytest.raises(TypeError, match="is no class"):
        CodecRegistry().register(kind)


def test_the_registry_says_how_many_types_it_knows() -> None:
    registry = CodecRegistry()
    registry.know([Order])
    assert repr(registry) == "<CodecRegistry of 2 types>"


# ── data that nobody here has written ─────────────────────────────────────────────────────────────────────────────────


HOSTILE_NAMES: list[Any] = [
    "os.system",
    "builtins.object.__class__",
    "colorsys",
    "../../etc/passwd",
    "tests.codecs.events.Order\x00",
    "a'; DROP TABLE events; --",
    "\ud800",
    "x" * 10_000_000,
    "",
    None,
    7,
    b"a",
    ["a"],
    {"a": 1},
    Order,
]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: repr(name)[:20])
def test_a_name_that_is_not_known_is_an_error_and_never_imported(name: Any) -> None:
    before = set(sys.modules)
    with pytest.raises(DecodeError) as told:
        CodecRegistry().decode(name, 1, b"{}")
    assert told.value.reason is DecodeReason.UNKNOWN_NAME
    assert set(sys.modules) == before
    assert len(str(told.value)) < 1_000
    assert str(told.value).isprintable()


@pytest.mark.parametrize("version", [0, -1, 2, 10**30, None, "1", b"1", 1.5, [1], {}])
def test_a_version_that_is_not_known_is_an_error(version: Any) -> None:
    registry = CodecRegistry()
    registry.know([Order])
    assert reason(registry, ORDER, version) is DecodeReason.UNKNOWN_VERSION


@pytest.mark.parametrize("data", [None, "{}", 7, bytearray(b"{}"), memoryview(b"{}"), ["{}"]])
def test_data_must_be_bytes(data: Any) -> None:
    registry = CodecRegistry()
    registry.know([Order])
    assert reason(registry, ORDER, 1, data) is DecodeReason.MALFORMED


# ── caps ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fault_H2_an_event_of_more_bytes_than_allowed_is_refused() -> None:
    registry = CodecRegistry(max_bytes=30)
    assert len(registry.encode("x" * 28).data) == 30
    with pytest.raises(PayloadTooLarge, match="31 bytes, and 30 are allowed") as told:
        registry.encode("x" * 29)
    assert (told.value.size, told.value.limit, told.value.type) == (31, 30, str)
    assert told.value.reason is EncodeReason.TOO_LARGE


def test_more_bytes_than_allowed_are_not_looked_at() -> None:
    registry = CodecRegistry(max_bytes=30)
    registry.know([str])
    assert reason(registry, "builtins.str", 1, b"no JSON" * 10) is DecodeReason.TOO_LARGE
    assert reason(registry, "builtins.str", 1, b"no JSON") is DecodeReason.MALFORMED


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "9", None])
def test_the_cap_is_a_whole_number_of_at_least_1(limit: Any) -> None:
    with pytest.raises(ValueError, match="max_bytes="):
        CodecRegistry(max_bytes=limit)


# ── upgrades ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def with_total(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, "total": value.pop("sum") / 100}


def with_id(value: list[Any]) -> dict[str, Any]:
    return {"id": value[0], "sum": value[1]}


def upgrading() -> CodecRegistry:
    registry = CodecRegistry()
    registry.register(Order, name="order", version=4, upgrade={2: with_id, 3: with_total})
    return registry


@pytest.mark.parametrize(
    ("version", "data"),
    [(2, b'["a", 150]'), (3, b'{"id": "a", "sum": 150}'), (4, b'{"id": "a", "total": 1.5}')],
)
def test_older_data_goes_through_each_upgrade_from_its_version_on(version: int, data: bytes) -> None:
    assert upgrading().decode("order", version, data) == Order("a", 1.5)


def test_a_model_is_upgraded_as_well() -> None:
    registry = CodecRegistry()
    registry.register(Model, name="model", version=2, upgrade={1: lambda value: {"id": value}})
    assert registry.decode("model", 1, b'"a"') == model("a")


@pytest.mark.parametrize(
    ("version", "text"),
    [(5, "is newer than version 4, the newest known here"), (1, "there is no upgrade from it to version 4")],
)
def test_a_version_without_a_way_to_the_current_one_is_an_error(version: int, text: str) -> None:
    with pytest.raises(DecodeError, match=text) as told:
        upgrading().decode("order", version, b"[]")
    assert told.value.reason is DecodeReason.UNKNOWN_VERSION


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"{}",
        b"no JSON",
        b'["a", NaN]',
        b'["a", 1e999]',
        b"\xff",
        b'{"a":1,"a":1}',
        b"[" * 100_000,
        b'["\\ud800",1]',
    ],
)
def test_data_that_an_upgrade_cannot_take_is_an_error(data: bytes) -> None:
    assert reason(upgrading(), "order", 2, data) is DecodeReason.UPGRADE_FAILED


def test_an_upgrade_may_lead_to_what_is_no_event() -> None:
    registry = CodecRegistry()
    registry.register(Order, name="order", version=2, upgrade={1: lambda value: value})
    assert reason(registry, "order", 1, b"7") is DecodeReason.MALFORMED


@pytest.mark.parametrize(
    ("version", "upgrade"),
    [(1, {1: str}), (3, {1: str}), (3, {0: str, 1: str, 2: str}), (2, {"1": str}), (3, {2: str, 5: str})],
)
def test_upgrades_lead_without_a_gap_to_the_current_version(version: int, upgrade: Any) -> None:
    with pytest.raises(ValueError, match="one for each version"):
        CodecRegistry().register(Order, version=version, upgrade=upgrade)


def test_an_upgrade_is_a_function() -> None:
    with pytest.raises(TypeError, match=r"upgrade\[1\]=7: must be a function"):
        CodecRegistry().register(Order, version=2, upgrade={1: 7})  # type: ignore[dict-item]  # pyright: ignore


@pytest.mark.parametrize("version", [0, -1, True, 1.0, "1"])
def test_a_version_is_a_whole_number_of_at_least_1(version: Any) -> None:
    with pytest.raises(ValueError, match="version="):
        CodecRegistry().register(Order, version=version)


# ── codecs of one's own ───────────────────────────────────────────────────────────────────────────────────────────────


class Hexadecimal:
    """A codec that does what it is told."""

    def __init__(self, encoded: object = b"", decoded: object = None) -> None:
        self.encoded, self.decoded = encoded, decoded

    def encode(self, event: Any, /) -> Any:
        if isinstance(self.encoded, BaseException):
            raise self.encoded
        return self.encoded

    def decode(self, data: bytes, /) -> Any:
        if isinstance(self.decoded, BaseException):
            raise self.decoded
        return self.decoded


def with_codec(encoded: object = b"", decoded: object = None) -> CodecRegistry:
    registry = CodecRegistry()
    registry.register(events.Plain, name="plain", codec=Hexadecimal(encoded, decoded))
    return registry


def test_a_codec_of_ones_own_serves_a_class_that_has_none() -> None:
    plain = events.Plain()
    registry = with_codec(b"ff", plain)
    registry.prepare()
    assert registry.encode(plain) == Encoded("plain", 1, b"ff")
    assert registry.decode("plain", 1, b"ff") is plain


class Own(Exception):
    pass


@pytest.mark.parametrize(
    "error", [Own("mine"), RecursionError(), MemoryError(), EncodeError(EncodeReason.FAILED, "mine")]
)
def test_what_a_codec_raises_is_wrapped(error: Exception) -> None:
    registry = with_codec(error, error)
    with pytest.raises(EncodeError) as told:
        registry.encode(events.Plain())
    assert error in (told.value, told.value.__cause__)
    with pytest.raises(DecodeError) as told_too:
        registry.decode("plain", 1, b"")
    assert told_too.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_is_not_wrapped(error: type[BaseException]) -> None:
    registry = with_codec(error(), error())
    with pytest.raises(error):
        registry.encode(events.Plain())
    with pytest.raises(error):
        registry.decode("plain", 1, b"")


def test_a_codec_must_return_bytes() -> None:
    with pytest.raises(EncodeError, match=r"encode\(\) returned 'ff': must be bytes"):
        with_codec("ff").encode(events.Plain())


@pytest.mark.parametrize("decoded", [None, Order("a", 1.0)])
def test_a_codec_must_return_an_event_of_its_class(decoded: object) -> None:
    with pytest.raises(DecodeError, match=r"must be an instance of tests\.codecs\.events\.Plain"):
        with_codec(b"", decoded).decode("plain", 1, b"")


def test_validators_of_the_class_run_when_data_is_decoded() -> None:
    @attrs.frozen
    class Positive:
        number: int = attrs.field(validator=attrs.validators.gt(0))

        def __attrs_post_init__(self) -> None:
            if self.number == 7:
                raise Own("not seven")

    registry = CodecRegistry()
    registry.register(Positive, name="positive")
    for data, why in ((b'{"number":-1}', "must be > 0"), (b'{"number":7}', "Own: not seven")):
        with pytest.raises(DecodeError, match=why):
            registry.decode("positive", 1, data)


def test_check_tells_a_codec_that_returns_another_event() -> None:
    registry = CodecRegistry()
    registry.register(Shipped, name="shipped", codec=Hexadecimal(b"", Shipped("a", 2)))
    with pytest.raises(EncodeError, match=r"event\._private is 1 and would be 2"):
        registry.check(Shipped("a", 1))


# ── threads ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.real_time
def test_threads_that_encode_the_first_event_at_once_agree() -> None:
    threads = 4
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(50):
            registry, barrier = CodecRegistry(), threading.Barrier(threads)

            def first(registry: CodecRegistry = registry, barrier: threading.Barrier = barrier) -> object:
                barrier.wait(10)
                encoded = registry.encode(events.EVERYTHING)
                return registry.decode(encoded.name, encoded.version, encoded.data)

            futures = [pool.submit(first) for _ in range(threads)]
            assert [future.result(10) for future in futures] == [events.EVERYTHING] * threads


LATE_REGISTRATIONS: list[Any] = []


def registers_by_hand() -> type:
    """Stand in an annotation: it is called while the codec of its class is made."""
    while LATE_REGISTRATIONS:
        LATE_REGISTRATIONS.pop()()
    return str


def test_a_class_registered_by_hand_while_its_codec_is_made_gets_the_name_given_by_hand() -> None:
    registry = CodecRegistry()
    annotations = {"id": "registers_by_hand()"}
    late = attrs.define(type("Late", (), {"__annotations__": annotations, "__module__": __name__}))
    LATE_REGISTRATIONS.append(lambda: registry.register(late, name="by.hand"))
    assert registry.encode(late("a")) == Encoded("by.hand", 1, b'{"id":"a"}')
    assert reason(registry, f"{__name__}.Late") is DecodeReason.UNKNOWN_NAME


def test_tocsins_own_event_is_known_from_the_start() -> None:
    encoded = CodecRegistry().encode(Event("order.placed", {"id": 7}))
    assert encoded.name == "tocsin.Event"
    assert CodecRegistry().decode(encoded.name, 1, encoded.data) == Event("order.placed", {"id": 7})


def test_registering_refuses_a_hopeless_class_at_once() -> None:
    with pytest.raises(UnsupportedType, match="no attrs class"):
        CodecRegistry().register(events.Plain)
