"""What tests of the command line share: modules to be loaded, and a process whose state they leave as it was."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

WriteModule = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take back what loading a bus and configuring a log do to the process; have control sockets apart from others'."""
    path, modules, root = list(sys.path), set(sys.modules), logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    for name in ("RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("written"):
            del sys.modules[name]
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def write_module(tmp_path: Path) -> WriteModule:
    """Write a module of a user, whose name begins with "written", and give the directory it is in."""

    def write(name: str, code: str) -> Path:
        (tmp_path / f"{name}.py").write_text(dedent(code), encoding="utf-8")
        return tmp_path

    return write
