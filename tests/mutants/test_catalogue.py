"""The catalogue of bugs fits the source as it is. Whether they are found, `python -m tests.mutants` says."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.catalogue import HARNESSES, Bug, bugs, source_of
from tests.mutants.subjects import SUBJECTS
from tests.mutants.survivors import survivors
from tests.tables import ROOT


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.what)
def test_a_bug_can_be_made_in_the_source_as_it_is(bug: Bug) -> None:
    source = source_of(bug)
    ast.parse(bug.in_source(source))
    assert bug.in_source(source) != source


def test_there_are_at_least_forty_each_with_a_harness_that_there_is() -> None:
    found = bugs()
    assert len(found) >= 40
    assert len({bug.what for bug in found}) == len(found)
    assert {name for bug in found for name in bug.found_by} <= HARNESSES.keys()


def test_every_survivor_of_the_sweep_is_a_change_of_the_source_as_it_is() -> None:
    for survivor in survivors():
        lines = [line.strip() for line in (ROOT / survivor.file).read_text().splitlines()]
        for before, _ in survivor.changes:
            assert set(before.split(" ⏎ ")) <= set(lines), f"{survivor.file} has no {before!r} any more"


def test_every_subject_of_the_sweep_has_its_files_and_tests() -> None:
    for subject in SUBJECTS.values():
        tests = [path for group in subject.tests for path in group]
        assert all((ROOT / path).exists() for path in (*subject.files, *tests))


def test_every_harness_has_its_tests() -> None:
    assert all((ROOT / arguments[0]).exists() for arguments in HARNESSES.values())
