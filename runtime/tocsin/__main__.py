"""`python -m tocsin`: the command line, where its script is not on the path.

Python puts the current directory in front of everything for `-m`, and imports from it before the first line here runs:
`python -P -m tocsin` does not, nor does the script `tocsin`.
"""

from __future__ import annotations

import sys

from tocsin.cli._main import forget_current_directory, main

if __name__ == "__main__":
    forget_current_directory()
    sys.exit(main())
