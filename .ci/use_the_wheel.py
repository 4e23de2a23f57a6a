"""Use the installed distribution once, as a newcomer would: nothing of the checkout is in reach here."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import sysconfig

import anyio

import tocsin
import tocsin_supervisors


async def main() -> None:
    bus = tocsin.EventBus("wheel")
    seen: list[str] = []

    @bus.subscriber(str)
    async def remember(event: str) -> None:
        seen.append(event)

    async with bus.running():
        receipt = await bus.publish("hello")
        await receipt.settled()
    assert seen == ["hello"], seen
    assert bus.statistics().ledger.balanced, bus.statistics().ledger


for package in (tocsin, tocsin_supervisors):
    assert str(package.__file__).startswith(sysconfig.get_path("purelib")), package.__file__
    assert importlib.resources.files(package).joinpath("py.typed").is_file(), f"{package.__name__} lost its py.typed"
anyio.run(main)
print(f"tocsin {importlib.metadata.version('tocsin')} from its wheel: one event published, handled and settled")
