"""Classes of events, one of each kind, and some that have no codec."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar
from uuid import UUID

import attrs
import msgspec
import pydantic
import pydantic.dataclasses

from tocsin import Event

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Weight(enum.IntEnum):
    LIGHT = 1
    HEAVY = 2


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Address(TypedDict):
    street: str
    number: int


@attrs.frozen
class Order:
    id: str
    total: float


@attrs.frozen
class Everything:
    yes: bool
    whole: int
    real: float
    text: str
    raw: bytes
    when: datetime
    day: date
    hour: time
    span: timedelta
    key: UUID
    price: Decimal
    colour: Colour
    weight: Weight
    rights: Rights
    address: Address
    orders: list[Order]
    counts: dict[int, str]
    pair: tuple[int, str]
    tags: frozenset[str]
    named: Mapping[str, Order]
    none: None = None
    maybe: Order | None = None
    one_of: int | str = 0


EVERYTHING = Everything(
    True,
    -7,
    0.1,
    "é\x00\u2028",
    b"\x00\xff",
    datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=timezone(timedelta(hours=-3))),
    date(2026, 3, 4),
    time(5, 6, 7),
    timedelta(days=-400, microseconds=1),
    UUID(int=5),
    Decimal("1.10"),
    Colour.BLUE,
    Weight.HEAVY,
    Rights.READ | Rights.WRITE,
    {"street": "Main", "number": 1},
    [Order("o-1", 9.5)],
    {1: "one"},
    (1, "one"),
    frozenset({"a"}),  # one: the order of more differs from run to run
    {"a": Order("o-2", 0.0)},
)


@dataclass(frozen=True, slots=True)
class Shipped:
    id: str
    _private: int
    parcels: list[str] = field(default_factory=list[str])


class Paid(msgspec.Struct, frozen=True):
    id: str
    _private: int = 3


class Point(NamedTuple):
    x: int
    y: int


class Inner(pydantic.BaseModel):
    size: int = pydantic.Field(alias="Size")


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    id: str = pydantic.Field(validation_alias="ID", serialization_alias="Id")
    inner: Inner | None = None
    real: float | None = None
    when: datetime | None = None

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> str:
        return self.id * 2


def model(id: str, **more: object) -> Model:
    return Model.model_validate({"ID": id, **more})


@attrs.define
class Computed:
    a: int
    b: int = attrs.field(init=False)
    _cache: dict[str, int] = attrs.field(init=False, factory=dict[str, int], eq=False)

    def __attrs_post_init__(self) -> None:
        self.b = self.a * 2


@attrs.define(slots=False)
class Base:
    a: int = attrs.field(alias="z")


@attrs.define
class Derived(Base):
    b: int = 0


@attrs.define
class Tree:
    left: Tree | None = None


def twice(value: int) -> int:
    return value * 2


@attrs.define
class Doubled:
    a: int = attrs.field(converter=twice)


@attrs.define
class Holder(Generic[T]):
    held: T


@attrs.define(eq=False)
class ByIdentity:
    a: Any
    b: Order | None = None


KINDS: list[object] = [
    Order("o-1", 1.5),
    EVERYTHING,
    Shipped("o-1", 5, ["a"]),
    Paid("o-1", 4),
    Point(1, 2),
    model("o-1", inner=Inner(Size=4), real=1.5, when=datetime(2026, 1, 1)),
    model("o-1"),
    Computed(4),
    Derived(1, 2),
    Tree(Tree(Tree())),
    Doubled(2),
    Holder[object]({"a": [1, None]}),
    ByIdentity([1], Order("", 0.0)),
    ByIdentity(None),
    Colour.RED,
    Event("order.placed", {"id": 7, "tags": ["a"]}, schema_version=3),
    None,
    True,
    2**80,
    1.5,
    "text",
    b"\xff",
    [1, "a", None],
    {"a": {"b": 1.5}},
    (),
    datetime(2026, 1, 1),
    Decimal("NaN"),
    UUID(int=1),
]


# ── classes without a codec ───────────────────────────────────────────────────────────────────────────────────────────


class Plain:
    pass


class Undecorated(Order):
    pass


@attrs.define
class HoldsUndecorated:
    held: Undecorated


class Mixed(enum.Enum):
    A = 1
    B = "b"


@attrs.define
class HoldsPath:
    orders: list[dict[str, Path]]


@attrs.define
class Private:
    _x: int = 0


@attrs.define
class HoldsPrivate:
    held: Private | None = None


@attrs.define
class PrivateWithoutDefault:
    a: int
    _b: int = attrs.field(init=False)


@dataclass
class WithInitVar:
    a: int
    b: InitVar[int]


@attrs.define
class Two:
    a: Order | Derived


@attrs.define
class Function:
    call: Callable[[], None]


@pydantic.dataclasses.dataclass
class CheckedDataclass:
    a: int


@attrs.define
class HoldsChecked:
    held: CheckedDataclass


WITHOUT_ANNOTATION: type = attrs.make_class("WITHOUT_ANNOTATION", ["x"])


def of_a_function() -> type:
    @attrs.define
    class Local:
        other: Other

    @attrs.define
    class Other:
        a: int

    return Local


UNSUPPORTED: dict[type, str] = {
    Plain: "no attrs class",
    object: "no attrs class",
    ValueError: "no attrs class",
    complex: "no attrs class",
    Undecorated: "no attrs class",
    HoldsUndecorated: "Undecorated inherits from an attrs class or dataclass and is none: decorate it",
    Mixed: "Enums must contain either all str or all int",
    HoldsPath: "HoldsPath.orders holds pathlib",
    Private: "Private._x",
    HoldsPrivate: "Private._x",
    PrivateWithoutDefault: "PrivateWithoutDefault._b",
    WithInitVar: "InitVar",
    Two: "Type unions may not contain more than one",
    Function: "Function.call holds",
    CheckedDataclass: "dataclass of pydantic",
    HoldsChecked: "HoldsChecked.held holds a dataclass of pydantic",
    WITHOUT_ANNOTATION: "attribute 'x' has no annotation",
    of_a_function(): "'Other' is not defined",
}
