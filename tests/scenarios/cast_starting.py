"""What the scenarios of starting and of administration have in common: views in a word, and children in each state."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs

from tests.supervisors.scripted import Gate, Theatre, settle
from tocsin_supervisors import Backoff, ChildSpec, RestartIntensity, RestartPolicy, Supervisor, SuspendChild

NEVER = RestartIntensity.never()
LONG = Backoff(initial=1000.0, maximum=1000.0)

UP = ("running", "stopping")
COMING = ("starting", "waiting", "suspended")
DOWN = ("stopped", "finished", "declined", "parked")

_SPECS: dict[str, dict[str, Any]] = {
    "waiting": {"backoff": LONG},
    "suspended": {"suspension": LONG},
    "finished": {"restart": RestartPolicy.TRANSIENT},
    "parked": {"intensity": NEVER, "on_exhausted": "park"},
}


def label(value: object) -> str:
    """Name a parameter in the id of a test: by its text, unless that is long or differs from process to process."""
    text = getattr(value, "__name__", repr(value))
    return type(value).__name__ if " at 0x" in text or len(text) > 40 else text


def ids(supervisor: Supervisor) -> list[str]:
    """Give the ids of the children, in start order."""
    return [each.id for each in supervisor.which_children()]


def states(supervisor: Supervisor) -> dict[str, str]:
    """Give the states of the children by their ids."""
    return {each.id: each.state for each in supervisor.which_children()}


def counts(supervisor: Supervisor) -> tuple[int, int, int, int]:
    """Count the children as OTP does: specs, active, supervisors, workers."""
    specs, active, supervisors, actors = attrs.astuple(supervisor.count_children())
    return specs, active, supervisors, actors


async def asked(supervisor: Supervisor, request: str, child: Any) -> Any:
    """Ask for *request*: start (by a new spec of that id), terminate, restart or delete a child, or look at it."""
    match request:
        case "start":
            return await supervisor.start_child(ChildSpec(child, anyio.sleep_forever))
        case "which":
            return supervisor.which_child(child)
        case "spec":
            return supervisor.child_spec(child)
        case _:
            return await getattr(supervisor, f"{request}_child")(child)


@asynccontextmanager
async def child_that_is(state: str) -> AsyncGenerator[Theatre, None]:
    """Run a supervisor of a child "a" that is in *state*, and of a child "b" that is up."""
    theatre = Theatre("a", "b", spec=_SPECS.get(state))
    theatre["a"].declines = state == "declined"
    async with theatre.supervisor.running():
        await _bring(theatre, state)
        assert states(theatre.supervisor) == {"a": "stopped" if state == "declined" else state, "b": "running"}
        theatre.record.reports.clear()
        theatre.record.lines.clear()
        try:
            yield theatre
        finally:
            if theatre["a"].release is not None:
                theatre["a"].release.set()


async def _bring(theatre: Theatre, state: str) -> None:
    child = theatre["a"]
    match state:
        case "stopped":
            await theatre.supervisor.terminate_child("a")
        case "stopping":
            child.release = anyio.Event()
            with anyio.move_on_after(0.1):
                await theatre.supervisor.terminate_child("a")
        case "starting":
            child.gate = Gate()
            child.crash()
        case "waiting" | "parked":
            child.crash()
        case "suspended":
            child.crash(SuspendChild("not now"))
        case "finished":
            child.finish()
        case _:
            pass  # it is up, or has declined
    await settle()
