"""The command line, `tocsin`: run a declared bus as a daemon, look at its declaration. Needs the extra `tocsin[cli]`.

`import tocsin` does not bring it in. Unix only: it lives on signals.
"""

from __future__ import annotations

from ._main import main as main
