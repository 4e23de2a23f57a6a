"""How the advice sees real specs and options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ._advice_views import ChildView, SupervisorView
from ._children import Nested

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._children import ChildSpec
    from ._options import Options

_OF_A_SPEC = tuple(field.name for field in attrs.fields(ChildView) if field.name != "supervisor")


def view_of(path: str, options: Options, specs: Iterable[ChildSpec]) -> SupervisorView:
    """View a supervisor and all that is below it."""
    return SupervisorView(
        path,
        tuple(map(_child, specs)),
        strategy=options.strategy,
        intensity=options.intensity,
        shutdown_deadline=options.shutdown_deadline,
        auto_shutdown=options.auto_shutdown.value,
        subtree_intensity=options.subtree_intensity,
        is_template=options.template is not None,
    )


def _child(spec: ChildSpec) -> ChildView:
    values: dict[str, Any] = {name: getattr(spec, name) for name in _OF_A_SPEC}
    return ChildView(**values, supervisor=spec.start.advice_view() if isinstance(spec.start, Nested) else None)
