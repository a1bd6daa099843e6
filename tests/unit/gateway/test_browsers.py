"""Browsers without a token: requests that pages of other sites have them send, and those of programs beside these."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from requests_to import requested

from raycache.edge.gateway.app import application

KEY = "/v1/groups/users/keys/a"
REMOVE = "/_groupcache/users/_remove-keys/"
OWN = {"host": "127.0.0.1:8080"}


def asked(cache, method, path, headers, hosts=()):
    app = application(cache, hosts=hosts)
    return asyncio.run(requested(app, method, path, headers=headers, content=b'{"keys": ["a"]}'))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("127.8.9.1", 200),
        ("localhost", 200),
        ("LocalHost:80", 200),
        ("localhost.:80", 200),
        ("gateway.localhost:80", 200),
        ("[::1]:8080", 200),
        ("cache.example:443", 200),
        ("evil.example:8080", 421),
        ("localhost.evil.example", 421),
        ("evil-localhost", 421),
        ("127.0.0.1.evil.example", 421),
        ("192.168.0.7:8080", 421),
        ("[fe80::1]", 421),
        ("0.0.0.0:8080", 421),
        ("", 421),
    ],
)
@pytest.mark.parametrize("path", [KEY, "/", "/v1/page", "/healthz"])
def test_what_is_asked_for_under_another_name_is_refused(cache, users, host, status, path):
    """Whose name leads here is a page that wants to read the cache (DNS rebinding)."""
    response = asked(cache, "GET", path, {"host": host}, hosts=["Cache.example"])

    assert response.status_code == status


def test_a_request_with_two_names_is_refused(cache, users):
    headers = httpx.Headers([("host", "localhost"), ("host", "evil.example")])

    assert asked(cache, "GET", KEY, headers).json()["error"]["type"] == "WrongHost"


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8080"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://before.example"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"origin": "http://127.0.0.1:8080"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:3000"}, False),
        ({"origin": "http://127.0.0.1:3000"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("PUT", KEY), ("DELETE", KEY), ("POST", REMOVE)])
def test_writes_of_other_sites_are_refused(cache, users, headers, taken, method, path):
    users.set("a", 1)
    response = asked(cache, method, path, OWN | headers)

    assert (response.status_code == 403) != taken
    assert (users.peek("a") == 1) != taken


def test_reads_of_other_sites_are_theirs_who_cannot_see_the_answer(cache, users):
    """... as of a picture, or of a link."""
    assert asked(cache, "GET", KEY, OWN | {"sec-fetch-site": "cross-site"}).status_code == 200


def test_a_mounted_gateway_leaves_names_and_sites_to_what_it_is_mounted_in(cache, users):
    response = asked(cache, "PUT", KEY, {"host": "evil.example", "sec-fetch-site": "cross-site"}, hosts=None)

    assert response.status_code == 204
