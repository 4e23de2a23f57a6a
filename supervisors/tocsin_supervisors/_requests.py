"""What may be asked of a running supervisor. Apart from the other facts, because whoever only declares one needs these.

`token` tells whom to answer.
"""

from __future__ import annotations

from typing import TypeAlias, final

import attrs

from ._children import ChildSpec
from ._options import Options

DECLINED = object()  # the answer to who had a child started that declined


@final
@attrs.frozen
class StartAsked:
    """Add a child and start it."""

    token: int
    spec: ChildSpec
    keep: bool = False


@final
@attrs.frozen
class Added:
    """A child was declared, and is to be started. Nobody waits for that."""

    spec: ChildSpec


@final
@attrs.frozen
class TerminateAsked:
    """Stop a child, or its restart loop, for good."""

    token: int
    child: str


@final
@attrs.frozen
class RestartAsked:
    """Start a child that is down; *even_if_up*: any other, too, once it was stopped."""

    token: int
    child: str
    even_if_up: bool = False


@final
@attrs.frozen
class DeleteAsked:
    """Forget a child that is down."""

    token: int
    child: str


@final
@attrs.frozen
class Withdrawn:
    """Whoever asked for a start does not wait for the answer any more: undo it."""

    token: int
    child: str


@final
@attrs.frozen
class ReconfigureAsked:
    """Go on under other options, and with *specs* instead of those of the same id; what is new stays down."""

    token: int
    options: Options
    specs: tuple[ChildSpec, ...]


Request: TypeAlias = StartAsked | Added | TerminateAsked | RestartAsked | DeleteAsked | Withdrawn | ReconfigureAsked
