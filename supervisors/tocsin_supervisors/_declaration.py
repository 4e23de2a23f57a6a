"""What every run of a supervisor starts with: its options and its child specs, checked against each other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import final

import attrs

from ._children import ChildSpec, Nested
from ._options import AutoShutdown, Changes, Options, refusal_of
from .exceptions import BadCombination, DuplicateChild, TemplateSupervisor, TooManyChildren


@final
class Declaration:
    """The options and the specs in start order, of a supervisor called *name*."""

    __slots__ = ("name", "options", "specs")

    def __init__(self, name: str, options: Options, specs: Mapping[str, ChildSpec] | None = None) -> None:
        self.name = name
        self.options = options
        self.specs: dict[str, ChildSpec] = dict(specs or {})  # id → spec, in start order

    def add(self, spec: ChildSpec) -> None:
        """Add a child after all others; raise the typed error that says why it cannot be one."""
        check_is_spec(spec)
        if self.options.template is not None:
            raise TemplateSupervisor(self.name, spec.id)
        if spec.id in self.specs:
            raise DuplicateChild(self.name, spec.id)
        refusal = refusal_of(spec, self.options, self.name)
        if refusal is not None:
            raise refusal
        self._check_room(spec.id, self.specs)
        self.specs[spec.id] = spec

    def _check_room(self, id: str, present: Collection[str]) -> None:
        limit = self.options.max_children
        if limit is not None and len(present) >= limit:
            raise TooManyChildren(self.name, id, limit)

    def add_all(self, specs: Iterable[ChildSpec]) -> None:
        """Add several, in their order."""
        if not isinstance(specs, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may not check types
            raise TypeError(f"children={specs!r} must be several of ChildSpec, in the order of their start")
        for spec in specs:
            self.add(spec)

    def changed(self, changes: Changes, specs: Iterable[ChildSpec], present: Mapping[str, ChildSpec]) -> Declaration:
        """Give what this becomes by *changes* of options and by *specs*, which replace those of the same id or are
        added; *present* are the children there are now. Nothing is changed here, and all is checked.

        Children not among *specs* stay as they are, significant ones also where they would not be accepted any more.
        """
        options = attrs.evolve(self.options, **changes)
        if (options.template is None) is not (self.options.template is None):
            raise ValueError(
                f"supervisor {self.name!r} cannot begin or cease to have a template: what children it has depends on "
                "that; make another supervisor"
            )
        new = Declaration(self.name, options)
        new.add_all(specs)
        ids = {*present, *self.specs}
        for id, spec in new.specs.items():
            if id in present:
                _check_kind(self.name, present[id], spec)
            elif id not in ids:
                new._check_room(id, ids)
                ids.add(id)
        return Declaration(self.name, options, {**self.specs, **new.specs})


def check_is_spec(spec: object) -> None:
    """Raise `TypeError` unless *spec* is a `ChildSpec`: callers may not check types."""
    if not isinstance(spec, ChildSpec):
        raise TypeError(f"{spec!r} must be a ChildSpec: a supervisor is described by what it can start again")


def _check_kind(supervisor: str, old: ChildSpec, new: ChildSpec) -> None:
    is_supervisor = isinstance(old.start, Nested) or isinstance(new.start, Nested)
    if is_supervisor and old.start is not new.start:
        reason = "cannot become another supervisor, or cease to be one: terminate and delete it, then start anew"
        raise BadCombination(supervisor, new.id, reason)


def check_specs(
    specs: Iterable[ChildSpec], *, auto_shutdown: AutoShutdown = AutoShutdown.NEVER, max_children: int | None = None
) -> None:
    """Check child specs against each other without a supervisor. Each alone was checked when it was made.

    Raise `DuplicateChild`, `BadCombination` or `TooManyChildren`, and `TypeError` for what is no `ChildSpec`.
    """
    Declaration("check_specs", Options(auto_shutdown=auto_shutdown, max_children=max_children)).add_all(specs)
