"""Text for a terminal or a log, made of values nobody trusts: escaped, and without the passwords of addresses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tocsin_supervisors import safe_text

if TYPE_CHECKING:
    from tocsin_supervisors import Failure

# scheme://user:password@host; the password may hold colons and at signs, but no slash. Each character is looked at by
# one attempt only, as an attempt ends at the next slash.
_PASSWORD = re.compile(r"(?<=://)([^\s/:@]*):[^\s/]+@")


def redacted(text: str) -> str:
    """Give *text* with the passwords of addresses replaced: `postgres://shop:***@db`."""
    return _PASSWORD.sub(r"\1:***@", text)


def shown(value: object, limit: int = 400) -> str:
    """Give *value* as one printable line of at most *limit* characters, without the passwords of addresses.

    Redacted before it is cut, or half of a password would look like none.
    """
    return safe_text(redacted(safe_text(value, 10 * limit)), limit)


def shown_failure(failure: Failure | None, limit: int = 400) -> str:
    """Say in one line what *failure* was."""
    return "no failure" if failure is None else shown(failure, limit)
