"""The parts that decide, and the tests that should notice when one of them decides otherwise."""

from __future__ import annotations

from attrs import frozen


@frozen
class Subject:
    """Files that are changed, and the tests that should notice: group after group, the quickest first."""

    files: tuple[str, ...]
    tests: tuple[tuple[str, ...], ...]


def decisions(*names: str) -> tuple[str, ...]:
    return tuple(f"supervisors/tocsin_supervisors/{name}.py" for name in names)


SUBJECTS = {
    "lanes": Subject(
        ("runtime/tocsin/_lanes.py",),
        (
            ("tests/runtime/test_lanes.py", "tests/properties/test_lanes_properties.py"),
            ("tests/runtime/test_mailbox.py", "tests/properties/test_bus_against_model.py"),
        ),
    ),
    "router": Subject(
        ("runtime/tocsin/_router.py",),
        (
            ("tests/runtime/test_router.py",),
            ("tests/runtime/test_registry.py", "tests/runtime/test_fast_way.py", "tests/runtime/test_topics.py"),
        ),
    ),
    "mailbox": Subject(
        ("runtime/tocsin/_mailbox.py",),
        (
            ("tests/runtime/test_mailbox.py",),
            ("tests/runtime/test_overflow_policies.py", "tests/runtime/test_fast_way.py", "tests/runtime/test_pool.py"),
            ("tests/runtime/test_backpressure.py", "tests/runtime/test_retries.py", "tests/runtime/test_draining.py"),
            ("tests/properties/test_bus_against_model.py", "tests/testing/test_faults.py"),
        ),
    ),
    "decisions": Subject(
        decisions(
            "_decisions",
            "_decisions_causes",
            "_decisions_children",
            "_decisions_exits",
            "_decisions_requests",
            "_decisions_restarts",
        ),
        (
            ("tests/supervisors/test_decisions.py", "tests/supervisors/test_decisions_causes.py"),
            ("tests/supervisors/test_decision_table.py", "tests/properties/test_decisions_machine.py"),
            ("tests/supervisors",),
            ("tests/scenarios",),
        ),
    ),
}
