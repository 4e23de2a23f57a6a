"""What a user subscribes, looked at once and before anything runs: handlers, actor classes, and their interests.

Mistakes are found here, where the traceback still shows the line that made them, and not at the first event.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, TypeVar, cast, final

from attrs import evolve, field, frozen

from tocsin_supervisors._text import qualified_name, safe_repr, safe_text

from ._interests import check_interests as check_interests
from ._parameters import parameters_of
from ._router import mro_of
from ._topics import pattern_matches
from .exceptions import InvalidHandler

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__tocsin_handles__"  # where @handles leaves the interests of a method
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


# ── plain handlers ────────────────────────────────────────────────────────────────────────────────────────────────────


@final
@frozen
class HandlerPlan:
    """How to call a handler."""

    call: Callable[..., Any]
    """Takes the event, and the delivery if `wants_delivery`, both by position."""
    is_async: bool
    """True: calling it gives an awaitable. False: it blocks, and belongs into a worker thread."""
    wants_delivery: bool
    """Whether it has a second required parameter."""
    name: str
    """Its name for people: `function`, `Class.method`, or the class of a callable object. Printable, not unique."""


def inspect_handler(handler: object) -> HandlerPlan:
    """Find out how to call *handler*: a function, bound method, partial or callable object, plain or async.

    It takes the event; if it has a second required positional parameter, that one gets the delivery (a parameter with a
    default does not). A decorated function is async if the function inside of it is, even if the wrapper is plain; its
    parameters are those of the wrapper, or of the function inside if the wrapper takes `*args`. A callable without a
    readable signature (written in C) is taken to be plain and to want the event alone.

    Raise `InvalidHandler` for what cannot be a handler: classes, generators, wrong parameters, unbound methods.
    """
    if isinstance(handler, staticmethod):
        handler = cast("staticmethod[..., Any]", handler).__func__
    if isinstance(handler, type):
        raise _refusal(handler, "is a class: use bus.actor for an actor class, or give a bound method of an instance")
    if not callable(handler):
        raise _refusal(handler, "is not callable: give a function that takes an event")
    target = _without_partials(handler)
    core = _core_of(target)
    if inspect.isgeneratorfunction(core) or inspect.isasyncgenfunction(core):
        raise _refusal(handler, "is a generator function: calling it would run nothing, so do not yield in a handler")
    positional = _positional_parameters(handler)
    return HandlerPlan(
        call=handler,
        is_async=_is_async(core) or (target is not core and _is_async(target)),
        wants_delivery=len(positional) > 1 and positional[1].default is inspect.Parameter.empty,
        name=_name_of(target),
    )


def _without_partials(handler: object) -> object:
    while isinstance(handler, partial):
        handler = handler.func  # pyright: ignore[reportUnknownMemberType]  # mypy knows it, and calls a cast redundant
    return handler


def _core_of(target: object) -> Any:
    """The function that runs when *target* is called: itself, or the `__call__` of an object."""
    if isinstance(target, FunctionType | MethodType | BuiltinFunctionType):
        return target
    return cast("Any", type(target)).__call__


def _is_async(target: Any) -> bool:
    """Tell whether *target*, or a function that it wraps (as `functools.wraps` has noted), is a coroutine function."""
    return any(inspect.iscoroutinefunction(each) for each in _unwrapped(target))


def _unwrapped(target: Any) -> Iterator[Any]:
    seen: set[int] = set()
    current = target
    while current is not None and id(current) not in seen:  # a chain in a circle is a bug, but not ours to hang on
        seen.add(id(current))
        yield current
        current = getattr(current, "__wrapped__", None)


def _positional_parameters(handler: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters that may be given by position, after checking that one or two arguments are what it needs."""
    parameters = parameters_of(handler)
    if parameters is None:
        return []
    positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
    required = [parameter for parameter in parameters if parameter.default is inspect.Parameter.empty]
    names = ", ".join(parameter.name for parameter in required if parameter.kind in _POSITIONAL)
    keywords = [parameter.name for parameter in required if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    takes_any = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    if not positional and not takes_any:
        raise _refusal(handler, "has no parameter for the event: write it as handler(event)")
    if positional and positional[0].name in ("self", "cls") and isinstance(handler, FunctionType):
        raise _refusal(handler, "is a method without its instance: give a bound method, or use bus.actor for its class")
    if sum(parameter.kind in _POSITIONAL for parameter in required) > 2:
        raise _refusal(handler, f"requires {names}, but it gets the event and the delivery: bind the rest with partial")
    if keywords:
        raise _refusal(handler, f"requires the keyword {keywords[0]}, which nobody gives: bind it with partial")
    return positional


def _name_of(target: object) -> str:
    name: object = getattr(target, "__qualname__", None)  # objects have none; their class has
    if not isinstance(name, str):
        name = type(target).__qualname__
    return _shown(name)


# Many subscriptions may have one function, and each keeps its name.
@lru_cache(maxsize=1024)
def _shown(qualified_name: str) -> str:
    return safe_text(qualified_name.rpartition("<locals>.")[2]).strip("<>")


def _refusal(handler: object, reason: str) -> InvalidHandler:
    return InvalidHandler(f"{safe_repr(handler, 120)} {reason}")


# ── actor classes ─────────────────────────────────────────────────────────────────────────────────────────────────────


@final
@frozen
class HookPlan:
    """How to call `started` or `stopping` of an actor."""

    name: str
    is_async: bool


@final
@frozen
class MethodPlan:
    """One `@handles` method of an actor class and what it wants."""

    plan: HandlerPlan
    """`name` is the name of the attribute; `call` is the function without its instance."""
    types: tuple[type, ...]
    patterns: tuple[str, ...]

    @property
    def interests(self) -> tuple[type | str, ...]:
        """Its classes and patterns together."""
        return self.types + self.patterns


@final
@frozen
class ActorPlan:
    """What an actor class handles, and with which method."""

    methods: tuple[MethodPlan, ...]
    """In order of definition, those of base classes first."""
    started: HookPlan | None
    stopping: HookPlan | None
    selected: dict[tuple[type, str | None], HandlerPlan] = field(
        factory=dict[tuple[type, str | None], HandlerPlan], init=False, eq=False, repr=False
    )
    """Class and topic of an event → method, as far as that was asked for; kept by `_invocation.py`."""

    @property
    def interests(self) -> tuple[type | str, ...]:
        """What all methods together are interested in."""
        return tuple(interest for method in self.methods for interest in method.interests)


def handles(*interests: type | str) -> Callable[[F], F]:
    """Mark a method of an actor class as the one that handles these events.

    Interests are event classes, topic patterns, or `object` for everything. The method takes the event, or the event
    and the delivery, and may be plain or async; what it returns answers `ask`. The decorator gives the method back
    unchanged. Raise `InvalidHandler` or `InvalidTopic` for wrong interests.
    """
    types, patterns = check_interests(interests)

    def mark(method: F) -> F:
        if not isinstance(cast("object", method), FunctionType):
            raise _refusal(
                method, "is no method: put @handles(…) directly above a `def` or `async def` in an actor class"
            )
        if hasattr(method, _MARK):
            raise _refusal(method, "has @handles(…) twice: put all its interests into one")
        setattr(method, _MARK, (types, patterns))
        return method

    return mark


def inspect_actor(actor_class: object) -> ActorPlan:
    """Find the `@handles` methods of an actor class, and its optional `started` and `stopping`, which take nothing.

    Base classes count. A method that overrides a marked one takes over its interests, unless it is marked itself;
    setting the name to None in a subclass takes it away. Raise `InvalidHandler` if there is no `@handles` method, if
    two claim the same interest, or for anything that cannot be called as it must be.
    """
    if not isinstance(actor_class, type):
        raise _refusal(actor_class, "is no class: bus.actor is for actor classes, use bus.subscriber for functions")
    methods = tuple(_methods(actor_class))
    if not methods:
        raise _refusal(actor_class, "has no method marked with @handles(…): mark those that take events")
    _refuse_double_claims(actor_class, methods)
    return ActorPlan(methods, _hook(actor_class, "started"), _hook(actor_class, "stopping"))


def select_method(plan: ActorPlan, event_type: type, topic: str | None) -> HandlerPlan:
    """Return the one method that handles an event of this class on this topic.

    The method for the nearest base class comes first, then the first one, in order of definition, with a matching
    pattern, and last the one for `object`, which everything is. Raise LookupError if none fits.
    """
    for kind in mro_of(event_type):
        for method in plan.methods:
            if kind is not object and any(wanted is kind for wanted in method.types):
                return method.plan
    for method in plan.methods:
        if topic is not None and any(pattern_matches(pattern, topic) for pattern in method.patterns):
            return method.plan
    for method in plan.methods:
        if any(wanted is object for wanted in method.types):
            return method.plan
    raise LookupError(
        f"no method handles {qualified_name(event_type)} on the topic {safe_repr(topic)}: mark one with @handles(…)"
    )


def _methods(actor_class: type) -> Iterator[MethodPlan]:
    """The marked methods, base classes first, each class in order of definition."""
    names = {name: None for owner in reversed(mro_of(actor_class)) for name in vars(owner)}
    for name in names:
        definitions = [vars(owner)[name] for owner in mro_of(actor_class) if name in vars(owner)]
        marks = [vars(each)[_MARK] for each in definitions if isinstance(each, FunctionType) and _MARK in vars(each)]
        if marks and definitions[0] is not None:
            types, patterns = marks[0]
            yield MethodPlan(_method_plan(actor_class, name, definitions[0]), types, patterns)


def _method_plan(actor_class: type, name: str, function: object) -> HandlerPlan:
    if not isinstance(function, FunctionType):
        raise InvalidHandler(
            f"{qualified_name(actor_class)}.{name} replaces a @handles method by {safe_repr(function, 60)}: "
            "define it with `def` or `async def`, or set it to None to take it away"
        )
    # Bound to a stand-in: what is asked is only which parameters are left once there is an instance.
    return evolve(inspect_handler(MethodType(function, actor_class)), call=function, name=name)


def _hook(actor_class: type, name: str) -> HookPlan | None:
    function = inspect.getattr_static(actor_class, name, None)
    if function is None:
        return None
    where = f"{qualified_name(actor_class)}.{name}"
    if not isinstance(function, FunctionType):
        raise InvalidHandler(
            f"{where} is {safe_repr(function, 60)}: define it with `def` or `async def`, or call it otherwise"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidHandler(
            f"{where} is a generator function: calling it would run nothing, so do not use yield in it"
        )
    required = [
        parameter.name
        for parameter in parameters_of(MethodType(function, actor_class)) or []
        if parameter.default is inspect.Parameter.empty and parameter.kind not in _VARIADIC
    ]
    if required:
        raise InvalidHandler(
            f"{where} requires {', '.join(required)}, but it is called without arguments: write {name}(self)"
        )
    return HookPlan(name, _is_async(function))


def _refuse_double_claims(actor_class: type, methods: tuple[MethodPlan, ...]) -> None:
    claimed: dict[object, str] = {}  # id of a class, or pattern → name of the method
    for method in methods:
        for interest in method.interests:
            key: object = interest if isinstance(interest, str) else id(interest)
            other = claimed.setdefault(key, method.plan.name)
            if other != method.plan.name:
                text = repr(interest) if isinstance(interest, str) else qualified_name(interest)
                raise InvalidHandler(
                    f"{qualified_name(actor_class)}: both {other} and {method.plan.name} handle {text}: "
                    "an event goes to one method of an actor, so leave it to one of them"
                )
