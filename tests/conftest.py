"""Both backends, virtual time, strictness: what every test of the suite stands on.

Every `async def test_…` runs twice, on asyncio and on trio, with a clock that jumps to the next deadline whenever all
tasks wait. A test that uses threads, sockets or subprocesses says so with `@pytest.mark.real_time`.
"""

from __future__ import annotations

import inspect
import logging
import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.tiers import THOROUGH
from tests.virtual_time import backend_options, leaving_no_task

if TYPE_CHECKING:
    from tocsin import EventBus

TESTS = Path(__file__).parent

# A shell that starts the suite in the background has it ignore Ctrl-C, which some tests press.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# One example may take long on a loaded machine: a deadline would only make failures random.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    print_blob=True,
    # Function-scoped `anyio_backend` is safe to share: the runner builds a new event loop for each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.differing_executors],
)
settings.register_profile("fast", settings.get_profile("ci"), max_examples=20, stateful_step_count=20)
# To find whether there is something to be found: as it is, not made small.
settings.register_profile(
    "hunt", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Each async test on both backends, on virtual time unless it is marked `real_time`."""
    real_time = request.node.get_closest_marker("real_time") is not None
    return request.param, backend_options(request.param, real_time=real_time)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests make extreme trees on purpose; what is said about trees is tested where `pytest.warns` asks for it.

    Here and not in the configuration, which would import the library before its coverage is measured. And mark those
    that are too many for each commit.
    """
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore::tocsin_supervisors.SupervisionWarning"), append=False)
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).as_posix() in THOROUGH:
            item.add_marker(pytest.mark.thorough)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Hold async tests to more than their asserts: no deadlock, no task left behind."""
    backend, options = _backend_of(pyfuncitem)
    if backend == "asyncio" and inspect.iscoroutinefunction(pyfuncitem.obj):
        pyfuncitem.obj = leaving_no_task(pyfuncitem.obj)
    try:
        return (yield)
    finally:
        # asyncio's selector raises a deadlock by itself; on trio the watch can only cancel the test.
        for watch in options.get("instruments", ()):
            if watch.deadlock is not None:
                raise watch.deadlock


def _backend_of(item: pytest.Function) -> tuple[str, dict[str, Any]]:
    backend = cast("tuple[str, dict[str, Any]] | None", item.funcargs.get("anyio_backend"))
    return backend or ("", {})


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Write no log: thousands of dead letters are nothing to tell of."""
    caplog.set_level(logging.CRITICAL, logger="tocsin")


@pytest.fixture
def make_bus() -> Iterator[Callable[..., EventBus]]:
    """Make buses by `make_bus(name="test", **options)`; at the end of the test each one's ledger must balance."""
    from tocsin import EventBus

    made: list[EventBus] = []

    def make(name: str = "test", **options: Any) -> EventBus:
        made.append(EventBus(name, **options))
        return made[-1]

    yield make
    for bus in made:
        ledger = bus.statistics().ledger
        assert ledger.balanced, f"{bus!r} lost a delivery or counted one twice, its ledger does not balance: {ledger!r}"
