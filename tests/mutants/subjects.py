"""The parts that decide, and the tests that should notice when one of them decides otherwise."""

from __future__ import annotations

from attrs import frozen


@frozen
class Subject:
    """Files that are changed, and the tests that should notice: group after group, the quickest first."""

    files: tuple[str, ...]
    tests: tuple[tuple[str, ...], ...]


def in_folder(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}.py" for name in names)


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
        in_folder(
            "supervisors/tocsin_supervisors",
            "_decisions",
            "_decisions_causes",
            "_decisions_children",
            "_decisions_exits",
            "_decisions_requests",
            "_decisions_restarts",
        ),
        (
            in_folder("tests/supervisors", "test_decisions", "test_decisions_causes", "test_decision_table"),
            in_folder(
                "tests/supervisors",
                *("test_supervisor", "test_supervisor_control", "test_strategies", "test_reconfigure", "test_needs"),
                *("test_parking", "test_residents", "test_subtree_intensity", "test_outbreaks"),
                *("test_restart_even_if_up", "test_supervisor_faults"),
            ),
            in_folder(
                "tests/scenarios",
                *("test_restart_intensity", "test_restart_loops", "test_restart_loops_of_groups"),
                *("test_restart_loops_of_templates", "test_restart_policies", "test_restart_strategies"),
                *("test_dynamic_ends", "test_dynamic_limits", "test_dynamic_lives", "test_dynamic_starts"),
                *("test_shutdown", "test_significant", "test_starting", "test_failing_starts", "test_live_change"),
                *("test_administration", "test_template_administration", "test_hanging_children", "test_declining"),
                "test_stopping_in_restart_loops",
            ),
            ("tests/properties/test_decisions_machine.py",),
            ("tests/scenarios/test_cancel_at_every_step.py",),
        ),
    ),
}
