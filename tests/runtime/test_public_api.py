"""What `import tocsin` gives, and that its errors say what happened, the value, what is allowed and what to do."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Sequence
from typing import Any, get_args

import attrs
import pytest

import tocsin
import tocsin_supervisors
from tocsin import Failure, Receipt, exceptions

PUBLIC = {name: value for name, value in vars(tocsin).items() if not name.startswith("_") and name != "annotations"}
# All but the first one only if somebody has imported them.
MODULES = {"exceptions", "cli", "codecs", "durable", "opentelemetry", "testing", "web"}
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}


def test_nothing_leaks_that_was_not_meant_to_be_public() -> None:
    leaked = {name for name, value in PUBLIC.items() if inspect.ismodule(value)} - MODULES
    assert leaked == set()


def test_every_public_name_is_ours() -> None:
    for name, value in PUBLIC.items():
        if hasattr(value, "__module__") and name not in {"Report", "Outcome", "Overflow"}:
            assert value.__module__.startswith("tocsin"), name


@pytest.mark.parametrize(
    "name",
    [
        "EventBus", "Event", "Priority", "Envelope", "Delivery", "Receipt", "handles",
        "RetryPolicy", "Backoff", "RestartPolicy", "RestartIntensity", "Strategy",
        "DeadLetterOffice", "DeadLetter", "DeadLetterReason",
        "WaitForRoom", "Reject", "DropOldest", "DropNewest", "DeadLetterNewest", "Coalesce", "Deduplicate",
        "RestartIntensityExceeded", "ChildStartError", "StopReport", "Ledger", "Group", "Subscription",
    ],
)  # fmt: skip
def test_what_the_readme_speaks_of_is_there(name: str) -> None:
    assert name in PUBLIC


@pytest.mark.parametrize("name", ["RetryPolicy", "Backoff", "RestartPolicy", "RestartIntensity", "Strategy", "Failure"])
def test_the_words_of_supervision_are_the_same_in_both_packages(name: str) -> None:
    assert getattr(tocsin, name) is getattr(tocsin_supervisors, name)


def test_every_error_of_the_package_can_be_caught_by_its_name() -> None:
    errors = {
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and value.__module__ == exceptions.__name__
    }
    assert errors - PUBLIC.keys() == set()


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_public_class_says_what_it_is(name: str) -> None:
    assert (CLASSES[name].__doc__ or "").strip()
    assert "__attrs" not in (CLASSES[name].__doc__ or "")


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_public_method_says_what_it_guarantees(name: str) -> None:
    for attribute, value in vars(CLASSES[name]).items():
        if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            assert (value.__doc__ or "").strip(), f"{name}.{attribute}"


FINAL_OR_OPEN = {name for name, value in CLASSES.items() if issubclass(value, BaseException)} | {
    "DeadLetterSink",
    "Plugin",
}


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - FINAL_OR_OPEN))
def test_no_public_class_is_meant_to_be_subclassed(name: str) -> None:
    assert getattr(CLASSES[name], "__final__", False)


def test_values_are_frozen() -> None:
    mutable = {"DeadLetterOffice"}
    for name, value in CLASSES.items():
        if attrs.has(value) and name not in mutable and value.__module__.startswith("tocsin."):
            assert value.__setattr__ is not object.__setattr__, name


def test_the_reports_and_outcomes_are_closed_unions_of_public_classes() -> None:
    for union in (tocsin.Outcome, tocsin.Overflow, tocsin.Report):
        for member in get_args(union):
            assert inspect.isclass(member)
            assert getattr(member, "__final__", False), member
            assert hasattr(tocsin, member.__name__) or hasattr(tocsin_supervisors, member.__name__), member


# ── errors ──

FAILURE = Failure.of(LookupError("no such row"))

ERRORS: Sequence[tuple[BaseException, dict[str, Any], Sequence[str]]] = [
    (exceptions.DuplicateName("a", "group"), {"name": "a"}, ["'a'", "group", "name=…"]),
    (exceptions.UnknownSubscription("x", ["b", "a"]), {"name": "x"}, ["'x'", "known ones: a, b"]),
    (exceptions.UnknownSubscription("x", []), {"name": "x"}, ["known ones: none"]),
    (exceptions.RouteError("a", "predicate"), {"subscription": "a"}, ["predicate", "'a'", "nothing was accepted"]),
    (
        exceptions.BusClosed("shop", "draining"),
        {"bus": "shop", "receipt": None},
        ["'shop'", "draining", "publish before"],
    ),
    (
        exceptions.MailboxFull(["a", "b"], Receipt()),
        {"subscriptions": ("a", "b")},
        ["a, b is full", "nobody", "mailbox="],
    ),
    (exceptions.WouldDeadlock(["a", "b", "a"]), {"cycle": ("a", "b", "a")}, ["a → b → a", "Raise a mailbox"]),
    (
        exceptions.AskFailed("a", FAILURE),
        {"subscription": "a", "failure": FAILURE},
        ["'a'", "LookupError: no such row"],
    ),
    (exceptions.ActorRestarting("a", 7), {"subscription": "a", "event": 7}, ["'a'", "ask again later"]),
    (exceptions.ActorStopped("a", 7), {"subscription": "a", "event": 7}, ["'a'", "does not run any more"]),
]


@pytest.mark.parametrize(("error", "facts", "says"), ERRORS, ids=lambda value: type(value).__name__)
def test_an_error_carries_its_facts_and_says_what_to_do(
    error: BaseException, facts: dict[str, Any], says: Sequence[str]
) -> None:
    assert {name: getattr(error, name) for name in facts} == facts
    for part in says:
        assert part in str(error)
    assert "\n" not in str(error)


def test_a_long_list_of_names_is_cut() -> None:
    error = exceptions.UnknownSubscription("x", [f"name{number:03}" for number in range(1000)])
    assert len(str(error)) < 200


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (exceptions.InvalidTopic, ValueError),
        (exceptions.InvalidPriority, ValueError),
        (exceptions.InvalidHandler, TypeError),
        (exceptions.DuplicateName, ValueError),
        (exceptions.UnknownSubscription, LookupError),
        (exceptions.BusNotRunning, RuntimeError),
        (exceptions.BusClosed, exceptions.BusNotRunning),
        (exceptions.BusAlreadyRunning, RuntimeError),
        (exceptions.WrongThread, RuntimeError),
        (exceptions.ForkedProcess, RuntimeError),
        (exceptions.NobodyToAsk, exceptions.AskError),
        (exceptions.AskTimeout, TimeoutError),
        (exceptions.AskFailed, exceptions.AskError),
    ],
)
def test_an_error_is_also_of_the_kind_that_people_expect(error: type[BaseException], base: type[BaseException]) -> None:
    assert issubclass(error, base)
    assert issubclass(error, exceptions.TocsinError)


def test_a_request_of_a_handler_is_no_error_of_tocsin() -> None:
    assert not issubclass(exceptions.FinishActor, exceptions.TocsinError)


def test_values_can_be_pickled_for_other_processes() -> None:
    for value in (
        tocsin.Ledger(matched=1, handled=1),
        tocsin.StopReport(),
        tocsin.RetryPolicy(),
        tocsin.Event("a.b", 7),
    ):
        assert pickle.loads(pickle.dumps(value)) == value
