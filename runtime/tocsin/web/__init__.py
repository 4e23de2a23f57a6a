"""The health of a bus over HTTP: is it alive, is it ready, what do its counters say.

`import tocsin` does not bring it in. `health_app` needs nothing else; `serve_health` needs `pip install "tocsin[web]"`.
See `docs/operation.md`.
"""

from __future__ import annotations

from ._asgi import HealthApp as HealthApp
from ._asgi import health_app as health_app
from ._serving import serve_health as serve_health
