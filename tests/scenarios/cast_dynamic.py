"""Supervisors that begin with no children and are given some while they run: by name, or from a template."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import pytest

from tests.supervisors.scripted import Puppet, Record
from tocsin_supervisors import ChildCounts, ChildInfo, ChildRef, ChildSpec, Supervisor

Way: TypeAlias = Literal["named", "template"]
ways = pytest.mark.parametrize("way", ["named", "template"])


class Agency:
    """A supervisor called root, for the children that it is given later; all is recorded."""

    def __init__(self, way: Way, **options: Any) -> None:
        self.record = Record()
        self._is_template = way == "template"
        template = _itself if self._is_template else None
        self.supervisor = Supervisor("root", observer=self.record.observe, template=template, **options)

    async def start(self, spec: ChildSpec) -> tuple[str | ChildRef | None, Any]:
        """Start a child; give how it is addressed from now on, and the value of its start."""
        if self._is_template:
            ref = await self.supervisor.start_from_template(spec)
            return ref, None if ref is None else ref.value
        return spec.id, await self.supervisor.start_child(spec)

    async def engage(self, id: str, **options: Any) -> tuple[Puppet, str | ChildRef]:
        """Start a puppet that comes up."""
        puppet = Puppet(self.record, id)
        child, value = await self.start(puppet.spec(**options))
        assert child is not None
        assert value is puppet
        return puppet, child

    def counts(self, children: int, active: int) -> ChildCounts:
        """Give the counts of so many children; those of a template have one spec between them."""
        return ChildCounts(specs=1 if self._is_template else children, active=active, supervisors=0, actors=children)

    def info(self, child: str | ChildRef) -> ChildInfo:
        """Give a child as it is now."""
        return self.supervisor.which_child(child)


def _itself(spec: ChildSpec) -> ChildSpec:
    return spec
