"""The unit file for systemd that the examples offer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tocsin.cli._exit_codes import ExitCode

UNIT = Path(__file__).parents[2] / "examples" / "systemd" / "tocsin-shop.service"


def settings() -> dict[str, str]:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_what_a_restart_does_not_mend_is_not_restarted() -> None:
    codes = {int(code) for code in settings()["RestartPreventExitStatus"].split()}
    assert codes == {ExitCode.USAGE, ExitCode.NOT_LOADED}


def test_it_says_how_the_daemon_talks_to_systemd() -> None:
    assert settings()["Type"] == "notify"
    assert "WatchdogSec" in settings()
    assert settings()["ExecReload"] == "/bin/kill -HUP $MAINPID"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/shop/venv/bin/tocsin", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
