"""Finding the declared bus, and what is said when there is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tocsin.cli._load_errors import MOST_FRAMES, CannotLoad
from tocsin.cli._loading import load_bus
from tocsin.cli._target import parse_target

WriteModule = Callable[[str, str], Path]
BUS = "from tocsin import EventBus\nbus = EventBus('shop')\n"


def why_not(target: str, app_dir: Path | None, *, factory: bool = False) -> str:
    with pytest.raises(CannotLoad) as refused:
        load_bus(parse_target(target), app_dir=app_dir, factory=factory)
    return str(refused.value)


def test_the_bus_of_a_module_is_found(write_module: WriteModule) -> None:
    folder = write_module("written_bus", BUS)
    assert load_bus(parse_target("written_bus:bus"), app_dir=folder, factory=False).name == "shop"


def test_a_bus_is_found_in_an_attribute_of_an_attribute(write_module: WriteModule) -> None:
    folder = write_module("written_deep", BUS + "class app:\n    inner = bus\n")
    assert load_bus(parse_target("written_deep:app.inner"), app_dir=folder, factory=False).name == "shop"


def test_a_factory_makes_the_bus(write_module: WriteModule) -> None:
    folder = write_module("written_factory", BUS + "def make():\n    return EventBus('made')\n")
    assert load_bus(parse_target("written_factory:make"), app_dir=folder, factory=True).name == "made"


def test_the_current_directory_is_not_searched_and_the_message_says_what_to_add(
    write_module: WriteModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_module("written_here", BUS))
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", os.getcwd())])
    assert "add --app-dir ." in why_not("written_here:bus", None)


def test_a_module_that_is_nowhere_is_named() -> None:
    assert "there is no module 'written_nowhere'" in why_not("written_nowhere.daemon:bus", None)


def test_a_missing_attribute_is_named(write_module: WriteModule) -> None:
    assert "'nothing' is missing" in why_not("written_a:nothing", write_module("written_a", BUS))


def test_something_else_than_a_bus_is_refused_by_its_class(write_module: WriteModule) -> None:
    reason = why_not("written_b:bus", write_module("written_b", "bus = 7"))
    assert "builtins.int, and no EventBus" in reason
    assert "--factory" not in reason


def test_a_function_without_factory_is_refused_with_the_hint(write_module: WriteModule) -> None:
    assert "add --factory" in why_not("written_c:make", write_module("written_c", "def make(): ..."))


def test_a_factory_that_cannot_be_called_is_refused(write_module: WriteModule) -> None:
    assert "leave --factory out" in why_not("written_d:bus", write_module("written_d", BUS), factory=True)


def test_a_factory_that_gives_something_else_is_refused(write_module: WriteModule) -> None:
    folder = write_module("written_e", "def make(): return 7")
    assert "the factory gave an object of builtins.int" in why_not("written_e:make", folder, factory=True)


def test_an_asynchronous_factory_is_refused(write_module: WriteModule) -> None:
    folder = write_module("written_f", "async def make(): ...")
    assert "must be a plain function" in why_not("written_f:make", folder, factory=True)


def test_a_factory_that_raises_is_told_with_its_line(write_module: WriteModule) -> None:
    folder = write_module("written_g", "def make():\n    raise ValueError('no')\n")
    reason = why_not("written_g:make", folder, factory=True)
    assert "the factory failed\n  builtins.ValueError: no\n" in reason
    assert "written_g.py:2, in make\n      raise ValueError('no')" in reason


def test_an_import_that_fails_is_told_with_the_line_of_the_user_and_no_traceback(write_module: WriteModule) -> None:
    reason = why_not("written_h:bus", write_module("written_h", "x = 1\ny = x / 0\n"))
    assert reason.splitlines()[1:] == [
        "  builtins.ZeroDivisionError: division by zero",
        f"  at {write_module('written_h', '')}/written_h.py:2, in <module>",
        "      y = x / 0",
    ]


def test_a_module_that_the_user_imports_and_that_is_missing_is_not_taken_for_the_users(
    write_module: WriteModule,
) -> None:
    reason = why_not("written_i:bus", write_module("written_i", "import written_missing\n"))
    assert "No module named 'written_missing'" in reason
    assert "written_i.py:1" in reason


def test_a_syntax_error_is_told_with_its_line(write_module: WriteModule) -> None:
    reason = why_not("written_j:bus", write_module("written_j", "x = = 3\n"))
    assert "written_j.py:1\n      x = = 3" in reason


def test_a_syntax_error_without_its_text_is_told_with_its_place(write_module: WriteModule) -> None:
    folder = write_module("written_k", "raise SyntaxError('bad', ('template.html', 7, 1, None))\n")
    assert why_not("written_k:bus", folder).endswith("at template.html:7")


def test_code_that_is_in_no_file_is_told_without_its_text(write_module: WriteModule) -> None:
    folder = write_module("written_l", "exec('1 / 0')\n")
    assert why_not("written_l:bus", folder).endswith("at <string>:1, in <module>")


def test_of_many_calls_the_first_and_the_last_are_told(write_module: WriteModule) -> None:
    code = "def down(n):\n    return down(n - 1) if n else 1 / 0\ndown(30)\n"
    reason = why_not("written_m:bus", write_module("written_m", code))
    assert reason.count("\n  at ") == MOST_FRAMES
    assert "… 28 more calls" in reason


def test_an_error_without_a_message_is_told_by_its_class(write_module: WriteModule) -> None:
    assert "\n  builtins.KeyError\n" in why_not("written_n:bus", write_module("written_n", "raise KeyError\n"))


def test_a_module_that_exits_while_it_is_imported_has_not_ended_us(write_module: WriteModule) -> None:
    assert "builtins.SystemExit: 3" in why_not("written_o:bus", write_module("written_o", "raise SystemExit(3)\n"))


def test_what_an_error_says_can_neither_forge_lines_nor_tell_passwords(write_module: WriteModule) -> None:
    folder = write_module("written_p", "raise OSError('\\x1b[31m\\npostgres://shop:hunter2@db')\n")
    message = why_not("written_p:bus", folder).splitlines()[1]
    assert message == "  builtins.OSError: \\x1b[31m\\npostgres://shop:***@db"
