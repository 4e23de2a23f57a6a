"""What an optional part needs, and how it is told that it is not installed."""

from __future__ import annotations

import importlib.util


def lack_of(package: str, *, wanted_by: str, extra: str) -> str | None:
    """Say that *package* is not installed, and how it is had; None if it is. It is not imported."""
    return None if importlib.util.find_spec(package) is not None else not_installed(package, wanted_by, extra)


def not_installed(package: str, wanted_by: str, extra: str) -> str:
    """Say what is missing to whom, and what to do."""
    return f"{wanted_by} needs {package}, which is not installed: pip install 'tocsin[{extra}]'"
