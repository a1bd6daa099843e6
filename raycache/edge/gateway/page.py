"""The operator's page at `/`, and the figures that it shows, `/v1/page`: one JSON document about the whole cache.

The page is one file, with all of its script and style in it; its Content-Security-Policy lets nothing else run, and
lets it talk to its own gateway alone. It has no secrets, and needs no token: the figures do, and the page asks for it.

However many pages are open, the cluster is asked once a second at most, in a thread, and nobody waits longer than half
a second for it: what came last is shown then, and how old it is.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable
from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from raycache.edge import text
from raycache.edge.gateway.refusals import Reading
from raycache.edge.gateway.served import Served
from raycache.edge.gateway.shared import Shared
from raycache.edge.status import Look, look
from raycache.glance import Glance, Seen

#: Figures that are no older than this are good enough for whoever else asks.
FRESH_S = 0.9
#: Hottest keys that are shown.
HOTTEST = 15

_HTML = resources.files(__package__).joinpath("page.html").read_text("utf-8")


def _sources(tag: str) -> str:
    """The only content of such elements that a browser is to take, by its hash."""
    contents = re.findall(f"<{tag}>(.*?)</{tag}>", _HTML, re.DOTALL)
    hashes = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in contents)
    return " ".join(f"'sha256-{each}'" for each in hashes)


_POLICY = (
    f"default-src 'none'; script-src {_sources('script')}; style-src {_sources('style')}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def routes(served: Served) -> list[Route]:
    """The page, for which no token is to be asked, and its figures."""
    page = _HTML.encode()
    headers = _ALWAYS | {"Content-Security-Policy": _POLICY}
    figures = Figures(lambda: look(served.cache))

    async def show(_: Request) -> Response:
        return Response(page, media_type="text/html", headers=headers)

    async def tell(_: Request) -> Response:
        document = {"cache": served.cache.name} | as_document(await figures.look(), time.monotonic())
        # Lone surrogates, which names may have, become the escapes that JSON has for them.
        body = text.to_json(document, indent=None).encode("utf-8", "backslashreplace")
        return Response(body, media_type="application/json", headers=_ALWAYS)

    return [Reading("/", show), Reading("/v1/page", tell)]


class Figures:
    """Looks at a cache for all who ask in one event loop: those who ask within a second get the same."""

    def __init__(self, take: Callable[[], Look], clock: Callable[[], float] = time.monotonic) -> None:
        self._seen = Shared(Glance(take, clock=clock).look, FRESH_S, clock)

    async def look(self) -> Seen[Look]:
        """What came last, and when by the clock."""
        return await self._seen.answer()


def as_document(seen: Seen[Look], now: float) -> dict[str, Any]:
    """For JSON: what was seen, how many seconds ago, and why that is not what was asked for just now."""
    age_s = None if seen.at is None else max(now - seen.at, 0.0)
    told: dict[str, Any] = {"shards": None, "groups": None, "total": None, "hottest": None, "error": None}
    if seen.value is not None:
        told = seen.value.as_dict() | {"hottest": hottest(seen.value)}
        told["shards"] = [{name: each for name, each in shard.items() if name != "hottest"} for shard in told["shards"]]
    return told | {"age_s": age_s, "trouble": seen.trouble or None}


def hottest(seen: Look) -> list[dict[str, Any]]:
    """The keys that processes hit most often, over all shards that they have told of it."""
    rates: Counter[tuple[str, str]] = Counter()
    for shard in seen.shards:
        for hot in shard.hottest:
            rates[hot.group, hot.key] += hot.hits_per_s  # type: ignore[assignment]  # a Counter of floats, here
    return [{"group": group, "key": key, "hits_per_s": rate} for (group, key), rate in rates.most_common(HOTTEST)]
