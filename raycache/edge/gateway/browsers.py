"""Browsers, where no token is asked for: what pages of other sites may have them do with the gateway, which is nothing.

A page from anywhere can make its reader's browser ask a gateway on loopback. It reads the answers if it has its own
name lead to loopback (DNS rebinding): then that name is the `Host`. For a write no answer need be read, but browsers
say who has them write, in `Sec-Fetch-Site`, or `Origin` if they are old. Programs send neither, and are let through.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from raycache.edge.gateway.refusals import refusal

#: They change nothing but what is cached.
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Browsers:
    """Tells which requests are another site's, by the names that are the gateway's own: loopback's, and some more."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = frozenset(map(_name, hosts))

    def refused(self, scope: Scope) -> Response | None:
        """What is to be answered to the request of another site."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        for host in hosts:
            if not self._own(_name(host)):
                what = (
                    f"this gateway is not at {host[:100]!r}; ask for localhost, or serve with --allow-host={host[:100]}"
                )
                return refusal(421, "WrongHost", what)
        if scope["method"] in _READS or _own_page(headers, hosts):
            return None
        return refusal(403, "CrossSite", "a page of another site had the browser send this; only reads are taken")

    def _own(self, name: str) -> bool:
        if name in self._hosts or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def _name(host: str) -> str:
    """Without a port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return (host if host.count(":") > 1 else host.partition(":")[0]).rstrip(".")


def _own_page(headers: Headers, hosts: list[str]) -> bool:
    """Whether it was a program that wrote, a page of the gateway's own, or who sits before the browser."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    return origin is None or origin.partition("://")[2] in hosts
