"""A bus on the web: its health over HTTP, and its life inside of an application of FastAPI, Django and others.

`import tocsin` does not bring it in, and it imports no framework. Only `serve_health` needs something else:
`pip install "tocsin[web]"`. See `docs/operation.md` and `docs/frameworks.md`.
"""

from __future__ import annotations

from ._asgi import HealthApp as HealthApp
from ._asgi import health_app as health_app
from ._fatal import OnFatal as OnFatal
from ._lifespan import HasScope as HasScope
from ._lifespan import Lifespan as Lifespan
from ._lifespan import get_bus as get_bus
from ._lifespan import lifespan as lifespan
from ._serving import serve_health as serve_health
from ._with_bus import AsgiApp as AsgiApp
from ._with_bus import with_bus as with_bus
