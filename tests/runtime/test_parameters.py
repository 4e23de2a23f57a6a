"""The parameters of handlers: those that `inspect` gives, read from the code where there is nothing to find out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest

from tests.runtime.test_handlers import SHAPES
from tocsin._parameters import parameters_of


def two(event: object, delivery: object = 5) -> None: ...


def none() -> None: ...


def annotated(event: object) -> None: ...


annotated.__dict__["__signature__"] = inspect.signature(two)

HANDLERS: dict[str, Callable[..., Any]] = {
    **{name: shape[0] for name, shape in SHAPES.items() if inspect.isfunction(shape[0]) or inspect.ismethod(shape[0])},
    "a default": two,
    "none": none,
    "bound, all of it": MethodType(two, object()),
    "says otherwise": annotated,
}


def signature_of(handler: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    own = inspect.signature(handler, follow_wrapped=False)
    if any(each.kind is each.VAR_POSITIONAL for each in own.parameters.values()):
        own = inspect.signature(handler)
    return [(each.name, each.kind, each.default) for each in own.parameters.values()]


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_they_are_those_of_the_signature(handler: Callable[..., Any]) -> None:
    found = parameters_of(handler)
    assert found is not None
    assert [(each.name, each.kind, each.default) for each in found] == signature_of(handler)


@pytest.mark.parametrize("handler", [MethodType(none, object()), type], ids=["without room for itself", "written in C"])
def test_without_a_signature_there_are_none(handler: Callable[..., Any]) -> None:
    assert parameters_of(handler) is None
