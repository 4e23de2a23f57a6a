"""Partitions: children made alike, among which keys are spread, so that equal keys always meet the same child."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, final

import anyio.lowlevel

from ._checks import check_count
from ._policies import RestartPolicy
from ._strategies import Strategy
from ._supervisor import Supervisor
from .exceptions import ChildNotFound, ChildRestarting, ChildRunning

if TYPE_CHECKING:
    from random import Random

    from ._children import ChildSpec
    from ._intensity import RestartIntensity
    from ._reports import Observer


@final
class Partitions:
    """A number of children made alike, and one of them for each key; Elixir's `PartitionSupervisor`.

    For what one child alone would be the bottleneck of: each partition has its own state and its own queue, and all
    that belongs to one key meets in one of them.

    *make* is called with 0, 1, … up to *count* - 1, at once, and gives the specs, whose ids must differ. The options
    are those of the `Supervisor`; one for one unless said otherwise.
    Raise `TypeError` or `ValueError` that name the option, also for a temporary partition: one that is forgotten when
    it ends would leave its keys to nobody.
    """

    __slots__ = ("_is_resizing", "_size", "_specs", "_supervisor")

    def __init__(
        self,
        name: str,
        make: Callable[[int], ChildSpec],
        count: int,
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: RestartIntensity | None = None,
        subtree_intensity: RestartIntensity | None = None,
        shutdown_deadline: float = 30.0,
        observer: Observer | None = None,
        random: Random | None = None,
    ) -> None:
        check_count("count", count, at_least=1)
        if not callable(make):
            raise TypeError(f"make={make!r} must be a function of the partition's number that returns a ChildSpec")
        self._specs = tuple(map(make, range(count)))
        self._supervisor = Supervisor(
            name,
            self._specs,
            strategy=strategy,
            intensity=intensity,
            subtree_intensity=subtree_intensity,
            shutdown_deadline=shutdown_deadline,
            observer=observer,
            random=random,
        )
        for spec in self._specs:
            if spec.restart is RestartPolicy.TEMPORARY:
                raise ValueError(
                    f"restart={spec.restart} of partition {spec.id!r} leaves its keys to nobody once it has ended: "
                    "use RestartPolicy.PERMANENT or RestartPolicy.TRANSIENT"
                )
        self._size = count
        self._is_resizing = False

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor of the partitions: to be run, or to be the `start` of a child."""
        return self._supervisor

    @property
    def size(self) -> int:
        """Over how many partitions keys are spread."""
        return self._size

    def partition_of(self, key: Hashable) -> int:
        """Give the number of the partition for *key*: an int modulo `size`, anything else by its hash.

        The same for equal keys of one type until it is resized, but only within this process: Python salts the hashes
        of texts anew in each. Raise `LookupError` if the size is 0, and `TypeError` if *key* has no hash.
        """
        if not self._size:
            raise LookupError(
                f"{self._supervisor.name!r} has no partition for key {key!r}: it was resized to 0; resize it again, "
                f"up to {len(self._specs)}"
            )
        return (key if isinstance(key, int) else hash(key)) % self._size

    def child_of(self, key: Hashable) -> str:
        """Give the id of the partition for *key*, as the methods of `supervisor` want it. Raise as `partition_of`
        does."""
        return self._specs[self.partition_of(key)].id

    async def resize(self, count: int) -> None:
        """Have *count* partitions, from none up to as many as there were at first, and spread the keys over these.

        Going down, keys go to those that stay from the first moment on; the others are stopped from the last, and
        forgotten. Going up, keys go to the new ones once all of them are up. A supervisor that does not run begins
        its next run with the new size; one that is restarted keeps it.

        Cancelled, `size` says over how many the keys are spread; of those beyond it some may still be up, without
        keys, until the next resize ends them. It is the same after what `Supervisor.start_child` and `terminate_child`
        raise. Raise `ValueError` or `TypeError` for any other *count*, `RuntimeError` while another resize is going on.
        """
        check_count("count", count, at_least=0)
        if count > len(self._specs):
            raise ValueError(
                f"count={count} must lie between 0 and {len(self._specs)}, the number of partitions that "
                f"{self._supervisor.name!r} was made with; make it with more"
            )
        if self._is_resizing:
            raise RuntimeError(f"{self._supervisor.name!r} is being resized already: wait until that has ended")
        self._is_resizing = True
        try:
            await anyio.lowlevel.checkpoint()
            await self._change_size(count)
        finally:
            self._is_resizing = False

    async def _change_size(self, count: int) -> None:
        self._size = kept = min(self._size, count)
        # All beyond the size: also what an earlier resize left when it was cancelled.
        for spec in reversed(self._specs[kept:]):
            await self._end(spec)
        for spec in self._specs[kept:count]:
            await self._begin(spec)
        self._size = count

    async def _end(self, spec: ChildSpec) -> None:
        """Stop and forget a partition: one that was only stopped would come back with its group, or the next run."""
        supervisor = self._supervisor
        with suppress(ChildNotFound):  # it is gone already
            while True:
                if supervisor.state != "stopped":
                    await supervisor.terminate_child(spec.id)
                # A group restart may take it along between the two requests; then it is to be stopped again.
                with suppress(ChildRunning, ChildRestarting):
                    await supervisor.delete_child(spec.id)
                    return

    async def _begin(self, spec: ChildSpec) -> None:
        if self._supervisor.state == "stopped":
            self._supervisor.declare(spec)
        else:
            await self._supervisor.start_child(spec, keep=True)

    def __repr__(self) -> str:
        return f"<Partitions {self._supervisor.name}: {self._size} of {len(self._specs)}, {self._supervisor.state}>"
