#!/usr/bin/env python3
"""The tasks of a checkout; needs nothing but Python 3.11 or newer.

    python3 dev.py demo [options]      run the example daemon, examples/webhooks (options go to it: try --help)
    python3 dev.py test                run the whole test suite, with the coverage gate
    python3 dev.py test ARGUMENTS      run pytest with these arguments, without coverage
    python3 dev.py test --fast [...]   the tier to run before a commit: few examples, no slow tests
    python3 dev.py test --dev [...]    in Python's development mode (-X dev -W error, in the processes it starts too)
    python3 dev.py soak [options]      run the long tests alone; --seeds N: so many seeds in each simulation, --hours H:
                                       again and again with new seeds, for so long; other options are pytest's
    python3 dev.py lint                run every static check
    python3 dev.py bench [options]     run the benchmarks

Each task first makes or mends the virtual environment `.venv` (TOCSIN_VENV names another place) with uv if that is on
PATH, else with venv and pip. Only what the task needs is installed, in the versions of requirements-dev.txt.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time

if sys.version_info < (3, 11):  # noqa: UP036  said here because an older Python cannot even import what follows
    newer = [name for name in ("python3.13", "python3.12", "python3.11") if shutil.which(name)]
    advice = f"run it as `{newer[0]} dev.py …`" if newer else "install a newer one and run dev.py with it"
    sys.exit("dev.py needs Python 3.11 or newer, and this is {}.{}: {}".format(*sys.version_info[:2], advice))

import tomllib
from collections.abc import Generator
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get("TOCSIN_VENV") or ROOT / ".venv").absolute()
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
APART = VENV / "apart"  # what would mislead the type checker lies here, where only the benchmarks look
PINS = ROOT / "requirements-dev.txt"
STAMP = VENV / "tocsin-stamp.json"  # written last, so a half-made environment is never taken for a whole one
PARALLEL = ["-n", "2", "--dist", "worksteal"]  # half the time on the two cores that any machine has by now
# The slow tests repeat with larger numbers what the others do: what they cover tells nothing new, and measuring that
# would double their time. Those in real time spend theirs waiting.
MEASURED = [*PARALLEL, "--cov", "--cov-report=term-missing:skip-covered", "-m", "not soak and (not slow or real_time)"]
COMMIT_TIER = "not slow and not soak and not thorough"
UNMEASURED = [*PARALLEL, "-m", "slow and not soak and not real_time"]

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "pyright": ["basedpyright"],  # pyright itself, but it comes whole from the package index: no node, no npm
    "public types of tocsin": ["basedpyright", "--ignoreexternal", "--verifytypes", "tocsin"],
    "public types of tocsin_supervisors": ["basedpyright", "--ignoreexternal", "--verifytypes", "tocsin_supervisors"],
    "layers": ["lint-imports"],
}


# ── the virtual environment ──────────────────────────────────────────────────────────────────────────────────────────


def requirements(project: dict[str, Any], group: str) -> list[str]:
    """List what *group* of a parsed pyproject.toml asks for, included groups and the library's own needs too."""
    found = list(project["project"]["dependencies"])
    for entry in project["dependency-groups"][group]:
        found += [entry] if isinstance(entry, str) else requirements(project, entry["include-group"])
    return list(dict.fromkeys(found))


def fingerprint(parts: list[bytes]) -> str:
    """Hash what an environment was made from; each part counts with its length, so no two lists look the same."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part) + part)
    return digest.hexdigest()


def current_key() -> str:
    """Name the environment this checkout needs now. The place is part of it: environments do not survive a move."""
    files = [path.read_bytes() for path in (ROOT / "pyproject.toml", PINS) if path.exists()]
    return fingerprint([*files, sys.version.encode(), os.fsencode(VENV)])


def installed_groups(stamp: Path, key: str) -> list[str]:
    """Read which groups the environment holds; none if it was made for something else, only in part or not at all."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(stamp.read_text())
        if content["key"] == key:
            return list(content["groups"])
    return []


@contextlib.contextmanager
def alone() -> Generator[None]:
    """Let one dev.py at a time change the environment; the lock ends with its holder, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows: without the lock two first runs at once may disturb each other
        yield
        return
    VENV.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{VENV}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another dev.py to finish {VENV}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare(group: str) -> None:
    """Make sure that the environment holds *group*; costs a few milliseconds when it does."""
    key = current_key()
    if group in installed_groups(STAMP, key) and PYTHON.exists():
        return
    with alone():
        have = installed_groups(STAMP, key)
        if group in have and PYTHON.exists():
            return  # another dev.py was faster
        say(f"preparing {VENV} for `{group}` (about a quarter of a minute, only this time)")
        if not (have and PYTHON.exists()):
            make_environment()
        STAMP.unlink(missing_ok=True)  # an interrupted installation must not pass for a finished one
        install(group)
        write_whole(STAMP, json.dumps({"key": key, "groups": [*have, group]}))


def make_environment() -> None:
    if VENV.exists() and not (VENV / "pyvenv.cfg").exists() and any(VENV.iterdir()):
        sys.exit(f"{VENV} exists and is no virtual environment: move it away, or name another place in TOCSIN_VENV")
    shutil.rmtree(VENV, ignore_errors=True)
    uv = shutil.which("uv")
    if uv is None and importlib.util.find_spec("ensurepip") is None:
        sys.exit(
            "this Python has no ensurepip, so it cannot make virtual environments: install it (Debian, Ubuntu: "
            "`apt install python3-venv`) or install uv (https://docs.astral.sh/uv/), and run the same command again"
        )
    make = [uv, "venv", "--quiet", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    run_quietly([*make, str(VENV)], "the virtual environment could not be made")


def install(group: str) -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    wanted = requirements(project, group)
    apart = project["tool"]["tocsin"]["apart"].get(group, [])
    uv = shutil.which("uv")
    pip = [uv, "pip", "install", "--python", str(PYTHON)] if uv else [str(PYTHON), "-m", "pip", "install", "--no-input"]
    pins = ["--constraint", str(PINS)] if PINS.exists() else []
    failure = "the packages could not be installed (is the package index in reach?)"
    run_quietly([*pip, "--quiet", *pins, *wanted], failure)
    if apart:
        run_quietly([*pip, "--quiet", "--upgrade", "--no-deps", "--target", str(APART), *apart], failure)


def run_quietly(command: list[str], failure: str) -> None:
    """Run *command*; show what it said only if it failed, and end with *failure* then."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        sys.exit(f"{failure}: `{' '.join(command)}` ended with {done.returncode}")


def write_whole(path: Path, text: str) -> None:
    """Write *path* so that no reader, and no crash, ever meets half of it."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    os.replace(draft, path)


# ── the tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def environment() -> dict[str, str]:
    """Give the variables a task runs with: this checkout's packages and the environment's programs come first."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    variables["PYTHONPATH"] = os.pathsep.join(str(ROOT / part) for part in ("runtime", "supervisors", ""))
    variables["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    variables["VIRTUAL_ENV"] = str(VENV)
    return variables


def become(command: list[str], variables: dict[str, str]) -> NoReturn:
    """Turn this process into *command*, so that signals reach it once and its exit code is ours."""
    sys.stdout.flush()
    if os.name != "nt":
        os.execve(command[0], command, variables)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the console tells the child too; we only wait for it
    sys.exit(subprocess.call(command, env=variables))


def module(name: str, *arguments: str) -> list[str]:
    # -P: a file in the current directory must not stand in for a module of the library.
    return [str(PYTHON), "-P", "-m", name, *arguments]


def demo(arguments: list[str]) -> NoReturn:
    prepare("demo")
    become(module("examples.webhooks", *arguments), environment())  # from where the user is: options may name files


def pytest_arguments(arguments: list[str]) -> list[str]:
    """Turn the arguments of `dev.py test` into pytest's: a selection of tests cannot meet the coverage gate."""
    tiers = {"--fast", "--dev"}.intersection(arguments)
    if not tiers:
        return arguments or UNMEASURED
    selection = ["-m", COMMIT_TIER] if "--fast" in tiers else []
    return [*PARALLEL, *selection, *(argument for argument in arguments if argument not in tiers)]


def test(arguments: list[str]) -> NoReturn:
    prepare("test")
    os.chdir(ROOT)
    variables = environment()
    if "--fast" in arguments:
        variables["HYPOTHESIS_PROFILE"] = "fast"
    if "--dev" in arguments:
        # Not as options of the interpreter: those who run the tests in parallel do not hand them on.
        variables |= {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}
    measured = 0 if arguments else subprocess.run(module("pytest", *MEASURED), env=variables).returncode
    rest = module("pytest", *pytest_arguments(arguments))
    if measured:
        subprocess.run(rest, env=variables)  # whoever mends the first half wants to know of the second
        sys.exit(measured)
    become(rest, variables)


def soak(arguments: list[str]) -> NoReturn:
    rest, seeds, hours = soak_arguments(arguments)
    prepare("test")
    os.chdir(ROOT)
    variables = environment() | ({} if seeds is None else {"TOCSIN_SEEDS": str(seeds)})
    end, first = time.monotonic() + hours * 3600, 0
    while True:
        say(f"the long tests, with seeds from {first} on")
        done = subprocess.run(module("pytest", *rest), env=variables | {"TOCSIN_FIRST_SEED": str(first)})
        if done.returncode or time.monotonic() >= end:
            sys.exit(done.returncode)
        first += 1000 if seeds is None else seeds  # more than any test tries by itself


def soak_arguments(arguments: list[str]) -> tuple[list[str], int | None, float]:
    """Turn the arguments of `dev.py soak` into pytest's; how many seeds to try, and for how many hours."""
    seeds, arguments = number_after("--seeds", "how many seeds each simulation is to try, such as 10000", arguments)
    hours, arguments = number_after("--hours", "for how many hours to go on, such as 8", arguments)
    # Each test may take hours: who soaks looks at the clock.
    rest = [*PARALLEL, "-m", "slow or soak", "-o", "timeout=0", *arguments]
    return rest, None if seeds is None else int(seeds), 0.0 if hours is None else float(hours)


def number_after(option: str, what: str, arguments: list[str]) -> tuple[str | None, list[str]]:
    """Take *option* and its number out of *arguments*; None if it is not there."""
    if option not in arguments:
        return None, arguments
    place = arguments.index(option)
    number = arguments[place + 1] if place + 1 < len(arguments) else ""
    if not number.isdecimal():
        sys.exit(f"dev.py soak: {option} {number}: must be {what}")
    return number, arguments[:place] + arguments[place + 2 :]


def bench(arguments: list[str]) -> NoReturn:
    prepare("bench")
    os.chdir(ROOT)
    variables = environment()
    variables["PYTHONPATH"] += f"{os.pathsep}{APART}"
    become(module("benchmarks", *arguments), variables)


def lint(arguments: list[str]) -> NoReturn:
    if arguments:
        sys.exit(f"lint takes no arguments, got {' '.join(arguments)}: it always runs every check")
    prepare("lint")
    os.chdir(ROOT)
    failed = [name for name, command in CHECKS.items() if not passes(name, command)]
    if failed:
        sys.exit(f"lint: failed: {', '.join(failed)}")
    print(f"lint: all {len(CHECKS)} checks passed")
    sys.exit(0)


def passes(name: str, command: list[str]) -> bool:
    """Run one check and tell in a line how it went and how long it took; its own words only if it failed."""
    started = time.monotonic()
    program = shutil.which(command[0], path=str(BIN)) or command[0]
    done = subprocess.run(
        [program, *command[1:]], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    verdict = "failed" if done.returncode else "ok"
    print(f"{name:36} {verdict:6} {time.monotonic() - started:5.1f} s", flush=True)
    if done.returncode:
        print(done.stdout, flush=True)
    return done.returncode == 0


def say(text: str) -> None:
    print(f"dev.py: {text}", file=sys.stderr, flush=True)


TASKS = {"demo": demo, "test": test, "soak": soak, "lint": lint, "bench": bench}


def main(arguments: list[str]) -> NoReturn:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(__doc__)
        sys.exit(0 if arguments else 2)
    task = TASKS.get(arguments[0])
    if task is None:
        sys.exit(f"dev.py: there is no task {arguments[0]!r}: use one of {', '.join(TASKS)} (or --help)")
    task(arguments[1:])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
