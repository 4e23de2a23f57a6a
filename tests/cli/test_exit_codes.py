"""The table of exit codes: whole, and the same wherever it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.cli._exit_codes import MEANINGS, ExitCode, table

PAGE = Path(__file__).parents[2] / "docs" / "running.md"


def test_every_code_has_a_meaning() -> None:
    assert {str(int(code)) for code in ExitCode} <= MEANINGS.keys()


def test_the_table_fits_into_a_terminal() -> None:
    assert max(map(len, table().splitlines())) <= 80


@pytest.mark.parametrize("code", MEANINGS)
def test_the_documentation_has_every_code(code: str) -> None:
    assert f"| `{code}` |" in PAGE.read_text(encoding="utf-8")
