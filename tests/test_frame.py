"""The frame around the library: dev.py, the virtual clocks, the README's code and the public names."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest

from tests import virtual_time
from tests.tiers import THOROUGH

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = [
    "tocsin",
    "tocsin.cli",
    "tocsin.codecs",
    "tocsin.durable",
    "tocsin.opentelemetry",
    "tocsin.testing",
    "tocsin.web",
    "tocsin_supervisors",
]


# ── dev.py ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def dev() -> ModuleType:
    specification = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_group_asks_for_its_own_packages_those_of_the_groups_it_includes_and_the_core_ones(dev: ModuleType) -> None:
    project = {
        "project": {"dependencies": ["anyio"]},
        "dependency-groups": {"demo": ["rich"], "test": [{"include-group": "demo"}, "pytest"]},
    }
    assert dev.requirements(project, "demo") == ["anyio", "rich"]
    assert dev.requirements(project, "test") == ["anyio", "rich", "pytest"]


def test_moving_bytes_from_one_file_to_the_next_changes_the_fingerprint(dev: ModuleType) -> None:
    assert dev.fingerprint([b"ab", b"c"]) != dev.fingerprint([b"a", b"bc"])


def test_a_stamp_of_this_key_tells_which_groups_are_there(dev: ModuleType, tmp_path: Path) -> None:
    dev.write_whole(tmp_path / "stamp.json", json.dumps({"key": "k", "groups": ["demo"]}))
    assert dev.installed_groups(tmp_path / "stamp.json", "k") == ["demo"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"key": "k"}', '{"key": "other", "groups": ["demo"]}'])
def test_a_missing_broken_or_foreign_stamp_counts_as_no_environment(
    dev: ModuleType, tmp_path: Path, content: str
) -> None:
    assert dev.installed_groups(tmp_path / "missing.json", "k") == []
    (tmp_path / "stamp.json").write_text(content)
    assert dev.installed_groups(tmp_path / "stamp.json", "k") == []


def test_what_is_chosen_by_hand_is_all_that_pytest_is_asked_for(dev: ModuleType) -> None:
    assert dev.pytest_arguments(["-k", "mailbox"]) == ["-k", "mailbox"]


def test_without_a_choice_each_test_of_the_suite_runs_once_and_all_but_the_slow_ones_are_measured(
    dev: ModuleType,
) -> None:
    def runs(arguments: list[str], *, slow: bool, real_time: bool, soak: bool) -> bool:
        marks = {"slow": slow, "real_time": real_time, "soak": soak}
        return bool(eval(arguments[arguments.index("-m") + 1], {}, marks))  # a mark expression reads as Python does

    rest = dev.pytest_arguments([])
    for slow, real_time, soak in itertools.product([False, True], repeat=3):
        measured = runs(dev.MEASURED, slow=slow, real_time=real_time, soak=soak)
        assert measured == (not soak and (not slow or real_time))
        assert measured + runs(rest, slow=slow, real_time=real_time, soak=soak) == (not soak)
    assert "--cov" in dev.MEASURED
    assert "--cov" not in rest


def test_the_files_that_the_commit_tier_leaves_out_are_there() -> None:
    assert [name for name in sorted(THOROUGH) if not (ROOT / "tests" / name).is_file()] == []


def test_the_fast_tier_leaves_out_slow_tests_and_keeps_other_arguments(dev: ModuleType) -> None:
    assert dev.pytest_arguments(["-x", "--fast"]) == [*dev.PARALLEL, "-m", dev.COMMIT_TIER, "-x"]


def test_the_long_tests_have_all_the_time_they_want(dev: ModuleType) -> None:
    arguments, seeds, hours = dev.soak_arguments(["-x"])
    assert arguments == [*dev.PARALLEL, "-m", "slow or soak", "-o", "timeout=0", "-x"]
    assert (seeds, hours) == (None, 0.0)


def test_the_long_tests_try_as_many_seeds_as_asked_for(dev: ModuleType) -> None:
    arguments, seeds, hours = dev.soak_arguments(["--seeds", "500", "tests/testing", "--hours", "8"])
    assert arguments[-2:] == ["timeout=0", "tests/testing"]
    assert (seeds, hours) == (500, 8.0)


@pytest.mark.parametrize("arguments", [["--seeds"], ["--seeds", "many"], ["--hours", "-1"]])
def test_seeds_and_hours_that_are_no_number_are_refused(dev: ModuleType, arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"must be (how many seeds|for how many hours)"):
        dev.soak_arguments(arguments)


def test_the_development_mode_runs_all_tests_in_parallel_and_without_coverage(dev: ModuleType) -> None:
    assert dev.pytest_arguments(["--dev", "-x"]) == [*dev.PARALLEL, "-x"]
    assert dev.pytest_arguments(["--dev", "--fast"]) == [*dev.PARALLEL, "-m", dev.COMMIT_TIER]


def test_a_task_finds_the_checkout_first_and_no_foreign_python_home(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    variables = dev.environment()
    assert variables["PYTHONPATH"].startswith(str(ROOT / "runtime"))
    assert "PYTHONHOME" not in variables


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    done = subprocess.run([sys.executable, ROOT / "dev.py", "brew"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "'brew'" in done.stderr
    assert "demo, test, soak, lint, bench" in done.stderr


def test_a_directory_that_is_no_environment_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    environment = {"TOCSIN_VENV": str(tmp_path), "PATH": ""}
    command = [sys.executable, str(ROOT / "dev.py"), "bench"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no virtual environment" in done.stderr
    assert (tmp_path / "precious").read_text() == "mine"


BECOME = """
import importlib.util, os, sys
specification = importlib.util.spec_from_file_location("dev", sys.argv[1])
dev = importlib.util.module_from_spec(specification)
specification.loader.exec_module(dev)
dev.become([sys.executable, "-c", sys.argv[2]], dict(os.environ))
"""
WAITS_FOR_INTERRUPTS = """
import signal, sys
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
print("ready", flush=True)
sys.stdin.read()
sys.exit(40 + len(seen))
"""


def test_a_task_gets_an_interrupt_once_and_its_exit_code_is_that_of_dev_py() -> None:
    command = [sys.executable, "-c", BECOME, str(ROOT / "dev.py"), WAITS_FOR_INTERRUPTS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as task:
        assert task.stdout is not None
        assert task.stdout.readline() == "ready\n"
        task.send_signal(signal.SIGINT)
        task.communicate("")
    assert task.returncode == 41


def test_every_file_of_the_state_machine_is_held_to_purity() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pure = configuration["tool"]["importlinter"]["contracts"][1]["source_modules"]
    files = (ROOT / "supervisors" / "tocsin_supervisors").glob("_decisions*.py")
    assert {f"tocsin_supervisors.{file.stem}" for file in files} <= set(pure)


# ── virtual time ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_hour_of_waiting_passes_at_once() -> None:
    real, virtual = time.monotonic(), anyio.current_time()
    await anyio.sleep(3600)
    assert anyio.current_time() - virtual >= 3600
    assert time.monotonic() - real < 60


@pytest.mark.real_time
async def test_a_test_marked_real_time_may_wait_for_a_thread() -> None:
    with anyio.fail_after(30):
        assert await anyio.to_thread.run_sync(lambda: 7) == 7


async def waits_for_ever() -> None:
    await anyio.Event().wait()


def test_a_deadlock_on_asyncio_is_told_with_the_waiting_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "PATIENCE", 0.01)
    with (
        asyncio.Runner(loop_factory=virtual_time.JumpingEventLoop) as runner,
        pytest.raises(virtual_time.Deadlock, match="waits_for_ever"),
    ):
        runner.run(waits_for_ever())


@pytest.mark.slow
def test_a_deadlock_on_trio_is_told_even_behind_a_shield(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests.conftest import *\nfrom tests import virtual_time as v\nv.PATIENCE = 0.01\n"
    )
    (tmp_path / "test_stuck.py").write_text(
        "import anyio\n"
        "async def test_stuck():\n"
        "    with anyio.CancelScope(shield=True):\n"
        "        await anyio.Event().wait()\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        str(ROOT / "pyproject.toml"),
        str(tmp_path),
    ]
    done = subprocess.run([*command, "-k", "trio"], cwd=tmp_path, capture_output=True, text=True)
    assert "Deadlock: every task waits" in done.stdout
    assert "in test_stuck" in done.stdout


async def test_a_task_left_behind_fails_the_test_on_asyncio(anyio_backend_name: str) -> None:
    if anyio_backend_name == "trio":
        return  # there is no way to leave one behind
    left: list[asyncio.Task[None]] = []

    async def careless() -> None:
        left.append(asyncio.create_task(waits_for_ever()))

    with pytest.raises(AssertionError, match="left tasks behind"):
        await virtual_time.leaving_no_task(careless)()
    left[0].cancel()
    await asyncio.wait(left)


# ── README and public names ──────────────────────────────────────────────────────────────────────────────────────────


def python_blocks(markdown: Path) -> list[tuple[int, str]]:
    """Give the python blocks of *markdown* with the line each begins at; none where the file is not there yet."""
    if not markdown.exists():
        return []
    text = markdown.read_text(encoding="utf-8")
    blocks = re.finditer(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    return [(text[: block.start()].count("\n") + 2, block.group(1)) for block in blocks]


def documented_runs() -> list[Any]:
    """Give each block once as it stands there; one that only defines `main` is run on both backends by us."""
    runs: list[Any] = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for line, code in python_blocks(page):
            endings = [""]
            if "async def main(" in code and "anyio.run(" not in code:
                endings = [f"\nimport anyio\nanyio.run(main, backend={backend!r})\n" for backend in ("asyncio", "trio")]
            where = f"{page.name}, line {line}"
            runs += [pytest.param(where, line, code + end, id=f"{where}, {n}") for n, end in enumerate(endings, 1)]
    return runs


@pytest.mark.slow  # a process each
@pytest.mark.parametrize(("where", "line", "code"), documented_runs())
def test_the_code_in_the_documentation_runs_as_it_stands_there(
    where: str, line: int, code: str, tmp_path: Path
) -> None:
    script = tmp_path / "example.py"
    script.write_text("\n" * (line - 1) + code, encoding="utf-8")  # so that a traceback names the page's line
    paths = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "supervisors")])
    command = [sys.executable, "-W", "error", str(script)]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, cwd=tmp_path)
    assert done.returncode == 0, f"the block of {where} failed:\n{done.stderr}"


def public_names(package: str) -> list[str]:
    return sorted(name for name in vars(importlib.import_module(package)) if not name.startswith("_"))


def own_things(package: str) -> list[tuple[str, object]]:
    """Give the classes and functions that *package* re-exports (constants carry neither docstring nor module)."""
    module = importlib.import_module(package)
    things = [(name, getattr(module, name)) for name in public_names(package)]
    return [(name, thing) for name, thing in things if inspect.isclass(thing) or inspect.isfunction(thing)]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_class_and_function_says_what_it_guarantees(package: str) -> None:
    silent = [
        name
        for name, thing in own_things(package)
        # attrs and Enum write a docstring of their own where the author wrote none
        if not thing.__doc__ or thing.__doc__.startswith(("Method generated by attrs", "An enumeration."))
    ]
    assert silent == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_thing_is_our_own(package: str) -> None:
    foreign = [name for name, thing in own_things(package) if thing.__module__.split(".")[0] not in PACKAGES]
    assert foreign == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_of_another_library_leaks_into_the_public_names(package: str) -> None:
    module = importlib.import_module(package)
    modules = [name for name in public_names(package) if inspect.ismodule(getattr(module, name))]
    submodules = {path.stem for path in Path(str(module.__file__)).parent.iterdir()}
    assert set(modules) <= submodules


# A bus reports more than a supervisor does, so this word means more in `tocsin` than in `tocsin_supervisors`.
WIDER_IN_TOCSIN = {"Report"}


def test_a_word_that_both_packages_offer_means_the_same_thing() -> None:
    runtime, supervisors = importlib.import_module("tocsin"), importlib.import_module("tocsin_supervisors")
    differing = [
        name
        for name in public_names("tocsin")
        if hasattr(supervisors, name) and getattr(runtime, name) is not getattr(supervisors, name)
    ]
    assert set(differing) - {"exceptions"} == WIDER_IN_TOCSIN
