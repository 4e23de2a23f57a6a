"""What a supervisor is told to do with its children: one frozen value, checked at the door."""

from __future__ import annotations

import enum
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict, final

import attrs

from ._checks import check_number, count, one_of
from ._children import ChildSpec
from ._intensity import RestartIntensity
from ._strategies import Strategy
from .exceptions import BadCombination

Template: TypeAlias = "Callable[..., ChildSpec]"


@final
@enum.unique
class AutoShutdown(enum.Enum):
    """Whether a supervisor ends by itself when its significant children have ended by themselves; OTP's three."""

    NEVER = "never"
    """It runs until it is stopped."""

    ANY_SIGNIFICANT = "any_significant"
    """It ends with the first significant child that does: for a daemon that lives as long as its main actor."""

    ALL_SIGNIFICANT = "all_significant"
    """It ends with the last significant child that does: for a job of several parts."""


def default_intensity() -> RestartIntensity:
    """Thirty a minute, whoever they are of: a tree of many children may lose some without being given up."""
    return RestartIntensity(30, 60.0)


def _deadline(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_number(attribute.name, value, at_least=0, at_most=math.inf)


def _template(options: Options, _attribute: object, template: Any) -> None:
    if template is None:
        return
    if not callable(template):
        raise TypeError(f"template={template!r} must be a function that returns a ChildSpec, or None")
    if inspect.iscoroutinefunction(template):
        raise TypeError(f"template={template!r} is an async function: it must return its ChildSpec at once")
    if options.strategy is not Strategy.ONE_FOR_ONE:
        raise ValueError(
            f"strategy={options.strategy} does not go with a template: its children come in no order, so none can be "
            "restarted for another; use Strategy.ONE_FOR_ONE"
        )


@final
@attrs.frozen(kw_only=True)
class Options:
    """The settings of one supervisor; `Supervisor` says what each means."""

    strategy: Strategy = attrs.field(default=Strategy.ONE_FOR_ONE, validator=one_of(Strategy))
    intensity: RestartIntensity = attrs.field(factory=default_intensity, validator=one_of(RestartIntensity))
    subtree_intensity: RestartIntensity | None = attrs.field(
        default=None, validator=attrs.validators.optional(one_of(RestartIntensity))
    )
    auto_shutdown: AutoShutdown = attrs.field(default=AutoShutdown.NEVER, validator=one_of(AutoShutdown))
    max_children: int | None = attrs.field(default=None, validator=count(at_least=0, or_none=True))
    shutdown_deadline: float = attrs.field(default=30.0, validator=_deadline)
    template: Template | None = attrs.field(default=None, validator=_template)


def refusal_of(spec: ChildSpec, options: Options, supervisor: str) -> BadCombination | None:
    """Say why *spec* cannot be a child of *supervisor* under *options*, if it cannot."""
    if not spec.significant or options.auto_shutdown is not AutoShutdown.NEVER:
        return None
    reason = (
        f"significant=True has no meaning under auto_shutdown={AutoShutdown.NEVER}: "
        "let the supervisor have ANY_SIGNIFICANT or ALL_SIGNIFICANT, or the child be an ordinary one"
    )
    return BadCombination(supervisor, spec.id, reason)


class Changes(TypedDict, total=False):
    """Those of the `Options` that are to be changed."""

    strategy: Strategy
    intensity: RestartIntensity
    subtree_intensity: RestartIntensity | None
    auto_shutdown: AutoShutdown
    max_children: int | None
    shutdown_deadline: float
    template: Template | None
