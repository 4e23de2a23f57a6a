"""Erlang as a contender: the programs in `erlang/`, each compiled afresh and run on one core."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.cases import Case, Figures

PROGRAMS = Path(__file__).with_name("erlang")
ONE_SCHEDULER = ["+S", "1"]  # a single core, as Python has it
LIMIT = 60.0  # seconds


def erlang_case(module: str, *options: str, name: str = "Erlang") -> Case:
    """Give the contender that runs `erlang/<module>.erl`; its `main` gets the size and *options* as texts.

    It knows nothing of event loops, so it is the same contender beside each of them.
    """
    return Case(name=name, run=partial(run_erlang, module, options), program="erl", kind="peer")


def run_erlang(module: str, options: tuple[str, ...], backend: str, size: int) -> Figures:
    """Compile *module* and run it in a fresh virtual machine; *backend* means nothing to it."""
    with tempfile.TemporaryDirectory() as folder:
        compile_into(folder, "figures", module)
        emulator = ["erl", *ONE_SCHEDULER, "-noshell", "-noinput", "-pa", folder]
        line = run([*emulator, "-run", module, "main", str(size), *options], folder)
    return {key: float(value) for key, value in json.loads(line).items()}


def compile_into(folder: str, *modules: str) -> None:
    """Compile programs of `erlang/`; raise FileNotFoundError if there is no compiler."""
    if shutil.which("erlc") is None:
        raise FileNotFoundError("there is an erl but no erlc: the compiler is missing")
    run(["erlc", "-Werror", "-o", folder, *(str(PROGRAMS / f"{module}.erl") for module in modules)], folder)


def run(command: list[str], folder: str) -> str:
    """Give what *command* printed; raise RuntimeError with it if that failed."""
    variables = {**os.environ, "ERL_CRASH_DUMP": os.devnull}  # what went wrong is printed as well
    done = subprocess.run(
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout.strip()}")
    return done.stdout
