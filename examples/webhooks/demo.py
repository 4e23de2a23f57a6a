"""The story of the demo: webhooks come in, one subscriber has a bug, it is fixed, and its dead letters are replayed."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import anyio
from attrs import define, field, frozen

from tocsin import AskError, BusClosed, BusNotRunning, DeadLetter, EventBus, Priority, Report, RestartIntensityExceeded

from . import closing
from .daemon import Daemon, daemon
from .endpoint import Endpoint, Weather, serve
from .feed import Feed, webhooks
from .insight import RepositoryCount, TopRepositories
from .narration import Line, Narrator, Urgency
from .pace import Pace
from .screen import LiveScreen, PatientConsole, PlainScreen, Screen

DRAIN_TIMEOUT = 30.0  # seconds for what was accepted, after the first signal
STALL_THRESHOLD = 0.5  # seconds without a turn of the event loop that are worth a line


@frozen(kw_only=True)
class Options:
    """What the command line said."""

    backend: str
    seed: int
    repeat: int
    pace: Pace
    plain: bool
    fix_bug: bool
    keep: Path | None


@define
class Demo:
    """One run of the demo."""

    options: Options
    console: PatientConsole
    screen: Screen
    narrator: Narrator = field(factory=Narrator)
    title: str = "starting"
    bus: EventBus = field(init=False)
    acts: anyio.CancelScope = field(factory=anyio.CancelScope)  # around what a first signal ends
    signals: int = 0
    found_dead: list[DeadLetter[Any]] = field(factory=list[DeadLetter[Any]])
    replayed: int = 0
    top: tuple[RepositoryCount, ...] = ()

    def __attrs_post_init__(self) -> None:
        self.bus = EventBus(
            "webhooks", observer=self.observe, random=Random(self.options.seed), stall_threshold=STALL_THRESHOLD
        )

    async def observe(self, report: Report) -> None:
        """Take a report from the bus."""
        line = self.narrator.tell(report)
        if line is not None:
            self.screen.say(line)

    async def run(self, folder: Path) -> int:
        """Play everything, print the closing report, and give the exit code."""
        options = self.options
        weather = Weather(Random(f"weather {options.seed}"), outage_lasts=options.pace.outage)
        async with (
            serve(Endpoint(weather, stall=options.pace.stall)) as endpoint,
            daemon(folder, url=endpoint.url, fixed=options.fix_bug) as daemon_,
        ):
            daemon_.subscribe(self.bus, options.pace)
            with self.screen:
                gave_up = await self.play(daemon_)
            in_a_hurry = self.signals > 1
            self.close(daemon_, endpoint)
        kept = f"They are in {folder}." if options.keep else "They are removed now; `--keep DIR` keeps them."
        closing.line(self.console, f"The audit log, the search index and the feeds are files. {kept}")
        if gave_up or not self.bus.ledger().balanced:
            return 1
        return 130 if in_a_hurry else 0

    async def play(self, daemon_: Daemon) -> bool:
        """Run the bus through both acts; say whether its supervision gave up."""
        async with watched(self):
            try:
                async with self.bus.running(drain_timeout=DRAIN_TIMEOUT):
                    with self.acts:
                        await self.first_act()
                        await self.second_act(daemon_)
                    await self.ask()
                    self.title = "draining: nothing new is taken, what was accepted is finished"
                self.title = "stopped"
            except RestartIntensityExceeded as error:
                self.screen.say(Line(Urgency.ALARM, str(error)))
                return True
        return False

    async def ask(self) -> None:
        """Ask for the top repositories, also after a signal: an urgent question overtakes whatever is queued."""
        try:
            self.top = await self.bus.ask(TopRepositories(), priority=Priority.CRITICAL)
        except (AskError, BusClosed) as error:  # a second signal came
            self.screen.say(Line(Urgency.NOTICE, f"no answer from the statistics: {error}"))

    async def first_act(self) -> None:
        """Publish all webhooks."""
        random = Random(f"feed {self.options.seed}")
        feed = Feed(list(webhooks(repeat=self.options.repeat, random=random)), self.options.pace.rate)
        self.title = f"act 1: {len(feed.events)} webhooks come in"
        await feed.publish(self.bus)

    async def second_act(self, daemon_: Daemon) -> None:
        """Fix the bug, and have the dead letters of that subscriber handled once more, by it alone."""
        self.found_dead = self.bus.dead_letters.list()
        self.title = f"intermission: {len(self.found_dead)} dead letters; one subscriber has a bug, which is fixed now"
        self.screen.say(Line(Urgency.NOTICE, self.title))
        await anyio.sleep(self.options.pace.intermission)
        daemon_.feeds.fixed = True
        self.title = "act 2: the dead letters of feeds are replayed"
        report = await self.bus.replay(subscription="feeds")
        for receipt in report.receipts:
            await receipt.settled()
        self.replayed = len(report.replayed)
        self.screen.say(Line(Urgency.NOTICE, f"{self.replayed} dead letters of feeds replayed"))
        await anyio.sleep(self.options.pace.intermission)

    def close(self, daemon_: Daemon, endpoint: Endpoint) -> None:
        """Print the closing report."""
        console = self.console
        closing.show_top_repositories(console, self.top)
        closing.show_findings(console, daemon_)
        closing.show_endpoint(console, endpoint, daemon_.notifier.sent)
        if self.found_dead:
            closing.show_dead_letters(console, self.found_dead, "before the bug was fixed")
            closing.line(console, f"{self.replayed} of them were replayed to feeds alone.")
        closing.show_dead_letters(console, self.bus.dead_letters, "at the end", evicted=self.bus.dead_letters.evicted)
        closing.show_stop(console, self.bus.stop_report)
        closing.show_ledger(console, self.bus.ledger())

    def show(self) -> None:
        """Show the bus as it is now."""
        self.screen.show(self.bus.statistics(), f"webhooks on {self.options.backend}, {self.title}")

    def stop(self) -> None:
        """Obey a signal: the first one drains, the second one does not wait for that."""
        self.signals += 1
        if self.signals == 1:
            self.title = "asked to stop: draining (once more to stop at once)"
            self.screen.say(Line(Urgency.NOTICE, self.title))
            self.acts.cancel()
        else:
            with suppress(BusNotRunning):  # it comes up yet, and ends by the first signal
                self.bus.request_stop(drain_timeout=0.0)

    async def listen(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Obey each of *signals*."""
        async for _ in signals:
            self.stop()


@asynccontextmanager
async def watched(demo: Demo) -> AsyncGenerator[None]:
    """Show the bus again and again for the time of the block."""

    async def watch() -> None:
        while True:
            demo.show()
            if demo.console.reader_is_gone and not demo.signals:
                demo.stop()  # nobody looks any more
            await anyio.sleep(demo.screen.interval)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
            demo.show()


@contextmanager
def folder_for_files(keep: Path | None) -> Generator[Path]:
    """Give a new folder within *keep*, or a temporary one that is removed in the end."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="webhooks-") as temporary:
            yield Path(temporary)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield Path(tempfile.mkdtemp(prefix="run-", dir=keep))


async def main(options: Options) -> int:
    """Play the demo on the running backend and give its exit code."""
    console = PatientConsole()
    live = console.is_terminal and not console.is_dumb_terminal and not options.plain
    exit_code = 1
    # Signals first: from here on Ctrl-C is a request, not an exception that may strike anywhere.
    with (
        anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
        folder_for_files(options.keep) as folder,
    ):
        demo = Demo(options, console, LiveScreen(console) if live else PlainScreen(console))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(demo.listen, signals)
            exit_code = await demo.run(folder)
            tasks.cancel_scope.cancel()
        return exit_code
