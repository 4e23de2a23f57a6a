"""The child of `--reload`: the same command line, carried out and not watched."""

from __future__ import annotations

import sys

from tocsin.cli import main

if __name__ == "__main__":
    sys.exit(main(may_watch=False))
