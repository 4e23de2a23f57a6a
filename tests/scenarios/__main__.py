"""Print which tests cover which scenario; fail if one has neither a test nor a reason why there is none."""

from __future__ import annotations

from tests.scenarios.table import TABLE

if __name__ == "__main__":
    TABLE.main()
