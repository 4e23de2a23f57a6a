"""Look for leaks: let children crash and be restarted a million times, nobody collecting, and see what is left.

    python3 dev.py bench --leaks                                  a million crashes on each backend: ten minutes or so
    python3 dev.py bench --leaks --crashes 100000 --backend trio --json leaks.json

Must hold: not one object is left (the same number of each type before and after), and the resident memory grows by at
most a byte per crash. Each backend is measured in a process of its own, with the garbage collector switched off, so
that circles show as well. Before that come a tenth as many crashes that are not counted, so that what grows once has
grown: caches, and what the interpreter keeps of freed memory for the next time.

A child whose own task group is cancelled leaves a circle of the backend's own making, supervised or not: of anyio's
`task_done` on asyncio, of trio's nursery and `Cancelled`. None of the children here does that.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import sys
import time
import warnings
from array import array
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from statistics import linear_regression
from typing import Any, NoReturn

import anyio
import attrs

from benchmarks.machine import machine
from benchmarks.storms import NEVER_TRIPS, Storm, count_kinds, growth, uncollected
from tocsin_supervisors import Backoff, ChildContext, ChildSpec, SupervisionWarning, Supervisor

SAMPLES = 100
WARM_UP = 10  # samples that are thrown away
MIN_WARM_UP = 50_000  # crashes; on trio, which keeps up to a thousand deadlines, it takes some 30,000
MAX_BYTES = 1.0  # per crash; a leak of one object would be fifty or more
STATM = Path("/proc/self/statm")


# ── the children ──


# Each child fails of its own cause. Of one that three have in common, they would be held until it has passed.
class Plain(Exception): ...


class Told(Exception): ...


class Again(Exception): ...


AGAIN = Again("the same instance each time", bytearray(1000))


def fail(error: Exception) -> NoReturn:
    """Raise *error* from a cause."""
    try:
        raise OSError("the cause", bytearray(100))
    except OSError as cause:
        raise error from cause


def children(storm: Storm) -> list[ChildSpec]:
    """Give one child for each way to fail."""

    async def plain() -> None:
        await storm.turn()
        fail(Plain("a new one each time", bytearray(1000)))

    async def told(context: ChildContext) -> None:
        context.on_stop(lambda: None)
        context.started()
        await storm.turn()
        fail(Told("a new one each time", bytearray(1000)))

    async def again() -> None:
        await storm.turn()
        fail(AGAIN)

    async def grouped(context: ChildContext) -> None:
        context.started()
        await storm.turn()
        inner = ExceptionGroup("inner", [AGAIN, KeyError(bytearray(1000))])
        fail(ExceptionGroup("outer", [Plain(bytearray(1000)), inner]))

    async def of_tasks() -> None:
        async def task(error: Exception) -> None:
            fail(error)

        await storm.turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(task, Plain(bytearray(1000)))
            tasks.start_soon(task, AGAIN)

    starts = (plain, told, again, grouped, of_tasks)
    return [ChildSpec(start.__name__, start, backoff=Backoff.none(), intensity=NEVER_TRIPS) for start in starts]


# ── measuring ──


class Probe:
    """Takes samples and leaves nothing behind itself: the room for them is made beforehand."""

    def __init__(self, room: int) -> None:
        self.crashes = array("q", bytes(8 * room))
        self.objects = array("q", bytes(8 * room))
        self.blocks = array("q", bytes(8 * room))
        self.resident = array("q", bytes(8 * room))
        self._taken = 0
        self._began = 0.0
        self._statm = os.open(STATM, os.O_RDONLY) if STATM.exists() else None

    def begin(self) -> None:
        """Forget the samples taken so far: they were for warming up."""
        self._taken = 0
        self._began = time.perf_counter()

    def seconds(self) -> float:
        """Give the time since `begin`."""
        return time.perf_counter() - self._began

    def take(self, crashes: int) -> None:
        """Take the next sample, after so many crashes."""
        number, self._taken = self._taken, self._taken + 1
        self.crashes[number] = crashes
        # Those made since the collector was switched off: a list of all would be the largest thing there is.
        self.objects[number] = len(gc.get_objects(generation=0))
        self.blocks[number] = sys.getallocatedblocks()
        self.resident[number] = self._resident()

    def _resident(self) -> int:
        if self._statm is not None:
            return int(os.pread(self._statm, 100, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def slope(self, figures: array[int]) -> float:
        """Give by how much *figures* grow per crash: the slope of the straight line that fits them best."""
        return linear_regression(self.crashes, figures).slope

    def samples(self) -> list[dict[str, int]]:
        names = ("crashes", "objects", "blocks", "resident")
        rows = zip(self.crashes, self.objects, self.blocks, self.resident, strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]


@attrs.frozen
class Findings:
    """What was found on one backend."""

    backend: str
    crashes: int
    seconds: float
    bytes_per_crash: float
    blocks_per_crash: float
    grown: dict[str, int]  # type → objects more (or fewer) than before
    samples: list[dict[str, int]] = attrs.field(repr=False)

    @property
    def objects_left(self) -> int:
        return sum(self.grown.values())

    @property
    def passed(self) -> bool:
        return not self.grown and self.bytes_per_crash <= MAX_BYTES


def measure(backend: str, crashes: int) -> Findings:
    """Have *crashes* crashes happen on *backend*, or a few fewer, and give what is left of them."""
    return anyio.run(_measured, backend, crashes // SAMPLES, backend=backend)


async def _measured(backend: str, per_sample: int) -> Findings:
    storm, probe = Storm(), Probe(SAMPLES)
    before: Counter[type] = Counter()
    after: Counter[type] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SupervisionWarning)  # a hot loop is what this is about
        supervisor = Supervisor("leaks", children(storm), intensity=NEVER_TRIPS)
    async with supervisor.running():
        with uncollected():
            _progress(backend, 0)
            await storm.rage(1000)
            probe.take(0)  # in vain, so that what it needs once is there
            await storm.calm()
            count_kinds(before)
            for _ in range(WARM_UP):
                await storm.rage(max(per_sample, MIN_WARM_UP // WARM_UP))
                probe.take(0)
            probe.begin()
            for number in range(1, SAMPLES + 1):
                await storm.rage(per_sample)
                probe.take(number * per_sample)
                if number % 10 == 0:
                    _progress(backend, number * per_sample)
            seconds = probe.seconds()
            await storm.calm()
            count_kinds(after)
    return Findings(
        backend=backend,
        crashes=SAMPLES * per_sample,
        seconds=seconds,
        bytes_per_crash=probe.slope(probe.resident),
        blocks_per_crash=probe.slope(probe.blocks),
        grown=growth(before, after),
        samples=probe.samples(),
    )


def _progress(backend: str, crashes: int) -> None:
    print(f"{backend}: {crashes:,} crashes{'' if crashes else ', warming up'}", file=sys.stderr, flush=True)


# ── the command ──


def show(findings: Findings) -> None:
    """Print the row of one backend, and what is left if anything is."""
    each = findings.seconds / findings.crashes * 1e6
    left = f"{findings.objects_left:,} ({findings.objects_left / findings.crashes:.3f})"
    row = f"{findings.backend:9}{findings.crashes:>10,}{findings.seconds:>9.1f}{each:>10.1f}{left:>22}"
    slopes = f"{findings.bytes_per_crash:>12.4f}{findings.blocks_per_crash:>14.6f}"
    print(f"{row}{slopes}  {'pass' if findings.passed else 'FAIL'}")
    for kind, change in islice(findings.grown.items(), 10):
        print(f"{'':9}{change:>+10,} {kind}")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --leaks", description="What crashes and restarts leave behind: it must be nothing."
    )
    parser.add_argument("--crashes", type=int, default=1_000_000, help="on each backend (default 1,000,000)")
    parser.add_argument("--backend", choices=["asyncio", "trio", "both"], default="both", help="default: both")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and all samples there, too")
    options = parser.parse_args(arguments)
    if options.crashes < 100_000:
        parser.error(f"--crashes {options.crashes}: must be 100,000 or more, for fewer a page of memory decides")
    return options


def main(arguments: list[str]) -> NoReturn:
    """Measure, and end with 1 if anything is left."""
    options = parse(arguments)
    backends = ["asyncio", "trio"] if options.backend == "both" else [options.backend]
    found: list[Findings] = []
    facts = machine()
    print(*(f"{key}: {value}" for key, value in facts.items()), sep="\n")
    print(f"\n{'':9}{'crashes':>10}{'seconds':>9}{'µs/crash':>10}{'objects left (each)':>22}", end="")
    print(f"{'bytes/crash':>12}{'blocks/crash':>14}", flush=True)
    for backend in backends:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            found.append(process.submit(measure, backend, options.crashes).result())
        show(found[-1])
    if options.json is not None:
        result: dict[str, Any] = {"machine": facts, "leaks": [attrs.asdict(each) for each in found]}
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.exit(0 if all(each.passed for each in found) else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
