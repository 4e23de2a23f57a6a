"""Which tests the commit tier leaves out, beside those that are slow one by one."""

from __future__ import annotations

# By file, as each has many tests that take a little long: together half the time of all that are not slow. `dev.py
# test` runs them, and measures what they cover. What they try again and again is tested once by the others.
THOROUGH = frozenset(
    {
        "cli/control/test_command_line.py",
        "cli/control/test_top.py",
        "cli/dlq/test_command_line.py",
        "cli/dlq/test_offline.py",
        "cli/test_command_line.py",
        "durable/test_relay.py",
        "durable/test_sqlite.py",
        "durable/test_trouble.py",
        "durable/test_visiting.py",
        "examples/test_frameworks.py",
        "opentelemetry/test_tracing.py",
        "opentelemetry/test_under_faults.py",
        "properties/test_conservation.py",
        "properties/test_every_schedule.py",
        "properties/test_metamorphic.py",
        "runtime/test_cancel_at_every_step.py",
        "runtime/test_fork.py",
        "runtime/test_isolation.py",
        "runtime/test_poison_or_sick.py",
        "scenarios/test_cancel_at_every_step.py",
        "scenarios/test_hot_restart_loops.py",
        "scenarios/test_option_matrix.py",
        "supervisors/test_supervisor_stalls.py",
        "testing/test_faults.py",
        "web/test_serving.py",
    }
)
