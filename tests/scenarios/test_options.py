"""The options of a supervisor at the door, in the words of OTP its flags: defaults, and each that may be wrong."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import anyio
import attrs
import pytest

from tests.scenarios.cast_starting import label, states
from tests.supervisors.scripted import Theatre, settle
from tocsin_supervisors import (
    AutoShutdown,
    ChildSpec,
    Options,
    RestartIntensity,
    RestartPolicy,
    Strategy,
    Supervisor,
    check_specs,
)

SPEC = ChildSpec("a", anyio.sleep_forever)


def test_O13_a_supervisor_without_options_has_these_defaults() -> None:
    """OTP allows one restart in 5 s for all children; ours 30 in 60 s, since each child has a limit of its own."""
    supervisor = Supervisor()
    assert (supervisor.name, supervisor.observer, supervisor.which_children()) == ("supervisor", None, ())
    assert supervisor.options == Options()
    assert attrs.asdict(supervisor.options, recurse=False) == {
        "strategy": Strategy.ONE_FOR_ONE,
        "intensity": RestartIntensity(30, 60.0, max_consecutive=10),
        "subtree_intensity": None,
        "auto_shutdown": AutoShutdown.NEVER,
        "max_children": None,
        "shutdown_deadline": 30.0,
        "template": None,
    }


# ── each bad one ──

# option → (value, kind of the error); those that can be changed later
BAD: dict[str, list[tuple[Any, type[Exception]]]] = {
    "strategy": [
        (each, TypeError)
        for each in ("one_for_one", "simple_one_for_one", "one_for_many", None, 1, RestartPolicy.PERMANENT)
    ],
    "intensity": [(each, TypeError) for each in (3, (3, 5), {"intensity": 3}, math.inf, "infinity", RestartIntensity)],
    "subtree_intensity": [(each, TypeError) for each in (3, (3, 5), math.inf, RestartIntensity)],
    "auto_shutdown": [
        (each, TypeError) for each in ("never", "any_significant", "some_significant", None, True, Strategy.ONE_FOR_ONE)
    ],
    "max_children": [
        *[(each, ValueError) for each in (-1, -(10**30))],
        *[(each, TypeError) for each in (math.inf, 1.0, "7", True)],
    ],
    "shutdown_deadline": [
        *[(each, ValueError) for each in (-1, -0.001, -math.inf, math.nan)],
        *[(each, TypeError) for each in ("30", "infinity", None, True)],
    ],
    "template": [(each, TypeError) for each in (7, "a", SPEC, [SPEC])],
}
# and those that cannot
BAD_FOR_EVER: dict[str, list[tuple[Any, type[Exception]]]] = {
    "name": [("", ValueError), (7, TypeError), (None, TypeError), ([SPEC], TypeError), (b"root", TypeError)],
    "children": [(each, TypeError) for each in (None, 7, SPEC, anyio.sleep_forever)],
    "observer": [(each, TypeError) for each in (7, "print", [print])],
    "random": [(each, TypeError) for each in (7, Random, "system")],
}
FAULTS = [
    pytest.param(option, value, kind, id=f"{option}={label(value)}")
    for option, faults in {**BAD, **BAD_FOR_EVER}.items()
    for value, kind in faults
]


@pytest.mark.parametrize(("option", "value", "kind"), FAULTS)
def test_O31_each_bad_option_is_refused_by_name_and_value(option: str, value: object, kind: type[Exception]) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(kind) as caught:
        Supervisor(**options)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"{option}={value!r} ")


async def test_O31_each_bad_option_is_refused_in_a_live_change_that_changes_nothing() -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        before = supervisor.options
        for option, faults in BAD.items():
            for value, kind in faults:
                changes: dict[str, Any] = {"shutdown_deadline": 7.0, option: value}
                with pytest.raises(kind) as caught:
                    await supervisor.reconfigure(**changes)
                assert str(caught.value).startswith(f"{option}={value!r} ")
        await settle()
        assert supervisor.options is before
        assert (supervisor.state, states(supervisor)) == ("running", {"a": "running"})


@pytest.mark.parametrize("period", [0, 0.0, -1, math.inf, math.nan, "5", None, True], ids=label)
def test_O31_a_period_that_is_no_length_of_time_is_refused_by_name_and_value(period: Any) -> None:
    kind = ValueError if isinstance(period, int | float) and period is not True else TypeError
    with pytest.raises(kind) as caught:
        RestartIntensity(3, period)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"period={period!r} must ")


@pytest.mark.parametrize("number", [math.inf, -1, 1.0, "3", None, True], ids=label)
def test_O31_an_intensity_that_is_no_number_of_restarts_is_refused_by_name_and_value(number: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        RestartIntensity(number)
    assert str(caught.value).startswith(f"max_restarts={number!r} must be ")


@pytest.mark.parametrize("option", ["intensty", "max_restarts", "period", "flags", "shutdown"])
def test_O31_an_unknown_option_is_refused_by_name(option: str) -> None:
    """OTP ignores flags that it does not know; ours refuses them."""
    options: dict[str, Any] = {option: 3}
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
        Supervisor("root", **options)


async def test_O31_an_unknown_option_is_refused_by_name_in_a_live_change() -> None:
    options: dict[str, Any] = {"intensty": RestartIntensity()}
    for supervisor in (Supervisor("resting"), Theatre("a").supervisor):
        before = supervisor.options
        with pytest.raises(TypeError, match="unexpected keyword argument 'intensty'"):
            await supervisor.reconfigure(**options)
        assert supervisor.options is before


@pytest.mark.parametrize("options", [{"auto_shutdown": "never"}, {"max_children": -1}], ids=str)
def test_O31_a_static_check_refuses_the_options_it_takes(options: dict[str, Any]) -> None:
    ((option, value),) = options.items()
    with pytest.raises((TypeError, ValueError)) as caught:
        check_specs([], **options)
    assert str(caught.value).startswith(f"{option}={value!r} must be ")


@pytest.mark.parametrize("specs", [None, 7, SPEC], ids=label)
def test_O31_a_static_check_refuses_what_is_not_several_specs(specs: Any) -> None:
    with pytest.raises(TypeError) as caught:
        check_specs(specs)
    assert str(caught.value).startswith(f"children={specs!r} must be ")
