"""What follows a failed attempt: another one after a delay, or the dead letters.

This is about the delivery alone; whether the actor lives on is decided elsewhere.
"""

# What a policy keeps for the functions here is read without a call, and users need not see it.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import enum
import json
from random import Random
from typing import Any, TypeAlias, cast, final

import attrs

from ._backoff import Backoff
from ._checks import check_count, count
from ._failures import is_group, leaves_of
from ._kinds import Kind, Kinds

DECODING_ERRORS: tuple[Kind, ...] = (
    UnicodeError,
    json.JSONDecodeError,
    "binascii.Error",
    "_pickle.UnpicklingError",
    "struct.error",
    "tomllib.TOMLDecodeError",
    "xml.etree.ElementTree.ParseError",
    "cattrs.errors.BaseValidationError",
    "cattrs.errors.StructureHandlerNotFoundError",
    "google.protobuf.message.DecodeError",
    "jsonschema.exceptions.ValidationError",
    "marshmallow.exceptions.ValidationError",
    "msgspec.DecodeError",
    "pydantic.error_wrappers.ValidationError",
    "pydantic.v1.error_wrappers.ValidationError",
    "pydantic_core._pydantic_core.ValidationError",
)
"""Failures to read an event: the same bytes fail the same way each time, so trying again only delays the others.

Those of libraries are listed by name, so none of them is imported."""


@final
class DeadLetterReason(enum.StrEnum):
    """Why a delivery was given up. The values are stable: they are written to logs and files."""

    HANDLER_ERROR = "handler_error"  # failed in every allowed attempt
    NON_RETRYABLE = "non_retryable"  # failed in a way that the retry policy does not repeat
    TIMEOUT = "timeout"  # ran out of time in its last attempt
    FOREIGN_CANCEL = "foreign_cancel"  # cancelled by something that is not the runtime
    BAD_HANDLER = "bad_handler"  # the handler cannot be called or returned what it must not
    EXPIRED = "expired"  # too old when its turn came
    OVERFLOW = "overflow"  # displaced from a full mailbox
    UNDELIVERABLE = "undeliverable"  # no subscription matched
    ACTOR_STOPPED = "actor_stopped"  # its actor has ended for good
    SHUTDOWN = "shutdown"  # still waiting when the runtime stopped
    REJECTED = "rejected"  # refused by the subscriber
    UNREADABLE = "unreadable"  # kept by a store, and cannot be turned into an event any more
    KILLED_PROCESS = "killed_process"  # its process ended during an attempt, as often as attempts are allowed


def _kinds(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple):
        raise TypeError(f"{attribute.name}={value!r} must be a tuple, also for one class: (ValueError,)")
    for kind in cast("tuple[object, ...]", value):
        if isinstance(kind, type):
            if not issubclass(kind, BaseException):
                raise TypeError(f"{attribute.name} holds {kind!r}, which is not an exception class")
        elif not isinstance(kind, str):
            raise TypeError(f"{attribute.name} holds {kind!r}: exception classes or their qualified names are allowed")
        elif "." not in kind:
            raise ValueError(
                f"{attribute.name} holds the name {kind!r}, which is not qualified: "
                'write it with its module, such as "builtins.ValueError"'
            )


@final
@attrs.frozen
class RetryPolicy:
    """How often and when a delivery is attempted again.

    *never_retry* wins over *retry_on*. Both hold exception classes or qualified names of such
    ("pydantic_core._pydantic_core.ValidationError"), subclasses included. An exception group is retried unless all its
    leaves forbid it. A time-out is retried unless *never_retry* holds `TimeoutError`.

    Raise `TypeError` or `ValueError` for less than one attempt and for what is not an exception class.
    """

    max_attempts: int = attrs.field(default=3, validator=count(at_least=1))
    """Runs of the handler in all, the first one included; 1 never retries. Two failures may be chance."""

    backoff: Backoff = attrs.field(default=Backoff(), validator=attrs.validators.instance_of(Backoff))
    """The delay before the next attempt, by the number of failed ones."""

    retry_on: tuple[Kind, ...] = attrs.field(default=(Exception,), validator=_kinds)
    never_retry: tuple[Kind, ...] = attrs.field(default=DECODING_ERRORS, validator=_kinds)

    _retried: Kinds = attrs.field(init=False, repr=False, eq=False)
    _forbidden: Kinds = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        # The class is frozen; this is how attrs lets derived fields be set once.
        object.__setattr__(self, "_retried", Kinds.of(self.retry_on))
        object.__setattr__(self, "_forbidden", Kinds.of(self.never_retry))


@final
@attrs.frozen
class Retry:
    """Attempt the delivery again after *delay* seconds."""

    delay: float


@final
@attrs.frozen
class Bury:
    """Give the delivery to the dead letters."""

    reason: DeadLetterReason


Verdict: TypeAlias = Retry | Bury


def decide(policy: RetryPolicy, attempt: int, error: Exception, *, timed_out: bool, random: Random) -> Verdict:
    """Return what follows the failure of the *attempt*-th attempt, counted from 1.

    *timed_out* says that the runtime ended the attempt; a `TimeoutError` of the handler's own is an ordinary error.
    """
    check_count("attempt", attempt, at_least=1)
    if timed_out:
        if attempt >= policy.max_attempts or policy._forbidden.include(error) or _forbids_timeouts(policy):
            return Bury(DeadLetterReason.TIMEOUT)
    elif not _retryable(policy, error):
        return Bury(DeadLetterReason.NON_RETRYABLE)
    elif attempt >= policy.max_attempts:
        return Bury(DeadLetterReason.HANDLER_ERROR)
    return Retry(policy.backoff.delay(attempt, random))


def _forbids_timeouts(policy: RetryPolicy) -> bool:
    return policy._forbidden.include(TimeoutError())


def _retryable(policy: RetryPolicy, error: Exception) -> bool:
    retried, forbidden = policy._retried, policy._forbidden
    if not is_group(error):
        return not forbidden.include(error) and retried.include(error)
    # A forbidden group is one leaf: the errors inside a cattrs group look harmless one by one.
    return any(
        not forbidden.include(leaf) and (retried.include(leaf) or is_group(leaf))
        for leaf in leaves_of(error, whole=forbidden.include)
    )
