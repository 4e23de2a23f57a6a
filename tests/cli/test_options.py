"""The options of a run, and what of them changes while it runs."""

from __future__ import annotations

from tocsin.cli._options import RunOptions, changes, taken_over


def test_what_is_the_same_is_no_change() -> None:
    assert changes(RunOptions(), RunOptions()) == ()


def test_a_change_says_from_what_to_what() -> None:
    after = RunOptions(drain_timeout=5.0, log_level="debug")
    assert list(map(str, changes(RunOptions(), after))) == ["drain_timeout 30.0 → 5.0", "log_level info → debug"]


def test_a_change_that_needs_a_restart_says_so() -> None:
    (change,) = changes(RunOptions(), RunOptions(backend="trio"))
    assert str(change) == "backend asyncio → trio (takes effect at the next start)"


def test_only_what_can_change_is_taken_over() -> None:
    read = RunOptions(drain_timeout=5.0, log_level="debug", backend="trio", shutdown_deadline=1.0)
    assert taken_over(RunOptions(), read) == RunOptions(drain_timeout=5.0, log_level="debug")
