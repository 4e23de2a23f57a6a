"""The tutorial does what it says, as a user would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_tutorial_shows_retries_dead_letters_priorities_and_a_replay(backend: str) -> None:
    paths = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "supervisors")])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "tutorial.py"), backend],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    said = done.stdout
    assert "users: 3" in said
    assert said.count("dead: ") == 3
    assert said.count("replay of letter") == 3
    assert "order of work: ['urgent', 'first', 'later']" in said
    assert "ledger: matched 17 = handled 14 + dead-lettered 3" in said
