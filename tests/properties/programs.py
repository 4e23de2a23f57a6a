"""What may be done to a bus and to the model of it, drawn at random."""

from __future__ import annotations

import math
from typing import Any, Literal

from attrs import frozen
from hypothesis import strategies as st

from tests.model import Config, Coupling, Ending


@frozen
class Publish:
    kind: str
    priority: int
    key: int
    expires_in: float | None
    nowait: bool


@frozen
class Finish:
    which: int
    ending: Ending


@frozen
class CancelPublish:
    which: int


@frozen
class Advance:
    seconds: int


@frozen
class Subscribe:
    config: Config


@frozen
class Unsubscribe:
    which: int


@frozen
class Replay:
    which: int


@frozen
class Operate:
    which: int
    what: Literal["pause", "resume", "stop", "restart"]


@frozen
class Drain:
    pass


Operation = Publish | Finish | CancelPublish | Advance | Subscribe | Unsubscribe | Replay | Operate | Drain


@frozen
class Program:
    backend: str
    seed: int
    coupling: Coupling
    first: list[Config]
    operations: list[Operation]
    end: str
    plain: bool
    """Nothing but what the fast way allows where it can be: it must not be told apart from the long one."""
    dormant: bool
    """Whoever may wait for its first event without an actor does: that must not be told apart either."""


# Operations happen at multiples of a tick; what is due by itself falls between two of them, and never together.
TICK = 0.0625
LATER = 0.015625
A_LITTLE = LATER / 1024
KINDS = ("Base", "Child", "Other")
small = st.integers(0, 7)


def configs() -> st.SearchStrategy[Config]:
    return st.builds(
        _consistent,
        st.sampled_from([KINDS, KINDS, ("Base", "Child"), ("Child",)]),
        st.integers(1, 3),
        st.sampled_from(["wait", "wait", "wait", "reject", "drop_oldest", "drop_newest", "dead_letter", "coalesce"]),
        st.sampled_from([None, None, 0.25 + LATER, 2.25 + LATER]),
        st.integers(1, 2),
        st.booleans(),
        st.booleans(),
        st.integers(1, 3),
        st.sampled_from([range(4), range(4), (0, 2)]),
        st.sampled_from([None, None, None, 3.5]),
        st.sampled_from([math.inf, math.inf, 1.25 + A_LITTLE]),
    )


def _consistent(
    kinds: tuple[str, ...],
    capacity: int,
    policy: Any,
    limit: float | None,
    concurrency: int,
    keyed: bool,
    strict: bool,
    max_attempts: int,
    priorities: tuple[int, ...],
    window: float | None,
    timeout: float,
) -> Config:
    keyed = keyed and policy != "coalesce"
    return Config(
        frozenset(kinds),
        capacity=capacity,
        policy=policy,
        limit=limit,
        # Two attempts with one key at a time leave open which state is the newer one.
        concurrency=1 if policy == "coalesce" else concurrency,
        keyed=keyed,
        strict=strict and (keyed or concurrency == 1),
        max_attempts=max_attempts,
        priorities=frozenset(priorities),
        window=window,
        timeout=timeout,
    )


publishing = st.builds(
    Publish,
    st.sampled_from(KINDS),
    st.sampled_from([2, 2, 2, 0, 1, 3]),
    st.integers(0, 1),
    st.sampled_from([None, None, None, 2 * TICK, 4 * TICK]),
    st.sampled_from([False, False, True]),
)
finishing = st.builds(
    Finish,
    small,
    st.sampled_from(["ok", "ok", "ok", "raise", "raise", "group", "cancel", "cancel", "cancel", "decode"]),
)
operations = st.one_of(
    publishing,
    publishing,
    publishing,
    finishing,
    finishing,
    finishing,
    st.builds(CancelPublish, small),
    st.builds(Advance, st.integers(1, 3)),
    st.one_of(publishing, st.builds(Subscribe, configs())),
    st.one_of(finishing, st.builds(Unsubscribe, small)),
    st.builds(Replay, small),
    st.one_of(finishing, st.builds(Operate, small, st.sampled_from(["pause", "resume", "resume", "stop", "restart"]))),
)


def programs(backend: str) -> st.SearchStrategy[Program]:
    endings = st.lists(finishing, max_size=6)
    # Short programs find little: a full mailbox with somebody waiting takes half a dozen operations.
    before = st.lists(operations, min_size=20, max_size=60)
    drained = st.builds(_drained, before, endings)
    return st.builds(
        Program,
        st.just(backend),
        st.integers(0, 99),
        st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
        st.lists(configs(), min_size=2, max_size=4),
        st.one_of(before, before, drained),
        st.sampled_from(["stop", "leave", "error", "finish"]),
        st.booleans(),
        st.booleans(),
    )


def _drained(before: list[Operation], after: list[Finish]) -> list[Operation]:
    return [*before, Drain(), *after]
