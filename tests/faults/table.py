"""The catalogue of faults: everything that is known to go wrong around a bus, and has to come out exactly so.

Each row is in the name of at least one test as `fault_B7`, or in its parameters as `fault B7`. `python -m tests.faults`
prints which tests cover which, and fails if one is missing.
"""

from __future__ import annotations

import re

from tests.tables import ROOT, Table


def _rows(letter: str, titles: list[str]) -> dict[str, str]:
    return {f"{letter}{number}": title for number, title in enumerate(titles, start=1)}


FAULTS: dict[str, str] = {
    # ── what a handler can raise or return ──
    **_rows(
        "A",
        [
            "an error",
            "a group of errors",
            "a group of absurd depth",
            "KeyboardInterrupt",
            "SystemExit",
            "SystemExit in a task that the handler started",
            "GeneratorExit, pytest.fail, any BaseException",
            "a group of an error and what ends programs",
            "an error in the cleanup of a stop",
            "StopIteration and StopAsyncIteration",
            "a cancellation by a stranger",
            "a cancelled future of a pool",
            "a TimeoutError of the handler's own",
            "a time limit that the handler catches",
            "an error that cannot be printed",
            "an error of ten million characters",
            "one instance raised again and again",
            "causes in a circle, and a hundred thousand of them",
            "an error that cannot be pickled",
            "an error that cannot be hashed or compared",
            "a recursion without end",
            "no memory",
            "a result that nobody would run",
            "a predicate or a key function that raises",
        ],
    ),
    # ── cancellation ──
    **_rows(
        "B",
        [
            "a handler that swallows every cancellation of a stop",
            "a handler that catches the cancellation of a stop and returns",
            "an unshielded wait in a cleanup",
            "a cleanup that hangs behind a shield",
            "a handler that cancels a scope of its own",
            "a handler that cancels the scope or group around it",
            "a handler that cancels its own task",
            "a third party that cancels the task of an actor",
            "the host of the bus is cancelled natively",
            "the host is cancelled twice",
            "a publisher that waits for room is cancelled",
            "a publisher is cancelled in the step in which it got room",
            "an actor is cancelled natively in the step in which it is woken",
            "an attempt that ends in the very instant of its time limit",
            "a generator with a task group is left behind",
            "a generator with a task group is closed",
            "a cancellation at any step",
        ],
    ),
    # ── blocking, leaking, entering again ──
    **_rows(
        "C",
        [
            "a handler that blocks the event loop",
            "a thread that never returns",
            "a handler in a thread is cancelled",
            "a task that the handler leaves behind",
            "a task in the group of the runtime",
            "a task group of the handler's own that fails",
            "forty handlers that block their threads",
            "what a handler sets in its context",
            "who keeps a reference to an event",
            "an event that publishes or raises when it is deleted",
            "a handler that nobody else holds",
            "an observer that raises, blocks, publishes",
        ],
    ),
    # ── lives and supervision ──
    **_rows(
        "D",
        [
            "started() raises",
            "started() hangs",
            "a start that returns without being up",
            "a start that a stranger cancels",
            "stopping() raises",
            "stopping() hangs",
            "a crash in the restart",
            "a crash at each start",
            "no restart is allowed",
            "a crash exactly one period later",
            "crashes far apart",
            "the supervisor itself raises",
            "escalation to the root",
            "one for all, and a sibling that refuses to stop",
            "rest for one, in order",
            "restart policies and exits",
            "two crashes in one moment",
            "a stop in a backoff",
            "an attempt number without end, and jitter",
            "a child that comes or goes during a restart",
            "a crash while stopping",
            "crashes by the thousand",
        ],
    ),
    # ── races of publishers and subscribers ──
    **_rows(
        "E",
        [
            "unsubscribed during a delivery",
            "subscribed during a publish",
            "unsubscribed while a publisher waits",
            "a handler that publishes into its own full mailbox",
            "a ring of full mailboxes",
            "a ring of questions",
            "published before the start and after the end",
            "stopped with full mailboxes",
            "stopped while publishers wait",
            "cancelled and stopped in one moment",
            "one mailbox of several is full",
            "a slow subscriber that makes publishers wait",
            "one handler subscribed twice",
            "nobody subscribed",
            "any number of subscribers",
            "published from a predicate or an observer",
            "published in stopping()",
            "expired in the mailbox",
            "the same event twice",
        ],
    ),
    # ── priority and order ──
    **_rows(
        "F",
        [
            "what is no priority",
            "events that cannot be compared or hashed",
            "events that raise when they are compared",
            "more urgent while one is handled",
            "an endless flood of what is urgent",
            "a retry under strict order",
        ],
    ),
    # ── the environment ──
    **_rows(
        "G",
        [
            "published from a second loop",
            "published from another thread",
            "a blocking handler that publishes while the bus stops",
            "a thread that waits when the loop ends",
            "a forked child",
            "the wall clock jumps",
            "the monotonic clock leaps",
            "SIGINT",
            "SIGINT twice",
            "SIGTERM twice",
            "run in another thread than the main one",
            "memory that runs out",
            "no file can be opened any more",
            "a log that raises",
            "an eager task factory, uvloop, the debug mode of asyncio",
            "python -O, -W error, -X dev",
            "published at the exit of the interpreter",
            "the loop is blocked for longer than the period of restarts",
        ],
    ),
    # ── payloads and names ──
    **_rows(
        "H",
        [
            "a subscriber that changes the event",
            "an event that is too large",
            "an event that cannot be serialised",
            "an event that lies about its class",
            "classes of events made on the fly",
            "texts that are no topics",
            "topics that look the same",
            "patterns that could be made to backtrack",
            "regular expressions",
            "JSON that is none",
        ],
    ),
    # ── the store ──
    **_rows(
        "I",
        [
            "a full disk",
            "a file that may not become larger",
            "a file or folder that may not be written to",
            "a file that another process has locked",
            "a read that becomes a write",
            "a header that is damaged, a file that was cut off",
            "a bit that has flipped",
            "a file that is deleted or replaced while it is in use",
            "a process that is killed at random",
            "a process that is killed in the middle of a statement",
            "a loss of power",
            "two processes on one store",
            "a store of a newer version, and of an older one",
            "more dead letters than are to be kept",
            "a dead letter that cannot be written",
            "a message that kills its process",
            "a process that is killed between the handler and its settling",
            "a letter that is replayed twice",
            "somebody who reads for long",
            "a connection in another thread, or after a fork",
            "a network file system",
            "a disk that fails to keep what was written",
        ],
    ),
}

# number → why there is no test of (part of) it
ARGUED: dict[str, str] = {
    "C4": (
        "That it harms nobody is tested. That it is told of is not promised: asyncio does not say who has started a "
        "task, and a bus is not alone in its loop."
    ),
    "C11": "Handlers are held by their subscription, as everybody expects of `bus.subscribe`; that is tested.",
    "I5": "Every transaction begins as one that writes (BEGIN IMMEDIATE): there is no read that could become a write.",
    "I19": "Nobody else can read the file while it is in use: it is locked for its one connection.",
    "I20": "The connection never leaves its thread, and a bus is of no use in a forked child (ForkedProcess).",
    "I21": "Documented: SQLite itself cannot tell.",
}

TABLE = Table(
    "faults",
    FAULTS,
    ARGUED,
    tuple(ROOT / "tests" / each for each in ("codecs", "durable", "faults", "runtime", "supervisors", "scenarios")),
    re.compile(r"(?<![A-Za-z0-9])fault ((?:[A-I]\d+ ?)+)(?![A-Za-z0-9])"),
)
