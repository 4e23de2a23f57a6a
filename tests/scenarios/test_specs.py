"""Child specs at the door: defaults, each field that may be wrong, unknown ones, and ids given twice."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import attrs
import pytest

from tests.scenarios.cast_starting import ids, label, states
from tests.supervisors.scripted import Puppet, Theatre, settle
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildSpec,
    DuplicateChild,
    RestartIntensity,
    RestartPolicy,
    Strategy,
    Supervisor,
    check_specs,
)


async def plain() -> None: ...


async def with_context(context: ChildContext) -> None: ...


# ── defaults ──


def test_O13_a_spec_of_an_id_and_a_start_has_these_defaults() -> None:
    """Those of OTP, its shutdown being our grace period; what OTP does not have at all is among them, too."""
    spec = ChildSpec("a", plain)
    assert attrs.asdict(spec, recurse=False) == {
        "id": "a",
        "start": plain,
        "restart": RestartPolicy.PERMANENT,
        "grace_period": 5.0,
        "cleanup_period": 1.0,
        "start_timeout": 30.0,
        "backoff": Backoff(initial=0.1, maximum=30.0, factor=2.0, jitter=0.25),
        "suspension": Backoff(initial=1.0, maximum=30.0, factor=2.0, jitter=0.25),
        "stable_after": 60.0,
        "intensity": RestartIntensity(3, 5.0, max_consecutive=10),
        "on_exhausted": "escalate",
        "unpark_after": math.inf,
        "significant": False,
        "needs": (),
        "wants_context": False,
    }
    assert spec.kind == "actor"


def test_O13_a_spec_of_a_supervisor_differs_in_having_no_limits_of_time_of_its_own() -> None:
    branch = Supervisor("branch")
    actor, nested = (attrs.asdict(ChildSpec("a", start), recurse=False) for start in (plain, branch))
    different = {name: value for name, value in nested.items() if value != actor[name]}
    assert different == {"start": branch, "grace_period": math.inf, "start_timeout": math.inf, "wants_context": True}
    assert ChildSpec("a", branch).kind == "supervisor"


# ── what is missing, and what is too much ──


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "'id' and 'start'"),
        ({"start": plain}, "'id'"),
        ({"id": "a"}, "'start'"),
        ({"id": "a", "start": plain, "shutdown": 5000}, "'shutdown'"),
        ({"id": "a", "start": plain, "type": "worker"}, "'type'"),
        ({"id": "a", "start": plain, "modules": ["a"]}, "'modules'"),
        ({"id": "a", "start": plain, "restrat": RestartPolicy.PERMANENT}, "'restrat'"),
        ({"id": "a", "start": plain, "wants_context": True}, "'wants_context'"),
    ],
)
def test_O14_what_is_missing_or_unknown_is_refused_by_name(options: dict[str, Any], name: str) -> None:
    """OTP ignores keys that it does not know; ours refuses them, as they are most often misspelt."""
    with pytest.raises(TypeError, match=name):
        ChildSpec(**options)


NO_SPECS = [{"id": "a", "start": plain}, ("a", plain), plain, "a", None, 7, ChildSpec, Supervisor("branch")]


@pytest.mark.parametrize("value", NO_SPECS, ids=label)
def test_O14_what_is_no_spec_is_refused_wherever_specs_are_given(value: Any) -> None:
    good = ChildSpec("good", plain)
    supervisor = Supervisor("root", [good])
    ways: list[Callable[[], object]] = [
        lambda: Supervisor("root", [good, value]),
        lambda: supervisor.declare(value),
        lambda: check_specs([good, value]),
    ]
    for way in ways:
        with pytest.raises(TypeError) as caught:
            way()
        assert str(caught.value).startswith(f"{value!r} must be a ChildSpec")
    assert ids(supervisor) == ["good"]


@pytest.mark.parametrize("value", NO_SPECS, ids=label)
async def test_O14_what_is_no_spec_is_refused_by_a_supervisor_that_lives_on(value: Any) -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        with pytest.raises(TypeError) as caught:
            await supervisor.start_child(value)
        assert str(caught.value).startswith(f"{value!r} must be a ChildSpec")
        with pytest.raises(TypeError, match="must be a ChildSpec"):
            await supervisor.reconfigure([value])
        await settle()
        assert (supervisor.state, states(supervisor)) == ("running", {"a": "running"})
        assert theatre.record.told() == ["ChildStarted"]


# ── each bad field ──


def generator() -> Iterator[int]:
    yield 1  # pragma: no cover  # never run


async def stream() -> AsyncIterator[int]:
    yield 1  # pragma: no cover  # never run


async def with_two(one: object, two: object) -> None: ...


async def with_keyword(*, one: object) -> None: ...


DURATIONS = ["grace_period", "cleanup_period", "start_timeout", "stable_after", "unpark_after"]
# field → (value, kind of the error)
BAD: dict[str, list[tuple[Any, type[Exception]]]] = {
    "id": [("", ValueError), (7, TypeError), (None, TypeError), (b"a", TypeError), (("a", 1), TypeError)],
    "start": [(each, TypeError) for each in (None, "plain", 7, [plain], generator, stream, with_two, with_keyword)],
    "restart": [(each, TypeError) for each in ("permanent", "permanet", None, True, Strategy.ONE_FOR_ONE)],
    **{
        name: [
            *[(each, ValueError) for each in (-10, -0.001, -math.inf, math.nan)],
            *[(each, TypeError) for each in ("5", "brutal_kill", "infinity", None, True, (5.0,), 5j)],
        ]
        for name in DURATIONS
    },
    "backoff": [(each, TypeError) for each in (1.0, None, (0.1, 30.0), Backoff, RestartIntensity())],
    "suspension": [(each, TypeError) for each in (1.0, None, Backoff)],
    "intensity": [(each, TypeError) for each in (3, (3, 5), None, math.inf, Backoff())],
    "on_exhausted": [(each, ValueError) for each in ("shrug", "Park", "", None, True, ["park"])],
    "significant": [(each, TypeError) for each in (1, 0, "yes", None)],
    "needs": [
        *[(each, TypeError) for each in ("b", 7, None)],
        *[((each,), TypeError) for each in (7, None, plain)],
        (("a",), ValueError),
    ],
}
FAULTS = [
    pytest.param(field, value, kind, id=f"{field}={label(value)}")
    for field, faults in BAD.items()
    for value, kind in faults
]


def made(field: str, value: object) -> ChildSpec:
    options: dict[str, Any] = {"id": "a", "start": plain, field: value}
    return ChildSpec(**options)


@pytest.mark.parametrize(("field", "value", "kind"), FAULTS)
def test_O28_each_bad_field_is_refused_by_name_and_value_in_a_static_check(
    field: str, value: object, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        check_specs(made(*each) for each in [("id", "good"), (field, value)])
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"{field}={value!r} ")


async def test_O28_each_bad_field_is_refused_by_name_and_value_when_a_child_is_started() -> None:
    """In OTP the supervisor finds it; ours is found before it is asked, in the making of the spec."""
    theatre = Theatre("good")
    async with theatre.supervisor.running() as supervisor:
        for field, faults in BAD.items():
            for value, kind in faults:
                with pytest.raises(kind) as caught:
                    await supervisor.start_child(made(field, value))
                assert str(caught.value).startswith(f"{field}={value!r} ")
        await settle()
        assert (supervisor.state, states(supervisor)) == ("running", {"good": "running"})
        assert theatre.record.told() == ["ChildStarted"]


def test_O28_a_coroutine_in_the_place_of_its_function_is_refused_and_not_left_behind() -> None:
    start: Any = plain()
    with pytest.raises(TypeError, match=r"start=<coroutine object plain at .*> has been called already"):
        ChildSpec("a", start)
    assert start.cr_frame is None  # it is closed


POLICY_FIELDS: list[tuple[type[Any], str, list[tuple[Any, type[Exception]]]]] = [
    (Backoff, "initial", [(-1.0, ValueError), (math.inf, ValueError), (math.nan, ValueError), ("1", TypeError)]),
    (Backoff, "maximum", [(-1.0, ValueError), (math.inf, ValueError), (True, TypeError), (0.05, ValueError)]),
    (Backoff, "factor", [(0.5, ValueError), (math.nan, ValueError), (None, TypeError)]),
    (Backoff, "jitter", [(-0.1, ValueError), (1.1, ValueError), ("full", TypeError)]),
    (RestartIntensity, "max_restarts", [(-1, ValueError), (1.5, TypeError), (True, TypeError), (math.inf, TypeError)]),
    (RestartIntensity, "max_consecutive", [(0, ValueError), (-1, ValueError), (2.0, TypeError), ("2", TypeError)]),
]


@pytest.mark.parametrize(
    ("policy", "field", "value", "kind"),
    [
        pytest.param(policy, field, value, kind, id=f"{policy.__name__}-{field}={value}")
        for policy, field, faults in POLICY_FIELDS
        for value, kind in faults
    ],
)
def test_O28_each_bad_field_of_a_policy_is_refused_by_name_and_value(
    policy: type[Any], field: str, value: object, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        policy(**{field: value})
    assert type(caught.value) is kind
    assert f"{field}={value!r} " in str(caught.value)


# ── ids given twice ──


def test_O30_an_id_is_given_once_whoever_is_asked() -> None:
    first, second = ChildSpec("a", plain), ChildSpec("a", with_context)
    supervisor = Supervisor("root", [first])
    ways: list[tuple[str, Callable[[], object]]] = [
        ("root", lambda: Supervisor("root", [first, ChildSpec("b", plain), second])),
        ("root", lambda: supervisor.declare(second)),
        ("check_specs", lambda: check_specs([first, second])),
    ]
    for name, way in ways:
        with pytest.raises(DuplicateChild) as caught:
            way()
        assert isinstance(caught.value, ValueError)
        assert (caught.value.supervisor, caught.value.child) == (name, "a")
        assert str(caught.value) == (
            f"child 'a' of supervisor '{name}' is declared already: give each child an id of its own"
        )
    assert supervisor.child_spec("a") is first


async def test_O30_an_id_given_twice_in_a_live_change_changes_nothing() -> None:
    theatre = Theatre("a")
    old, new = theatre["a"].spec(), Puppet(theatre.record, "b").spec()
    async with theatre.supervisor.running() as supervisor:
        with pytest.raises(DuplicateChild) as caught:
            await supervisor.reconfigure([new, old, old], max_children=7)
        assert (caught.value.supervisor, caught.value.child) == ("root", "a")
        assert states(supervisor) == {"a": "running"}
        assert supervisor.options.max_children is None


def test_O30_ids_differ_by_every_letter_and_only_within_one_supervisor() -> None:
    specs = [ChildSpec(id, plain) for id in ("a", "A", "a ", "á", "a-1")]
    check_specs(specs)
    branch = Supervisor("a", [ChildSpec("a", plain)])
    assert ids(Supervisor("a", [ChildSpec("a", branch), *specs[1:]])) == ["a", "A", "a ", "á", "a-1"]


async def test_O30_an_id_is_free_again_when_its_temporary_child_is_gone() -> None:
    theatre = Theatre()
    first, second = Puppet(theatre.record, "a"), Puppet(theatre.record, "a")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.start_child(first.spec(restart=RestartPolicy.TEMPORARY))
        first.finish()
        await settle()
        assert ids(supervisor) == []
        assert await supervisor.start_child(second.spec()) is second
        assert states(supervisor) == {"a": "running"}
