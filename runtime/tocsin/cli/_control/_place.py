"""Where control sockets are unless somebody says otherwise: in a directory that is this user's alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

SUFFIX = ".sock"
_LONGEST = 40  # characters of a name; a whole path has 107 bytes on Linux, 103 elsewhere
_ODD = re.compile(r"[^A-Za-z0-9._-]|^\.")


def folders(environment: Mapping[str, str], user: int, temporary: str) -> tuple[Path, ...]:
    """Give the directories that sockets may be in, the best first.

    The one that systemd has made for the service, that of the user's session, and one of our own among the temporary
    files.
    """
    given = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    session = environment.get("XDG_RUNTIME_DIR", "")
    found = [Path(given)] if given.startswith("/") else []
    found += [Path(session, "tocsin")] if session.startswith("/") else []
    return (*found, Path(temporary, f"tocsin-{user}"))


def file_name(bus: str) -> str:
    """Give the name of the file for a bus of this name; others than plain names get a part that tells them apart."""
    plain = _ODD.sub("_", bus)[:_LONGEST]
    if plain != bus:
        digest = hashlib.sha256(bus.encode("utf-8", "surrogatepass")).hexdigest()
        plain = f"{plain}-{digest[:8]}"
    return plain + SUFFIX
