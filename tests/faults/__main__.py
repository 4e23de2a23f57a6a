"""Print which tests cover which fault; fail if one has neither a test nor a reason why there is none."""

from __future__ import annotations

from tests.faults.table import TABLE

if __name__ == "__main__":
    TABLE.main()
