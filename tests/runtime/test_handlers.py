"""What is found out about handlers, interests and actor classes before anything runs."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import attrs
import pytest

from tocsin._handlers import ActorPlan, check_interests, handles, inspect_actor, inspect_handler, select_method
from tocsin.exceptions import InvalidHandler, InvalidTopic, TocsinError


class Order:
    pass


class RushOrder(Order):
    pass


class Invoice:
    pass


# ── handlers of every shape ──


async def async_handler(event: object) -> None: ...


async def async_with_delivery(event: object, delivery: object) -> None: ...


def plain_handler(event: object) -> None: ...


def with_default(event: object, delivery: object = None) -> None: ...


def only_default(event: object = None) -> None: ...


def takes_anything(*events: object, **options: object) -> None: ...


def event_and_more(event: object, *more: object) -> None: ...


def with_option(event: object, *, option: int = 1) -> None: ...


async def needs_database(event: object, delivery: object, database: object) -> None: ...


def positional_only(event: object, delivery: object, /) -> None: ...


class Methods:
    async def method(self, event: object) -> None: ...

    def with_delivery(self, event: object, delivery: object) -> None: ...

    @staticmethod
    async def static(event: object) -> None: ...

    @classmethod
    def of_class(cls, event: object) -> None: ...


class AsyncObject:
    async def __call__(self, event: object) -> None: ...


class PlainObject:
    def __call__(self, event: object, delivery: object) -> None: ...


def passing_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def giving_a_database(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(event: object) -> Any:
        return await function(event, "database")

    return wrapper


class WrapperObject:
    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        return cast("Any", self).__wrapped__(*args)


LAMBDAS: list[Callable[[object], None]] = [lambda event: None]

SHAPES: dict[str, tuple[Any, bool, bool, str]] = {
    "async function": (async_handler, True, False, "async_handler"),
    "async function with delivery": (async_with_delivery, True, True, "async_with_delivery"),
    "plain function": (plain_handler, False, False, "plain_handler"),
    "second parameter with default": (with_default, False, False, "with_default"),
    "only a default": (only_default, False, False, "only_default"),
    "star arguments": (takes_anything, False, False, "takes_anything"),
    "event and star arguments": (event_and_more, False, False, "event_and_more"),
    "optional keyword": (with_option, False, False, "with_option"),
    "positional only": (positional_only, False, True, "positional_only"),
    "lambda": (LAMBDAS[0], False, False, "lambda"),
    "bound method": (Methods().method, True, False, "Methods.method"),
    "bound method with delivery": (Methods().with_delivery, False, True, "Methods.with_delivery"),
    "static method of the class": (Methods.static, True, False, "Methods.static"),
    "raw static method": (vars(Methods)["static"], True, False, "Methods.static"),
    "class method": (Methods.of_class, False, False, "Methods.of_class"),
    "partial": (functools.partial(needs_database, database=1), True, True, "needs_database"),
    "partial of a partial": (
        functools.partial(functools.partial(async_with_delivery, delivery=1)),
        True,
        False,
        "async_with_delivery",
    ),
    "partial of a method": (
        functools.partial(Methods().with_delivery, delivery=1),
        False,
        False,
        "Methods.with_delivery",
    ),
    "async object": (AsyncObject(), True, False, "AsyncObject"),
    "plain object": (PlainObject(), False, True, "PlainObject"),
    "wrapper that passes on": (passing_on(async_with_delivery), True, True, "async_with_delivery"),
    "two such wrappers": (passing_on(passing_on(async_handler)), True, False, "async_handler"),
    "wrapper with parameters of its own": (giving_a_database(async_with_delivery), True, False, "async_with_delivery"),
    "wrapped method": (passing_on(Methods().method), True, False, "Methods.method"),
    "object that wraps": (WrapperObject(async_handler), True, False, "async_handler"),
    "method written in C": (list[object]().append, False, False, "list.append"),
    "another method written in C": (deque[object]().append, False, False, "deque.append"),
}


@pytest.mark.parametrize(("handler", "is_async", "wants_delivery", "name"), SHAPES.values(), ids=SHAPES)
def test_a_handler_may_be(handler: Any, is_async: bool, wants_delivery: bool, name: str) -> None:
    plan = inspect_handler(handler)
    assert (plan.is_async, plan.wants_delivery, plan.name) == (is_async, wants_delivery, name)


def test_the_plan_calls_what_was_given() -> None:
    assert inspect_handler(async_handler).call is async_handler
    bound = functools.partial(needs_database, database=1)
    assert inspect_handler(bound).call is bound


def test_a_callable_without_a_readable_signature_gets_the_event_alone() -> None:
    plan = inspect_handler(dict[str, int]({"a": 1}).pop)
    assert (plan.is_async, plan.wants_delivery) == (False, False)


def test_wrappers_in_a_circle_do_not_hang() -> None:
    def circle(*args: object) -> None: ...

    cast("Any", circle).__wrapped__ = circle
    plan = inspect_handler(circle)
    assert (plan.is_async, plan.wants_delivery) == (False, False)


def test_the_name_of_a_handler_is_printable_whatever_it_was_called() -> None:
    def handler(event: object) -> None: ...

    handler.__qualname__ = "evil\x1b[31m\nname"
    assert inspect_handler(handler).name == r"evil\x1b[31m\nname"


# ── handlers that are refused ──


def generator(event: object) -> Iterator[int]:
    yield 1


async def async_generator(event: object) -> AsyncIterator[int]:
    yield 1


class GeneratorObject:
    def __call__(self, event: object) -> Iterator[int]:
        yield 1


class GeneratorMethod:
    async def method(self, event: object) -> AsyncIterator[int]:
        yield 1


def no_parameter() -> None: ...


def only_keywords(**options: object) -> None: ...


def three(event: object, delivery: object, database: object) -> None: ...


def required_keyword(event: object, *, database: object) -> None: ...


REFUSED: dict[str, tuple[Any, str]] = {
    "None": (None, "is not callable: give a function"),
    "text": ("handler", "is not callable: give a function"),
    "class method as it stands in the class": (vars(Methods)["of_class"], "is not callable"),
    "class": (Order, r"is a class: use bus\.actor"),
    "generator": (generator, "is a generator function"),
    "async generator": (async_generator, "is a generator function"),
    "partial of a generator": (functools.partial(generator), "is a generator function"),
    "generator object": (GeneratorObject(), "is a generator function"),
    "generator method": (GeneratorMethod().method, "is a generator function"),
    "no parameter": (no_parameter, "has no parameter for the event"),
    "only keywords": (only_keywords, "has no parameter for the event"),
    "everything bound": (functools.partial(plain_handler, 1), "has no parameter for the event"),
    "event bound by keyword": (functools.partial(plain_handler, event=1), "has no parameter for the event"),
    "three required": (three, "requires event, delivery, database, but it gets the event and the delivery"),
    "required keyword": (required_keyword, "requires the keyword database, which nobody gives"),
    "method without instance": (Methods.method, "is a method without its instance"),
    "wrapped method without instance": (passing_on(Methods.method), "is a method without its instance"),
}


@pytest.mark.parametrize(("handler", "message"), REFUSED.values(), ids=REFUSED)
def test_a_handler_may_not_be(handler: Any, message: str) -> None:
    with pytest.raises(InvalidHandler, match=message):
        inspect_handler(handler)


def test_an_invalid_handler_is_a_type_error_and_an_error_of_tocsin() -> None:
    assert issubclass(InvalidHandler, TypeError)
    assert issubclass(InvalidHandler, TocsinError)


def test_a_refusal_survives_a_handler_that_cannot_be_shown() -> None:
    class Evil:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(InvalidHandler, match="<unprintable"):
        inspect_handler(Evil())


# ── interests ──


def test_interests_are_told_apart_and_kept_once_in_order() -> None:
    types, patterns = check_interests([Order, "order.*", object, Order, "#", "order.*"])
    assert types == (Order, object)
    assert patterns == ("order.*", "#")


def test_classes_that_are_equal_but_not_the_same_are_both_kept() -> None:
    class EqualToAll(type):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(cls, other: object) -> bool:
            return True

    first, second = EqualToAll("First", (), {}), EqualToAll("Second", (), {})
    types, _ = check_interests([first, second, first])
    assert [kind.__name__ for kind in types] == ["First", "Second"]


@pytest.mark.parametrize(
    ("interest", "message"),
    [
        (Order(), r"is an instance, name its class: .*\.Order"),
        (7, "is an instance, name its class: builtins.int"),
        (None, "is neither an event class nor a topic pattern"),
        (plain_handler, "a decorator takes its interests first"),
        (Any, "use `object` to get every event"),
        (Order | Invoice, "is a union: name its classes one by one"),
        (Order | None, "is a union: name its classes one by one"),
        (list[int], "is a generic with arguments.*name the class <class 'list'>"),
        ([Order, Invoice], "is a collection"),
        (b"order.*", "is an instance"),
    ],
)
def test_what_is_no_interest_is_refused_with_what_to_give_instead(interest: object, message: str) -> None:
    with pytest.raises(InvalidHandler, match=message):
        check_interests([Order, interest])


def test_at_least_one_interest_is_needed() -> None:
    with pytest.raises(InvalidHandler, match="no interests given"):
        check_interests([])


def test_a_text_that_is_no_pattern_is_an_invalid_topic() -> None:
    with pytest.raises(InvalidTopic):
        check_interests(["ord*"])


# ── actor classes ──


class Shop:
    async def started(self) -> None: ...

    @handles(Order, "order.#")
    async def order(self, event: object) -> None: ...

    def helper(self, event: object) -> None: ...

    @handles(Invoice)
    def invoice(self, event: object, delivery: object) -> None: ...

    def stopping(self, reason: str = "") -> None: ...


class Kiosk(Shop):
    @handles(RushOrder)
    async def rush(self, event: object) -> None: ...

    def order(self, event: object, delivery: object) -> None: ...  # type: ignore[override]


def method_names(plan: ActorPlan) -> list[str]:
    return [method.plan.name for method in plan.methods]


def selected(actor_class: type, event_type: type, topic: str | None = None) -> str:
    return select_method(inspect_actor(actor_class), event_type, topic).name


def test_the_methods_of_an_actor_are_found_in_order_of_definition() -> None:
    plan = inspect_actor(Shop)
    assert method_names(plan) == ["order", "invoice"]
    assert plan.interests == (Order, "order.#", Invoice)
    order, invoice = (method.plan for method in plan.methods)
    assert (order.is_async, order.wants_delivery) == (True, False)
    assert (invoice.is_async, invoice.wants_delivery) == (False, True)


def test_the_decorator_gives_the_method_back_unchanged() -> None:
    def method(self: object, event: object) -> None: ...

    assert handles(Order)(method) is method


def test_hooks_are_optional_and_may_be_plain_or_async() -> None:
    plan = inspect_actor(Shop)
    assert plan.started is not None
    assert plan.stopping is not None
    assert (plan.started.name, plan.started.is_async) == ("started", True)
    assert (plan.stopping.name, plan.stopping.is_async) == ("stopping", False)

    class Bare:
        @handles(Order)
        def order(self, event: object) -> None: ...

    assert (inspect_actor(Bare).started, inspect_actor(Bare).stopping) == (None, None)


def test_methods_of_base_classes_count_and_come_first() -> None:
    assert method_names(inspect_actor(Kiosk)) == ["order", "invoice", "rush"]


def test_an_overriding_method_takes_over_the_interests() -> None:
    plan = inspect_actor(Kiosk)
    assert plan.methods[0].types == (Order,)
    assert plan.methods[0].plan.call is vars(Kiosk)["order"]
    assert plan.methods[0].plan.wants_delivery


def test_an_overriding_method_may_have_interests_of_its_own() -> None:
    class Changed(Shop):
        @handles(RushOrder)
        async def order(self, event: object) -> None: ...

    assert inspect_actor(Changed).interests == (RushOrder, Invoice)


def test_a_method_set_to_none_is_taken_away() -> None:
    class Reduced(Shop):
        invoice = None  # type: ignore[assignment]

    assert method_names(inspect_actor(Reduced)) == ["order"]


def test_a_method_made_anew_by_attrs_is_found() -> None:
    @attrs.define
    class Counter:
        count: int = 0

        @handles(Order)
        def order(self, event: object) -> None: ...

    assert method_names(inspect_actor(Counter)) == ["order"]


def test_an_actor_must_be_a_class() -> None:
    for wrong in (Shop(), plain_handler, None):
        with pytest.raises(InvalidHandler, match=r"is no class: bus\.actor is for actor classes"):
            inspect_actor(wrong)


def test_an_actor_needs_a_method_that_handles_something() -> None:
    with pytest.raises(InvalidHandler, match="has no method marked with @handles"):
        inspect_actor(Order)


def test_two_methods_cannot_claim_the_same_class() -> None:
    class Ambiguous:
        @handles(Order)
        def first(self, event: object) -> None: ...

        @handles(Invoice, Order)
        def second(self, event: object) -> None: ...

    with pytest.raises(InvalidHandler, match=r"both first and second handle .*\.Order: an event goes to one method"):
        inspect_actor(Ambiguous)


def test_two_methods_cannot_claim_the_same_pattern() -> None:
    class Ambiguous:
        @handles("order.*")
        def first(self, event: object) -> None: ...

        @handles("order.*")
        def second(self, event: object) -> None: ...

    with pytest.raises(InvalidHandler, match=r"both first and second handle 'order\.\*'"):
        inspect_actor(Ambiguous)


def test_a_marked_method_is_held_to_the_rules_of_handlers() -> None:
    class Wrong:
        @handles(Order)
        def order(self) -> None: ...

    with pytest.raises(InvalidHandler, match="has no parameter for the event"):
        inspect_actor(Wrong)


def test_a_marked_method_cannot_be_replaced_by_something_else() -> None:
    class Wrong(Shop):
        order = "closed"  # type: ignore[assignment]

    with pytest.raises(InvalidHandler, match=r"Wrong\.order replaces a @handles method by 'closed'"):
        inspect_actor(Wrong)


@pytest.mark.parametrize("interests", [(), (7,), (None,)])
def test_wrong_interests_are_found_by_the_decorator(interests: Any) -> None:
    with pytest.raises(InvalidHandler):
        handles(*interests)


@pytest.mark.parametrize("target", [staticmethod(plain_handler), Order, None, functools.partial(plain_handler)])
def test_only_methods_can_be_marked(target: Any) -> None:
    with pytest.raises(InvalidHandler, match="is no method: put @handles"):
        handles(Order)(target)


def test_a_method_is_marked_once() -> None:
    with pytest.raises(InvalidHandler, match="twice: put all its interests into one"):
        handles(Invoice)(handles(Order)(passing_on(plain_handler)))


def hook_that_yields(self: object) -> Iterator[None]:
    yield


async def async_hook_that_yields(self: object) -> AsyncIterator[None]:
    yield


def hook_that_wants(self: object, reason: str, *, code: int) -> None: ...


@pytest.mark.parametrize("name", ["started", "stopping"])
@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (hook_that_yields, "is a generator function"),
        (async_hook_that_yields, "is a generator function"),
        (hook_that_wants, "requires reason, code, but it is called without arguments"),
        (True, "is True: define it with `def` or `async def`"),
        (staticmethod(no_parameter), "define it with `def` or `async def`"),
    ],
    ids=["generator", "async generator", "arguments", "flag", "static method"],
)
def test_a_hook_that_cannot_be_called_is_refused(name: str, hook: Any, message: str) -> None:
    with pytest.raises(InvalidHandler, match=f"{name} .*{message}"):
        inspect_actor(type("Wrong", (Shop,), {name: hook}))


def test_a_hook_set_to_none_is_taken_away() -> None:
    assert inspect_actor(type("Silent", (Shop,), {"started": None})).started is None


# ── which method ──


class Desk:
    @handles("order.*")
    def by_pattern(self, event: object) -> None: ...

    @handles("#.placed")
    def by_second_pattern(self, event: object) -> None: ...

    @handles(object)
    def anything(self, event: object) -> None: ...

    @handles(Order)
    def order(self, event: object) -> None: ...

    @handles(RushOrder)
    def rush(self, event: object) -> None: ...


@pytest.mark.parametrize(
    ("event_type", "topic", "method"),
    [
        (RushOrder, None, "rush"),
        (Order, None, "order"),
        (type("VeryRushOrder", (RushOrder,), {}), None, "rush"),
        (Order, "order.placed", "order"),
        (Invoice, "order.placed", "by_pattern"),
        (Invoice, "a.b.placed", "by_second_pattern"),
        (Invoice, "invoice", "anything"),
        (Invoice, None, "anything"),
        (object, None, "anything"),
    ],
)
def test_the_nearest_class_comes_before_patterns_and_patterns_before_everything(
    event_type: type, topic: str | None, method: str
) -> None:
    assert selected(Desk, event_type, topic) == method


def test_what_no_method_handles_is_a_lookup_error() -> None:
    with pytest.raises(LookupError, match=r"no method handles builtins\.int on the topic None"):
        selected(Shop, int)
