"""Which server of which actor the running code belongs to: how a publish in a handler knows what caused it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._server import Server

current_server: ContextVar[Server | None] = ContextVar("tocsin_server", default=None)
"""Set once per server, not per delivery: the server knows what it is handling.

Inherited by tasks and worker threads that a handler starts.
"""
