"""The example daemon: its pure parts, and whole runs of it as a user would start them."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from examples.webhooks.endpoint import OUTAGE_AFTER, Answer, Weather
from examples.webhooks.events import CheckRun, OtherWebhook, SecurityAlert, Webhook, parse, priority_of
from examples.webhooks.feed import archive, webhooks
from examples.webhooks.narration import Line, Urgency
from examples.webhooks.records import SearchIndex, readable
from examples.webhooks.view import Rates, render
from tocsin import EventBus, Priority

ROOT = Path(__file__).parents[2]
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def webhook(event: str, **payload: object) -> Webhook:
    return parse(json.dumps({"delivery": "d-1", "event": event, "payload": payload}))


# ── events ──


def test_all_recorded_webhooks_are_parsed() -> None:
    recorded = archive()

    assert len(recorded) == len({event.delivery for event in recorded}) == 329


def test_what_a_webhook_lacks_is_none() -> None:
    recorded = archive()

    missing = Counter(
        name for event in recorded for name in ("repository", "sender", "action") if not event_has(event, name)
    )

    assert missing == {"repository": 49, "sender": 4, "action": 43}


def event_has(event: Webhook, name: str) -> bool:
    return getattr(event, name) is not None


def test_a_kind_without_a_class_is_another_webhook() -> None:
    event = webhook("solar_eclipse", action="begun")

    assert isinstance(event, OtherWebhook)
    assert event.topic == "solar_eclipse.begun"


@pytest.mark.parametrize("line", ["", "7", "[]", "{}", '{"delivery": "1", "event": "push", "payload": []}'])
def test_a_line_that_is_no_webhook_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"not a webhook|Expecting value"):
        parse(line)


def test_every_recorded_topic_is_a_name_and_perhaps_an_action() -> None:
    assert all(re.fullmatch(r"\w+(\.[\w-]+)?", event.topic) for event in archive())


# ── priorities ──


def test_every_security_alert_is_critical() -> None:
    assert {priority_of(event) for event in archive() if isinstance(event, SecurityAlert)} == {Priority.CRITICAL}


@pytest.mark.parametrize(
    ("conclusion", "expected"),
    [
        ("failure", Priority.CRITICAL),
        ("timed_out", Priority.CRITICAL),
        ("success", Priority.NORMAL),
        (None, Priority.NORMAL),
    ],
)
def test_a_workflow_run_is_critical_when_it_failed(conclusion: str | None, expected: Priority) -> None:
    assert priority_of(webhook("workflow_run", workflow_run={"conclusion": conclusion})) is expected


def test_a_failed_status_is_told_by_its_state() -> None:
    event = webhook("status", state="error")

    assert isinstance(event, CheckRun)
    assert event.failed


def test_the_recorded_webhooks_have_all_priorities() -> None:
    counts = Counter(priority_of(event) for event in archive())

    assert counts == {Priority.CRITICAL: 19, Priority.HIGH: 14, Priority.NORMAL: 248, Priority.LOW: 48}


# ── what comes in, and what the endpoint does ──


def test_the_same_seed_gives_the_same_webhooks() -> None:
    first, second = ([event.delivery for event in webhooks(repeat=2, random=Random(7))] for _ in range(2))

    assert first == second
    assert len(first) > len(set(first)) == 2 * 329


def test_an_outage_begins_with_a_request_and_ends_by_the_clock() -> None:
    weather = Weather(Random(1), outage_lasts=3.0, failing=0.0, stalling=0.0)

    before = [weather.answer(now=10.0) for _ in range(OUTAGE_AFTER - 1)]
    during = [weather.answer(now) for now in (20.0, 22.9)]
    after = weather.answer(now=23.0)

    assert set(before) == {Answer.ACCEPT}
    assert during == [Answer.OUTAGE, Answer.OUTAGE]
    assert after is Answer.ACCEPT


def test_the_search_index_finds_webhooks_by_their_texts(tmp_path: Path) -> None:
    with SearchIndex(tmp_path / "search.sqlite") as index:
        index.add(webhook("issues", action="opened", issue={"title": "Spelling error", "labels": [{"name": "bug"}]}))
        index.add(webhook("star", action="created"))

        assert index.search("spelling bug") == (1, ["issues.opened in no repository by nobody"])


def test_only_texts_for_humans_are_indexed() -> None:
    assert list(readable({"title": "a", "url": "b", "user": {"login": "c"}, "labels": [{"name": "d"}]})) == [
        "a",
        "c",
        "d",
    ]


# ── the view ──


def test_the_view_fits_into_80_columns_and_24_rows() -> None:
    bus = EventBus("webhooks")
    for name in ("records", "delivery"):
        bus.group(name).subscribe(print, object, name=f"{name}-subscriber")
    lines = [Line(Urgency.ALARM, "x" * 200)] * 8
    screen = io.StringIO()

    Console(file=screen, width=80, height=24).print(render(bus.statistics(), Rates().per_second, lines, "title"))

    assert len(screen.getvalue().splitlines()) <= 23
    assert max(map(len, screen.getvalue().splitlines())) <= 80


# ── whole runs ──


def start(*arguments: str) -> subprocess.Popen[str]:
    paths = [str(ROOT / folder) for folder in ("runtime", "supervisors", ".")]
    variables = {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"}
    variables["PYTHONDEVMODE"] = ""  # asyncio would say on stderr that a callback took long
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "examples.webhooks", *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
    )


def ledger(output: str) -> dict[str, int]:
    """Read the table at the end."""
    table = output.partition("\nLedger")[2]
    return {name: int(number) for number, name in re.findall(r"^ *(\d+) +(\w+(?: \w+)?) {2,}", table, re.MULTILINE)}


def until(process: subprocess.Popen[str], text: str) -> str:
    """Read the output up to the line with *text*."""
    assert process.stdout is not None
    read: list[str] = []
    for line in process.stdout:
        read.append(line)
        if text in line:
            break
    return "".join(read)


@pytest.mark.slow
@BACKENDS
def test_the_demo_buries_and_replays_its_poison_and_its_ledger_balances(backend: str) -> None:
    output, errors = start("--fast", "--repeat=1", "--seed=3", f"--backend={backend}").communicate(timeout=30)

    buried = ledger(output)["dead lettered"]
    assert errors == ""
    assert buried >= 49  # one for each webhook without a repository, and those that were sent twice
    assert f"{buried} of them were replayed to feeds alone." in output
    assert "Dead letters at the end: 0" in output
    assert "It balances" in output


@pytest.mark.slow
@BACKENDS
def test_the_notifier_survives_the_outage_and_loses_nothing(backend: str) -> None:
    output, _ = start("--fast", "--fix-bug", f"--backend={backend}").communicate(timeout=30)

    assert "notifier is up again" in output
    assert re.search(r"[1-9]\d* were refused in the outage", output)
    assert ledger(output)["dead lettered"] == 0


@pytest.mark.slow
@BACKENDS
def test_a_first_signal_drains(backend: str) -> None:
    process = start("--rate=200", f"--backend={backend}")
    until(process, "dead letter of feeds")

    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (0, "")
    assert "asked to stop" in output
    assert ledger(output)["returned"] == 0
    assert "It balances" in output


@pytest.mark.slow
@BACKENDS
def test_a_signal_before_the_bus_is_up_is_a_request_too(backend: str) -> None:
    process = start(f"--backend={backend}")
    until(process, "0 events")

    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (0, "")
    assert "It balances" in output


@pytest.mark.slow
@BACKENDS
def test_a_second_signal_stops_without_draining_and_hands_back_what_is_left(backend: str) -> None:
    process = start("--rate=150", f"--backend={backend}")
    until(process, "notifier is sick")

    process.send_signal(signal.SIGTERM)
    until(process, "asked to stop")
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (130, "")
    assert ledger(output)["returned"] > 0
    assert "deliveries of notifier handed back" in output
    assert "It balances" in output


@pytest.mark.slow
def test_a_reader_that_leaves_early_ends_the_demo_in_order() -> None:
    process = start("--fast", "--repeat=9")
    until(process, "is running")

    assert process.stdout is not None
    process.stdout.close()

    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=30) == 0
    process.stderr.close()
