"""What is there after a loss of power, at any moment: everything that was promised, and nothing that was ended.

A bus works on the real store, while all that the store writes is recorded; then images of the disk are built, of which
each is one that a loss of power may leave, and the real store opens them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import anyio
import pytest
from attrs import define, field

pytest.importorskip("apsw", reason="images of a disk need apsw, whose file system can be recorded")

from tests.durable.disk import Disk, Operation, Recording
from tests.durable.recorded import Asked, Promised, RecordedStore, WasHandled, written
from tests.durable.stored import AT_ONCE, Order
from tocsin import EventBus
from tocsin.durable import Accept, Bury, Change, Contents, ForgetLetters, Settle, SQLiteStore, StoredDelivery, Update

pytestmark = [pytest.mark.real_time, pytest.mark.slow]

IMAGES = [150, pytest.param(3000, marks=pytest.mark.soak)]


@define
class Promises:
    """What must be, may be, and must not be in the store, by what was asked for and what was answered by now."""

    accepted: set[int] = field(factory=set)  # for certain
    ended: set[int] = field(factory=set)  # for certain
    to_end: set[int] = field(factory=set)  # asked for
    handled: set[int] = field(factory=set)  # by a handler that has returned
    letters: set[int] = field(factory=set)
    letters_to_go: set[int] = field(factory=set)
    letters_gone: set[int] = field(factory=set)
    attempts: dict[int, int] = field(factory=dict)
    known: dict[int, list[StoredDelivery]] = field(factory=dict)  # all that was ever said of a delivery

    @classmethod
    def of(cls, contents: Contents) -> Promises:
        promises = cls()
        for each in contents.deliveries:
            promises.accepted.add(each.id)
            promises.known[each.id] = [each]
            promises.attempts[each.id] = each.attempts
        promises.letters = {each.number for each in contents.letters}
        promises.handled = {number for number, begun in contents.begun.items() if begun.was_handled}
        return promises

    def after(self, note: Asked | Promised | WasHandled) -> None:
        match note:
            case Asked(change=change):
                self._asked(change)
            case Promised(change=change):
                self._promised(change)
            case WasHandled(delivery=number):
                self.handled.add(number)

    def _asked(self, change: Change) -> None:
        match change:
            case Accept(deliveries=deliveries):
                self.known |= {each.id: [each] for each in deliveries}
            case Update(delivery=delivery):
                self.known[delivery.id].append(delivery)
            case Settle(delivery=number) | Bury(delivery=Settle(delivery=number)):
                self.to_end.add(number)
            case ForgetLetters(numbers=numbers):
                self.letters_to_go |= set(numbers)
            case _:
                pass

    def _promised(self, change: Change) -> None:
        match change:
            case Accept(deliveries=deliveries):
                self.accepted |= {each.id for each in deliveries}
            case Update(delivery=delivery):
                self.attempts[delivery.id] = delivery.attempts
            case Settle(delivery=number):
                self.ended.add(number)
            case Bury(letter=letter, delivery=settle):
                self.letters.add(letter.number)
                self.ended |= set() if settle is None else {settle.delivery}
            case ForgetLetters(numbers=numbers):
                self.letters_gone |= set(numbers)
            case _:
                pass

    def check(self, found: Contents, *, is_full: bool) -> None:
        """Hold *found* to it; *is_full*: what was promised was to outlive a loss of power."""
        assert found.damaged == ()
        pending = {each.id: each for each in found.deliveries}
        letters = {each.number for each in found.letters}
        for number, delivery in pending.items():
            assert delivery in self.known[number], "nobody has ever said so"
        taken_for_handled = {number for number, begun in found.begun.items() if begun.was_handled}
        assert taken_for_handled <= self.handled, "it will be ended, and was never handled"
        if is_full:
            assert self.accepted - self.to_end <= pending.keys(), "lost"
            assert not self.ended & pending.keys(), "come back"
            assert self.letters - self.letters_to_go <= letters, "a dead letter is lost"
            assert not self.letters_gone & letters, "a dead letter has come back"
            for number, delivery in pending.items():
                assert delivery.attempts >= self.attempts.get(number, 0), "an attempt was forgotten"


async def worked(store: RecordedStore, first: int) -> None:
    """Have a bus work on *store*: orders that are handled, fail once, fail for good, and wait for ever."""
    bus, failed = EventBus("shop", store=store), set[int]()
    some = 2 + first // 1000  # others in each life, so that nothing comes in the same place again

    def is_one_of_some(order: Order) -> bool:
        return not order.number % some

    @bus.subscriber(Order, name="ship", durable=True, retry=AT_ONCE)
    async def ship(order: Order) -> None:
        if order.number % 10 == 3 or (order.number % 10 == 5 and order.number not in failed):
            failed.add(order.number)
            raise ConnectionError("x" * 600)

    @bus.subscriber(Order, name="wait", durable=True, when=is_one_of_some)
    async def wait(_order: Order) -> None:
        await anyio.sleep_forever()

    async with bus.running(shutdown_deadline=0.1):
        async with anyio.create_task_group() as group:
            for number in range(first, first + 120):
                group.start_soon(bus.publish, Order(number))
                if not number % 4:
                    await anyio.sleep(0.001)
        if len(bus.dead_letters):
            bus.dead_letters.purge()
        await bus.stop(drain_timeout=0.1)


class Machine:
    """Lives of a process, each on what a loss of power has left of the one before."""

    def __init__(self, folder: Path, seed: int, synchronous: str) -> None:
        self.folder = folder
        self.random = Random(seed)
        self.synchronous = synchronous
        self.images = 0

    async def live(self, before: dict[str, bytes], first: int) -> Recording:
        """Work on the files *before*, and give the recording of it."""
        path = written(before, self.folder / "life")
        recording = Recording(before)
        with pytest.MonkeyPatch.context() as patch:
            store = RecordedStore(path, recording, patch, synchronous=self.synchronous)
            await worked(store, first)
            store.close()
        shutil.rmtree(path.parent)
        return recording

    async def lose_power(self, recording: Recording, times: int) -> dict[str, bytes]:
        """Cut the power at so many moments of *recording*, check what is there, and give one that was."""
        disk, promises = Disk(recording.before), Promises.of(await self.contents(recording.before))
        moments = sorted(self.random.choices(range(len(recording.entries)), k=times))
        kept, left = self.random.choice(moments), dict[str, bytes]()
        for place, entry in enumerate(recording.entries):
            if isinstance(entry, Asked | Promised | WasHandled):
                promises.after(entry)
            else:
                assert isinstance(entry, Operation)
                disk.after(entry)
            while moments and moments[0] == place:
                moments.pop(0)
                image = disk.image(self.random)
                left = image if place == kept else left
                promises.check(await self.contents(image), is_full=self.synchronous == "full")
        return left

    async def contents(self, image: dict[str, bytes]) -> Contents:
        """Give what the real store finds in *image*."""
        self.images += 1
        path = written(image, self.folder / "image")
        opened = await SQLiteStore(path, synchronous="normal").open()
        await opened.close()
        shutil.rmtree(path.parent)
        return opened.contents


@pytest.mark.usefixtures("quiet")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("synchronous", ["full", "normal"])
async def test_fault_I11_whenever_power_is_lost_what_was_promised_is_there(
    tmp_path: Path, synchronous: str, images: int
) -> None:
    machine, left = Machine(tmp_path, images, synchronous), dict[str, bytes]()
    for life in range(3):
        recording = await machine.live(left, 1 + 1000 * life)
        left = await machine.lose_power(recording, images // 3)
    assert machine.images > images


@pytest.mark.usefixtures("quiet")
async def test_fault_I11_what_was_pending_when_power_was_lost_is_handled_by_the_next_run(tmp_path: Path) -> None:
    machine, handled = Machine(tmp_path, 1, "full"), set[int]()
    left = await machine.lose_power(await machine.live({}, 1), 5)
    found = await machine.contents(left)
    over = {number for number, begun in found.begun.items() if begun.was_handled}
    pending = {each.id for each in found.deliveries} - over
    bus = EventBus("shop", store=SQLiteStore(written(left, tmp_path / "next")))
    for name in ("ship", "wait"):

        @bus.subscriber(Order, name=name, durable=True)
        async def handle(order: Order) -> None:
            handled.add(order.number)

    async with bus.running():
        pass
    ledger = bus.ledger()  # an attempt that was the last one, and had failed, is not made again
    assert (ledger.handled + ledger.dead_lettered, ledger.returned) == (len(pending), 0)
    again = await SQLiteStore(tmp_path / "next" / "bus.db").open()
    await again.close()
    assert again.contents.deliveries == ()
