"""What a class holds, as msgspec sees it, and what of it would not come back.

Two things get lost in JSON without an error: a float that is not finite is written as null, and where a type leaves
open what it holds (`Any`, `object`, a bare `list` or `dict`) a time comes back as text and a tuple as a list. Events of
classes that may hold such are looked at again when they are encoded; all others cost nothing more than their encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast, final

import msgspec.inspect as inspection
from attrs import frozen

from tocsin_supervisors._text import qualified_name

from ._errors import HOW_TO_GIVE_A_CODEC, UnsupportedType, described
from ._kinds import fields_left_out, has_own_fields, is_validated_by_pydantic


@final
@frozen
class Shape:
    """What of a class has to be looked at when an event of it is encoded."""

    is_open: bool  # something in it may be anything
    has_floats: bool


def shape_of(kind: type) -> Shape:
    """Look at everything that an instance of a class may hold.

    Raise `UnsupportedType`, which names the place, if there is something in it that would be lost or cannot be encoded.
    """
    nodes = list(_walk(kind, _type_info(kind), qualified_name(kind), set()))
    return Shape(
        is_open=any(_is_open(node) for node in nodes),
        has_floats=any(isinstance(node, inspection.FloatType) for node in nodes),
    )


def _type_info(kind: type) -> inspection.Type:
    try:
        return inspection.type_info(kind)
    except NameError as error:
        why = f"an annotation cannot be resolved, {described(error)}: what it names must be at the top of its module"
    except KeyError as error:
        why = f"attribute {error} has no annotation"
    except Exception as error:  # resolving annotations runs whatever is written in them
        why = described(error)
    raise UnsupportedType(kind, f"{why}; {HOW_TO_GIVE_A_CODEC}")


def _walk(kind: type, node: inspection.Type, where: str, seen: set[int]) -> Iterator[inspection.Type]:
    if id(node) in seen:  # a class that holds itself
        return
    seen.add(id(node))
    _refuse_lossy(kind, node, where)
    yield node
    for place, part in _parts(node, where):
        yield from _walk(kind, part, place, seen)


def _parts(node: Any, where: str) -> Iterator[tuple[str, inspection.Type]]:
    """Iterate over the types that *node* is made of, with where each is."""
    for name in node.__struct_fields__:
        value = getattr(node, name)
        for part in cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,):
            if isinstance(part, inspection.Field):
                yield f"{qualified_name(node.cls)}.{part.name}", part.type
            elif isinstance(part, inspection.Type):
                yield where, part


def _refuse_lossy(kind: type, node: inspection.Type, where: str) -> None:
    if isinstance(node, inspection.CustomType) and node.cls is not object:
        raise UnsupportedType(kind, f"{where} holds {qualified_name(node.cls)}; {HOW_TO_GIVE_A_CODEC}")
    if not isinstance(node, inspection.DataclassType):
        return
    if not has_own_fields(node.cls):
        why = f"{qualified_name(node.cls)} inherits from an attrs class or dataclass and is none: decorate it, too"
        raise UnsupportedType(kind, why)
    if is_validated_by_pydantic(node.cls):
        why = f"{where} holds a dataclass of pydantic, whose checks would be left out; {HOW_TO_GIVE_A_CODEC}"
        raise UnsupportedType(kind, why)
    private = fields_left_out(node.cls)
    if private:
        names = ", ".join(f"{qualified_name(node.cls)}.{name}" for name in private)
        raise UnsupportedType(kind, f"private attributes would be lost: {names}. Rename them, or {HOW_TO_GIVE_A_CODEC}")


def _is_open(node: inspection.Type) -> bool:
    if isinstance(node, inspection.DictType) and isinstance(node.key_type, inspection.FloatType):
        return True  # as a key NaN is not written as null
    return isinstance(node, (inspection.AnyType, inspection.CustomType))
