"""Compares two commits: tocsin's own cases, run in turn with the library of this tree and with that of another commit.

Both are measured with the benchmarks of this tree, so a case that the other commit cannot run yet is shown as failed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import final

from attrs import define, field

from benchmarks.cases import Case, Workload
from benchmarks.rounds import CaseFailed, Plan, run_case
from benchmarks.table import aligned, number
from benchmarks.workloads import why_left_out

ROOT = Path(__file__).resolve().parent.parent
HEADINGS = ("", "then x bare", "now x bare", "now/then", "")


@final
@define
class Pair:
    """One case with both libraries: how many times the bare loop it took, round by round."""

    name: str
    now: list[float] = field(factory=list)
    then: list[float] = field(factory=list)
    failed: str | None = None

    def row(self) -> Sequence[str]:
        if self.failed is not None:
            return [self.name, "-", "-", "-", f"FAILED {self.failed}"]
        changes = [now / then for now, then in zip(self.now, self.then, strict=True)]
        then, now, change = map(statistics.median, (self.then, self.now, changes))
        spread = f"{min(changes):.2f} to {max(changes):.2f}"
        return [self.name, number(then), number(now), f"{change:.3f}", spread]


@contextmanager
def worktree(revision: str) -> Generator[Path]:
    """Check *revision* out into a folder of its own, for a while."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "then")
        git("worktree", "add", "--quiet", "--detach", str(place), revision)
        try:
            yield place
        finally:
            git("worktree", "remove", "--force", str(place))


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)


def path_with(tree: Path) -> dict[str, str]:
    """Give the variables that let a process find the library of *tree* and the benchmarks of this one."""
    here = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    ours = {str(ROOT / "runtime"), str(ROOT / "supervisors")}
    rest = [entry for entry in here if entry and str(Path(entry).resolve()) not in ours]
    return {"PYTHONPATH": os.pathsep.join([str(tree / "runtime"), str(tree / "supervisors"), str(ROOT), *rest])}


def measure(workload: Workload, case: Case, backend: str, size: int, tree: Path, rounds: int) -> Pair:
    """Run one case with both libraries, round by round; who comes first changes each time."""
    pair = Pair(case.name)
    sides = [(pair.now, path_with(ROOT), "now"), (pair.then, path_with(tree), "then")]
    for _ in range(rounds):
        for taken, variables, when in sides:
            try:
                taken.append(run_case(workload.key, case.name, backend, size, variables)["x_bare"])
            except CaseFailed as failure:
                pair.failed = f"{when}: {failure}"
                return pair
        sides.reverse()
    return pair


def compare(workload: Workload, backend: str, tree: Path, plan: Plan) -> list[Pair]:
    """Run all of tocsin's cases of one workload."""
    size = workload.quick if plan.quick else workload.size
    pairs: list[Pair] = []
    for case in workload.cases:
        if case.kind == "tocsin" and why_left_out(case, backend) is None:
            plan.progress(f"{workload.key} {backend}: {case.name}, {plan.rounds} rounds")
            pairs.append(measure(workload, case, backend, size, tree, plan.rounds))
    return pairs


def compare_all(tree: Path, revision: str, workloads: Sequence[Workload], backends: Sequence[str], plan: Plan) -> bool:
    """Print a table for each workload and backend; tell whether no case failed."""
    passed = True
    for workload in workloads:
        for backend in backends:
            pairs = compare(workload, backend, tree, plan)
            plan.progress("")
            print(f"\n{workload.key} {workload.title}, {backend}, now beside {revision}, {plan.rounds} rounds")
            print(*aligned([HEADINGS, *(pair.row() for pair in pairs)]), sep="\n", flush=True)
            passed = passed and not any(pair.failed for pair in pairs)
    return passed


def main(revision: str, workloads: Sequence[Workload], backends: Sequence[str], plan: Plan) -> int:
    """Compare; give 1 if a case failed, 2 if there is no such commit."""
    try:
        with worktree(revision) as tree:
            return 0 if compare_all(tree, revision, workloads, backends, plan) else 1
    except subprocess.CalledProcessError as error:
        print(f"git could not check out {revision}: {error.stderr.strip()}")
        return 2
