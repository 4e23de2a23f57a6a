"""The command line in this process: what is understood, what is refused, and what comes from where."""

from __future__ import annotations

import builtins
import importlib.util
import json
import logging
import os
import runpy
import signal
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from cyclopts import CycloptsError

from tocsin.cli import _app as app_module
from tocsin.cli import main
from tocsin.cli._app import options_in
from tocsin.cli._commands import run_bus
from tocsin.cli._exit_codes import ExitCode
from tocsin.cli._main import forget_current_directory
from tocsin.cli._options import RunOptions

WriteModule = Callable[[str, str], Path]

STOPS_BY_ITSELF = """
    import anyio
    from tocsin import EventBus, handles
    bus = EventBus("shop")

    @bus.actor(name="work")
    class Work:
        async def started(self) -> None:
            await bus.publish(7)

        @handles(int)
        async def work(self, number: int) -> None:
            while bus.statistics().phase == "starting":
                await anyio.sleep(0.01)
            bus.request_stop()
"""


@pytest.fixture
def toml(tmp_path: Path) -> Callable[[str], str]:
    """Write a configuration, and give its path."""

    def write(text: str) -> str:
        path = tmp_path / "bus.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


# ── where options come from ──


def test_without_anything_the_options_have_their_defaults() -> None:
    assert options_in(["run", "shop:bus"]) == RunOptions()


def test_the_file_is_stronger_than_the_default(toml: Callable[[str], str]) -> None:
    path = toml('[run]\ndrain-timeout = 5\nbackend = "trio"\nreload_dir = ["a", "b"]\n')
    options = options_in(["run", "shop:bus", "--config", path])
    assert (options.drain_timeout, options.backend, options.reload_dir) == (5.0, "trio", (Path("a"), Path("b")))


def test_the_environment_is_stronger_than_the_file(toml: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_RUN_DRAIN_TIMEOUT", "9")
    path = toml('[run]\ndrain-timeout = 5\nbackend = "trio"\n')
    options = options_in(["run", "shop:bus", "--config", path])
    assert (options.drain_timeout, options.backend) == (9.0, "trio")


def test_the_command_line_is_stronger_than_the_environment(
    toml: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_RUN_DRAIN_TIMEOUT", "9")
    tokens = ["run", "shop:bus", "--drain-timeout", "1", "--config", toml("[run]\ndrain-timeout = 5\n")]
    assert options_in(tokens).drain_timeout == 1.0


def test_the_environment_may_name_the_file(toml: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_RUN_CONFIG", toml("[run]\ndrain-timeout = 5\n"))
    assert options_in(["run", "shop:bus"]).drain_timeout == 5.0


def test_the_file_of_another_command_is_left_alone(toml: Callable[[str], str]) -> None:
    path = toml('[graph]\nformat = "json"\n')
    assert options_in(["run", "shop:bus", "--config", path]).drain_timeout == 30.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\ndrain-timoeut = 5\n", "drain-timoeut"),
        ("[run]\ntarget = 'shop:bus'\n", "target"),
        ("[rnu]\ndrain-timeout = 5\n", "rnu. Allowed are the tables ["),
        ("drain-timeout = 5\n", "drain-timeout. Allowed are the tables"),
        ("[run]\ndrain-timeout = 'soon'\n", "unable to convert"),
        ("[run]\ndrain-timeout = -1\n", "must be seconds, 0 or more"),
        ("[run]\nbackend = 'curio'\n", "asyncio"),
        ("[run\n", "TOMLDecodeError"),
        ("run = 5\n", "must be a mapping"),
    ],
)
def test_a_file_with_something_wrong_is_refused(
    toml: Callable[[str], str], capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    assert main(["run", "shop:bus", "--config", toml(text)]) == ExitCode.USAGE
    assert message in capsys.readouterr().err


def test_a_file_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", "shop:bus", "--config", str(tmp_path / "none.toml")]) == ExitCode.USAGE
    assert "none.toml cannot be read: No such file or directory" in capsys.readouterr().err


def test_a_variable_of_ours_that_means_nothing_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_RUN_DRAINTIMEOUT", "9")
    assert main(["run", "shop:bus"]) == ExitCode.USAGE
    assert "Unknown variable: TOCSIN_RUN_DRAINTIMEOUT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["run"], "MODULE:BUS"),
        (["rnu", "shop:bus"], 'Did you mean "run"'),
        (["run", "shop:bus", "--drain-timoeut", "3"], "--drain-timeout"),
        (["run", "shop:bus", "--drain-timeout", "nan"], "must be seconds, 0 or more"),
        (["run", "shop:bus", "--drain-timeout", "inf"], "must be seconds, 0 or more"),
        (["run", "shop:bus", "--shutdown-deadline", "-1"], "must be seconds, 0 or more"),
        (["run", "shop:bus", "--backend", "curio"], "--backend"),
        (["run", "shop"], "must be MODULE:BUS"),
        (["run", "shop:__dict__"], "two underscores"),
        (["run", "shop:bus", "--store", "sqlite:"], "must be a file"),
        (["run", "shop:bus", "--http", "9464"], "must be an address and a port"),
        (["run", "shop:bus", "--http", "0.0.0.0:9464"], "say so by --http-exposed"),
        (["graph", "shop"], "must be MODULE:BUS"),
        (["graph", "shop:bus", "--format", "svg"], "--format"),
        (["run", "shop:bus", "--reload", "--reload-dir", "/nowhere/at/all"], "is no directory to watch"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], tokens: list[str], message: str
) -> None:
    assert main(tokens) == ExitCode.USAGE
    told = capsys.readouterr()
    assert message in told.err
    assert len(told.err.splitlines()) == 1
    assert told.out == ""


def test_a_refusal_cannot_reach_the_terminal(toml: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "shop:bus", "--config", toml('[run]\n"\\u001b]52;c;aGk=\\u0007" = 1\n')])
    assert "\x1b" not in capsys.readouterr().err


def test_without_trio_its_backend_is_refused_with_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def finds_nothing(name: str) -> None: ...

    monkeypatch.setattr(importlib.util, "find_spec", finds_nothing)
    assert main(["run", "shop:bus", "--backend", "trio"]) == ExitCode.USAGE
    assert "pip install 'tocsin[trio]'" in capsys.readouterr().err


# ── help ──


def test_help_has_options_with_their_variables_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == ExitCode.IN_ORDER
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for word in ("MODULE:BUS", "--drain-timeout", "TOCSIN_RUN_BACKEND", "Exit codes:", "(EX_TEMPFAIL)"):
        assert word in told
    assert "TOCSIN_RUN_MODULE" not in told


def test_without_a_command_the_help_is_shown_and_the_usage_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ExitCode.USAGE
    assert "graph" in capsys.readouterr().out


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_version_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    def version(name: str) -> str:
        if is_installed:
            return f"{name} 1.2"
        raise PackageNotFoundError

    monkeypatch.setattr(app_module, "version", version)
    assert main(["--version"]) == ExitCode.IN_ORDER
    assert capsys.readouterr().out.strip() == ("tocsin 1.2" if is_installed else "of a checkout")


# ── the extra ──


@pytest.mark.parametrize("name", ["cyclopts", "watchfiles"])
def test_without_the_extra_one_line_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    ours = ("tocsin.cli._app", "tocsin.cli._commands", "tocsin.cli._configuration", "tocsin.cli._reloading")
    for module in [each for each in sys.modules if each.startswith((*ours, "cyclopts", "watchfiles"))]:
        monkeypatch.delitem(sys.modules, module)
    true_import = builtins.__import__

    def without(wanted: str, *rest: Any, **more: Any) -> Any:
        if wanted.partition(".")[0] == name:
            raise ModuleNotFoundError(f"No module named {wanted!r}", name=name)
        return true_import(wanted, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["run", "shop:bus", "--reload"]) == ExitCode.USAGE
    assert capsys.readouterr().err == (
        f"tocsin: the command line needs {name}, which is not installed: pip install 'tocsin[cli]'\n"
    )


def test_another_module_that_is_missing_is_not_taken_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(tokens: object, *, may_watch: bool) -> int:
        raise ModuleNotFoundError("No module named 'of_ours'", name="of_ours")

    monkeypatch.setattr(app_module, "call", missing)
    with pytest.raises(ModuleNotFoundError, match="of_ours"):
        main(["run", "shop:bus"])


# ── running ──


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_bus_is_run_to_its_end(
    write_module: WriteModule, caplog: pytest.LogCaptureFixture, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"written_{backend}"
    folder = write_module(name, STOPS_BY_ITSELF)
    monkeypatch.setattr(sys, "argv", ["tocsin", "run", f"{name}:bus", "--app-dir", str(folder), "--backend", backend])
    assert main() == ExitCode.IN_ORDER
    assert [message for message in caplog.messages if message.startswith("bus")] == ["bus shop runs, 1 actors"]
    assert caplog.messages[-1] == "stopped"


def test_likely_mistakes_are_logged_before_the_bus_runs_and_what_is_worth_knowing_is_not(
    write_module: WriteModule, caplog: pytest.LogCaptureFixture
) -> None:
    # A limit of its own that the supervisor's can never be below is a note.
    limits = "grace_period=60.0, intensity=RestartIntensity(2, 60.0)"
    code = STOPS_BY_ITSELF.replace('"work"', f'"work", {limits}').replace("EventBus, ", "EventBus, RestartIntensity, ")
    folder = write_module("written_warned", code.replace('"shop"', '"shop", intensity=RestartIntensity(2, 60.0)'))
    assert main(["run", "written_warned:bus", "--app-dir", str(folder)]) == ExitCode.IN_ORDER
    assert caplog.messages[0].startswith("shop: child 'work' may take longer to stop")
    assert [each.partition(":")[0] for each in caplog.messages[1:]] == [
        "control socket",
        "bus shop runs, 1 actors",
        "stopped",
    ]


def test_a_bus_that_cannot_be_loaded_has_its_own_exit_code(
    write_module: WriteModule, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_module("written_broken", "1 / 0\n")
    for command in ("run", "graph"):
        assert main([command, "written_broken:bus", "--app-dir", str(folder)]) == ExitCode.NOT_LOADED
        assert "written_broken.py:1" in capsys.readouterr().err


def test_check_prints_the_findings_and_runs_nothing(
    write_module: WriteModule, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_module("written_check", STOPS_BY_ITSELF.replace('"work"', '"work", grace_period=60.0'))
    tokens = ["run", "written_check:bus", "--app-dir", str(folder), "--check"]
    assert main(tokens) == ExitCode.FINDINGS
    assert main([*tokens, "--shutdown-deadline", "200"]) == ExitCode.IN_ORDER
    assert capsys.readouterr().out.splitlines()[-1] == "shop: 1 subscriptions, 0 groups; 0 warnings, 0 notes"
    assert sys.modules["written_check"].bus.statistics().phase == "new"


def test_check_does_not_watch(write_module: WriteModule) -> None:
    folder = write_module("written_checked", STOPS_BY_ITSELF)
    tokens = ["run", "written_checked:bus", "--app-dir", str(folder), "--check", "--reload"]
    assert main(tokens) == ExitCode.IN_ORDER


def test_a_graph_is_printed(write_module: WriteModule, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_module("written_graph", STOPS_BY_ITSELF)
    tokens = ["graph", "written_graph:bus", "--app-dir", str(folder)]
    assert main(tokens) == ExitCode.IN_ORDER
    assert capsys.readouterr().out.startswith("flowchart LR\n")
    assert main([*tokens, "--format", "json"]) == ExitCode.IN_ORDER
    assert json.loads(capsys.readouterr().out)["name"] == "shop"


def test_an_interrupt_before_anybody_listens_is_an_exit_code(
    write_module: WriteModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_module("written_interrupted", "raise KeyboardInterrupt\n")
    assert main(["run", "written_interrupted:bus", "--app-dir", str(folder)]) == 128 + signal.SIGINT


def test_sighup_reads_the_same_command_line_again(
    write_module: WriteModule,
    toml: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = STOPS_BY_ITSELF.replace(
        "            bus.request_stop()",
        """            import os, signal, pathlib
            for text in ("[run]\\ndrain-timeout = 1", "[run]\\nnonsense = 1"):
                pathlib.Path(os.environ["WRITTEN_TOML"]).write_text(text)
                os.kill(os.getpid(), signal.SIGHUP)
                await anyio.sleep(0.05)
            bus.request_stop()""",
    )
    path = toml("[run]\ndrain-timeout = 5\n")
    monkeypatch.setenv("WRITTEN_TOML", path)
    folder = write_module("written_again", code)
    assert main(["run", "written_again:bus", "--app-dir", str(folder), "--config", path]) == ExitCode.IN_ORDER
    assert "SIGHUP: drain_timeout 5.0 → 1.0" in caplog.messages
    assert any("the configuration stays as it was: Unknown option" in message for message in caplog.messages)


def test_options_that_are_wrong_are_told_by_an_error_of_cyclopts() -> None:
    with pytest.raises(CycloptsError):
        options_in(["run", "shop:bus", "--nonsense"])


@pytest.mark.real_time
@pytest.mark.slow
@pytest.mark.parametrize("folder_option", ["--app-dir", "--reload-dir"])
def test_reload_runs_the_bus_in_a_child_with_the_same_command_line(
    write_module: WriteModule, caplog: pytest.LogCaptureFixture, folder_option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_module("written_child", STOPS_BY_ITSELF)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
    caplog.set_level(logging.INFO)
    assert main(["run", "written_child:bus", "--reload", folder_option, str(folder)]) == ExitCode.IN_ORDER
    assert f"watching {folder}" in caplog.messages


def test_a_child_of_reload_does_not_watch(write_module: WriteModule) -> None:
    folder = write_module("written_reloaded", STOPS_BY_ITSELF)
    options = RunOptions(app_dir=folder, reload=True)
    assert run_bus("written_reloaded:bus", options, [], may_watch=False) == ExitCode.IN_ORDER


# ── as modules ──


@pytest.mark.parametrize("module", ["tocsin", "tocsin.cli._reloaded"])
def test_it_runs_as_a_module(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tocsin", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 0


@pytest.mark.parametrize("module", ["tocsin.__main__", "tocsin.cli._reloaded"])
def test_importing_such_a_module_runs_nothing(module: str) -> None:
    runpy.run_module(module, run_name="imported")


def test_the_current_directory_that_python_has_put_in_front_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [os.getcwd(), "elsewhere"])
    forget_current_directory()
    expected = ["elsewhere"] if not sys.flags.safe_path else [os.getcwd(), "elsewhere"]
    assert sys.path == expected


def test_another_directory_in_front_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["elsewhere", os.getcwd()])
    forget_current_directory()
    assert sys.path == ["elsewhere", os.getcwd()]


def test_output_that_nobody_reads_any_more_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        print("for nobody")
        assert main(["run", "no module"]) == ExitCode.USAGE
        gone.flush()  # as the interpreter does at its end


# ── the control socket ──


def test_a_control_socket_that_cannot_be_where_it_should_ends_the_start(
    write_module: WriteModule, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = write_module("written_uncontrolled", STOPS_BY_ITSELF)
    (tmp_path / "taken").write_text("precious")
    options = ["--app-dir", str(folder), "--control", str(tmp_path / "taken")]
    assert main(["run", "written_uncontrolled:bus", *options]) == ExitCode.NO_SOCKET
    assert capsys.readouterr().err.endswith("taken is there and is no socket: it is left alone\n")
    assert (tmp_path / "taken").read_text() == "precious"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_control_socket_is_there_while_the_bus_runs_and_not_after_it(
    write_module: WriteModule, caplog: pytest.LogCaptureFixture, tmp_path: Path, backend: str
) -> None:
    name = f"written_controlled_{backend}"
    folder = write_module(name, STOPS_BY_ITSELF)
    path = tmp_path / "c.sock"
    options = ["--app-dir", str(folder), "--control", str(path), "--backend", backend]
    assert main(["run", f"{name}:bus", *options]) == ExitCode.IN_ORDER
    assert f"control socket: {path}" in caplog.messages
    assert not path.exists()


def test_without_a_control_socket_the_bus_runs_too(write_module: WriteModule, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_module("written_silent", STOPS_BY_ITSELF)
    assert main(["run", "written_silent:bus", "--app-dir", str(folder), "--control", "off"]) == ExitCode.IN_ORDER
    assert "control socket" not in caplog.text
