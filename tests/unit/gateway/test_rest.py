"""The plain HTTP face: keys and values in and out, what caches are told, and a status for everything that is wrong."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from urllib.parse import quote

import pytest
from requests_to import requested

from raycache.edge.gateway.app import application
from raycache.edge.gateway.limits import Limits
from raycache.errors import CacheUnavailable, NotFound

JSON, TEXT, BYTES = "application/json", "text/plain; charset=utf-8", "application/octet-stream"


def error(response):
    """Its status, and the type of the error."""
    return response.status_code, response.json()["error"]["type"]


# ------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("value", "accept", "body", "media_type"),
    [
        (b"\0\xff", "*/*", b"\0\xff", BYTES),
        ("größe", "*/*", "größe".encode(), TEXT),
        ("größe", JSON, '"größe"'.encode(), JSON),
        ("größe", BYTES, "größe".encode(), BYTES),
        ("a", "application/json;q=0.5, text/*;q=0.1", b'"a"', JSON),
        ("a", "text/html, application/xml;q=0.9, */*;q=0.8", b"a", TEXT),
        ("file\udcff", "*/*", b"file\xff", TEXT),
        ("\ud800", JSON, b'"\\ud800"', JSON),
        ({"a": [1, None, True]}, "*/*", b'{"a":[1,null,true]}', JSON),
        ((1, 2), JSON, b"[1,2]", JSON),
        (None, "*/*", b"null", JSON),
    ],
)
def test_a_value_is_shown_as_what_it_is_and_is_accepted(users, ask, getter, value, accept, body, media_type):
    getter.values["a"] = value
    response = ask("GET", "/v1/groups/users/keys/a", headers={"accept": accept})

    assert (response.status_code, response.content, response.headers["content-type"]) == (200, body, media_type)


@pytest.mark.parametrize(
    ("value", "accept"),
    [
        (datetime.date(2026, 1, 1), "*/*"),
        (float("nan"), "*/*"),
        ({(1, 2): 3}, "*/*"),
        ("\ud800", "*/*"),
        (b"a", JSON),
        (b"a", "application/octet-stream;q=0"),
        ({}, "text/plain"),
        ({}, "image/*;q=x"),
    ],
)
def test_what_cannot_be_shown_is_406(users, ask, getter, value, accept):
    getter.values["a"] = value

    assert error(ask("GET", "/v1/groups/users/keys/a", headers={"accept": accept})) == (406, "NoJson")


@pytest.mark.parametrize(
    ("body", "media_type", "value"),
    [
        (b"\0\xff", None, b"\0\xff"),
        (b"a", "application/x-www-form-urlencoded", b"a"),
        (b'{"a": [1]}', JSON, {"a": [1]}),
        (b'"a"', "application/json; charset=utf-8", "a"),
        ("größe".encode(), "text/plain", "größe"),
        ("größe".encode("latin-1"), 'text/plain; charset="latin-1"', "größe"),
        (b"", "text/plain", ""),
    ],
)
def test_a_body_is_put_as_what_its_media_type_says(users, ask, body, media_type, value):
    headers = {} if media_type is None else {"content-type": media_type}
    response = ask("PUT", "/v1/groups/users/keys/a", content=body, headers=headers)

    assert (response.status_code, response.content) == (204, b"")
    assert users.get("a") == value


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"{", JSON),
        (b"", JSON),
        (b"NaN", JSON),
        (b"[1e400]", JSON),
        (b"[" * 200_000, JSON),
        (b"9" * 5000, JSON),
        (b"\xff", "text/plain"),
        (b"a", "text/plain; charset=klingon"),
        (b"a", "text/plain; charset=hex"),
        (b"a", "text/plain; charset=punycode"),
        (b"a", "text/plain; charset=IDNA"),
        (b"a", "text/plain; charset=unicode_escape"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_400(users, ask, body, media_type):
    response = ask("PUT", "/v1/groups/users/keys/a", content=body, headers={"content-type": media_type})

    assert error(response) == (400, "BadRequest")
    assert "a" not in users


def test_a_pickle_stays_bytes(users, ask):
    """... and nothing in it is run."""
    bomb = b"cos\nsystem\n(S'exit 1'\ntR."
    ask("PUT", "/v1/groups/users/keys/a", content=bomb, headers={"content-type": "application/python-pickle"})

    assert users.get("a") == ask("GET", "/v1/groups/users/keys/a").content == bomb


# --------------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "key",
    [
        "a/b",
        "/a",
        "//",
        "a b",
        "a+b",
        "%",
        "%2F",
        ".",
        "..",
        "../../etc/passwd",
        "é🎉",
        "a?b#c",
        "\0",
        "a\nb\n",
        "f\udcff",
    ],
)
def test_every_text_is_a_key(users, ask, getter, key):
    path = f"/v1/groups/users/keys/{quote(key, safe='', errors='surrogateescape').replace('.', '%2E')}"

    assert ask("GET", path).status_code == 200
    assert getter.calls == [key]


@pytest.mark.parametrize(
    ("typed", "kind", "key"),
    [
        ("7", "int", 7),
        ("1.5", "float", 1.5),
        ("true", "bool", True),
        ("%ff/", "bytes", b"\xff/"),
        ("ff00", "hex", b"\xff\0"),
        ("_w-_", "base64", b"\xff\x0f\xbf"),
        ("[1,%22a%22,[true]]", "json", (1, "a", (True,))),
    ],
)
def test_keys_of_other_types(users, ask, getter, typed, kind, key):
    assert ask("GET", f"/v1/groups/users/keys/{typed}?type={kind}").status_code == 200
    assert list(map(repr, getter.calls)) == [repr(key)]


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/v1/groups/users/keys/", 400, "InvalidKey"),
        ("/v1/groups/users/keys/%zz", 400, "BadRequest"),
        ("/v1/groups/users/keys/100%", 400, "BadRequest"),
        ("/v1/groups/%f/keys/a", 400, "BadRequest"),
        ("/v1/groups/users/keys/a?type=int", 400, "BadRequest"),
        ("/v1/groups/users/keys/yes?type=bool", 400, "BadRequest"),
        ("/v1/groups/users/keys/{?type=json", 400, "BadRequest"),
        ("/v1/groups/users/keys/[]?type=json", 400, "BadRequest"),
        ("/v1/groups/users/keys/a?type=pickle", 400, "BadRequest"),
        ("/v1/groups/users/keys/a?type=str&type=int", 400, "BadRequest"),
        ("/v1/groups/users/keys/" + 9000 * "a", 414, "TooLarge"),
        ("/v1/groups/users/keys/" + 3000 * "%F0%9F%8E%89", 414, "TooLarge"),
        ("/v1/groups/nobody/keys/a", 404, "UnknownGroup"),
        ("/v1/groups/users/keys/none", 404, "NotFound"),
        ("/v1/groups/nobody", 404, "UnknownGroup"),
        ("/v1/groups/", 404, "UnknownGroup"),
        ("/v1/groups/users/values", 404, "NoSuchPath"),
        ("/v1/groups/users/get/a", 404, "NoSuchPath"),
        ("/v2", 404, "NoSuchPath"),
        ("/v1/groups/users/keys/broken", 502, "ValueError"),
        ("/v1/groups/users/keys/mute", 502, "Mute"),
        ("/v1/groups/users/keys/away", 503, "CacheUnavailable"),
    ],
)
def test_what_is_wrong_with_a_get_has_a_status(users, ask, getter, path, status, kind):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    getter.values |= {"none": NotFound("nobody"), "broken": ValueError("no"), "away": CacheUnavailable("gone")}
    getter.values["mute"] = Mute()
    response = ask("GET", path)

    assert error(response) == (status, kind)
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/groups/users/keys/a", "GET, HEAD, PUT, DELETE"),
        ("BREW", "/v1/groups/users/keys/a", "GET, HEAD, PUT, DELETE"),
        ("GET", "/v1/groups/users/get", "POST"),
        ("DELETE", "/v1/groups/users", "GET, HEAD"),
        *(
            ("DELETE", path, "GET, HEAD")
            for path in ("/v1/groups", "/v1/stats", "/healthz", "/openapi.json", "/v1/page")
        ),
    ],
)
def test_a_method_that_is_not_there_is_405(users, ask, method, path, allowed):
    response = ask(method, path)

    assert error(response) == (405, "MethodNotAllowed")
    assert response.headers["allow"] == allowed


# --------------------------------------------------------------------------------------- caches between us and them


def test_the_answer_says_where_it_was_found(users, ask, cache):
    tiers = [ask("GET", "/v1/groups/users/keys/a").headers["x-cache"] for _ in range(2)]
    users.forget()
    tiers.append(ask("GET", "/v1/groups/users/keys/a").headers["x-cache"])

    assert tiers == ["load", "near", "page"]


def test_a_value_may_be_kept_until_it_expires(cache, ask, clock, getter):
    cache.group("minutes", getter, ttl=60)
    path = "/v1/groups/minutes/keys/a"
    ages = [ask("GET", path).headers["cache-control"]]
    clock.advance(20.5)
    ages += [ask("GET", path).headers["cache-control"]]
    clock.advance(40)
    ages += [ask("GET", path).headers["x-cache"]]

    assert ages == ["max-age=59", "max-age=39", "load"]


def test_a_value_that_does_not_expire_must_be_asked_for_again(users, ask):
    assert ask("GET", "/v1/groups/users/keys/a").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("known", ["{}", "W/{}", '"x", {}', "*"])
def test_a_client_that_has_the_value_is_told_so(users, ask, known):
    etag = ask("GET", "/v1/groups/users/keys/a").headers["etag"]
    response = ask("GET", "/v1/groups/users/keys/a", headers={"if-none-match": known.format(etag)})

    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    assert response.headers["cache-control"] == "no-cache"


def test_another_value_has_another_etag(users, ask):
    etag = ask("GET", "/v1/groups/users/keys/a").headers["etag"]
    users.set("a", "other")
    response = ask("GET", "/v1/groups/users/keys/a", headers={"if-none-match": etag})

    assert (response.status_code, response.text) == (200, "other")


def test_head_has_the_headers_alone(users, ask):
    got, head = (ask(method, "/v1/groups/users/keys/a") for method in ("GET", "HEAD"))

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(got.content))


@pytest.mark.parametrize(
    ("query", "headers"), [("?ttl=60", {}), ("?ttl=1m", {}), ("", {"cache-control": "public, max-age=60"})]
)
def test_a_value_lives_as_long_as_was_said(users, ask, clock, query, headers):
    ask("PUT", f"/v1/groups/users/keys/a{query}", content=b"put", headers=headers)
    clock.advance(59)
    before = ask("GET", "/v1/groups/users/keys/a").content
    clock.advance(2)

    assert (before, ask("GET", "/v1/groups/users/keys/a").text) == (b"put", "value of 'a'")


@pytest.mark.parametrize("ttl", ["soon", "-1", "nan", "1e400", ""])
def test_a_ttl_that_is_none_is_400(users, ask, ttl):
    assert error(ask("PUT", f"/v1/groups/users/keys/a?ttl={ttl}", content=b"a")) == (400, "InvalidOption")


def test_a_key_is_removed(users, ask):
    users.set("a", 1)
    removed = [ask("DELETE", "/v1/groups/users/keys/a").json() for _ in range(2)]

    assert removed == [{"removed": 1}, {"removed": 0}]
    assert "a" not in users


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_changes_of_an_unknown_group_are_404(ask, method):
    assert error(ask(method, "/v1/groups/nobody/keys/a", content=b"")) == (404, "UnknownGroup")


def test_a_value_larger_than_its_group_is_413(cache, ask):
    cache.group("small", capacity="64 KiB")

    assert error(ask("PUT", "/v1/groups/small/keys/a", content=bytes(70_000))) == (413, "ValueTooLarge")


# -------------------------------------------------------------------------------------------------------- batches


def test_a_batch_has_a_row_for_each_key(users, ask, getter):
    getter.values |= {"b": b"\xff", "none": NotFound("nobody"), "d": datetime.date(2026, 1, 1)}
    ask("GET", "/v1/groups/users/keys/a")
    rows = ask("POST", "/v1/groups/users/get", json={"keys": ["a", "b", "none", "d", 7, ["x", 1]]}).json()["values"]

    assert [row["key"] for row in rows] == ["a", "b", "none", "d", 7, ["x", 1]]
    assert [row.get("value") for row in rows] == ["value of 'a'", None, None, None, "value of 7", "value of ('x', 1)"]
    assert rows[1]["base64"] == "/w=="
    assert [row["error"]["type"] for row in rows[2:4]] == ["NotFound", "NoJson"]
    assert [row.get("cache") for row in rows] == ["near", "load", None, None, "load", "load"]


def test_texts_of_a_batch_are_what_the_type_says(users, ask, getter):
    ask("POST", "/v1/groups/users/get?type=hex", json={"keys": ["ff"]})

    assert getter.calls == [b"\xff"]


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "BadRequest"),
        (b"[]", 400, "BadRequest"),
        (b'{"keys": "a"}', 400, "BadRequest"),
        (b'{"keys": [null]}', 400, "InvalidKey"),
        (b'{"keys": [{}]}', 400, "InvalidKey"),
        (b'{"keys": [""]}', 400, "InvalidKey"),
        (b'{"keys": [1, true]}', 400, "InvalidKey"),
        (b'{"keys": [1e400]}', 400, "BadRequest"),
        (json.dumps({"keys": list(range(1001))}).encode(), 413, "TooLarge"),
        (json.dumps({"keys": ["a" * 9000]}).encode(), 414, "TooLarge"),
        (b'{"keys": ["broken"]}', 502, "ValueError"),
    ],
)
def test_what_is_wrong_with_a_batch_has_a_status(users, ask, getter, body, status, kind):
    getter.values["broken"] = ValueError("no")

    assert error(ask("POST", "/v1/groups/users/get", content=body)) == (status, kind)


# ----------------------------------------------------------------------------------------------------------- time


@pytest.mark.parametrize(("gateway_s", "client"), [(30.0, "1ms"), (0.001, "1h"), (0.001, None)])
def test_a_get_waits_no_longer_than_its_client_and_the_gateway(inline, getter, gate, gateway_s, client):
    """... whose getter hangs."""
    cache = inline(clock=time.monotonic)
    cache.group("users", getter)
    getter.gates["a"] = gate()
    app = application(cache, limits=Limits(timeout_s=gateway_s))
    headers = {} if client is None else {"request-timeout": client}
    response = asyncio.run(requested(app, "GET", "/v1/groups/users/keys/a", headers=headers))
    getter.gates["a"].open()

    assert error(response) == (504, "LoadTimeout")


@pytest.mark.parametrize("given", ["soon", "-1", "inf"])
@pytest.mark.parametrize("path", ["groups/users/keys/a", "groups/users", "stats"])
def test_a_time_that_is_none_is_400(users, ask, path, given):
    response = ask("GET", f"/v1/{path}", headers={"request-timeout": given})

    assert error(response) == (400, "InvalidOption")


@pytest.fixture
def silent(cache, users, monkeypatch, gate):
    """The gate, shut: until it is open nobody says which groups there are, and what they have counted."""
    shut = gate()
    open_all, stats = cache.registry.open_all, cache.stats_by_group
    with monkeypatch.context() as patched:
        patched.setattr(cache.registry, "open_all", lambda: shut.passing() or open_all())
        patched.setattr(cache, "stats_by_group", lambda: shut.passing() or stats())
        yield shut
        shut.open()


SILENT = [("GET", "groups"), ("GET", "stats"), ("GET", "groups/users"), ("GET", "groups/nobody/keys/a")]
SILENT += [("PUT", "groups/nobody/keys/a"), ("DELETE", "groups/nobody/keys/a")]


@pytest.mark.parametrize(("gateway_s", "client"), [(30.0, "10ms"), (0.01, "1h"), (0.01, None), (30.0, "0")])
@pytest.mark.parametrize(("method", "path"), SILENT)
def test_a_question_to_a_silent_cluster_is_given_up_in_time(cache, silent, method, path, gateway_s, client):
    headers = {} if client is None else {"request-timeout": client}

    async def ask():
        app = application(cache, limits=Limits(timeout_s=gateway_s))
        try:
            return await requested(app, method, f"/v1/{path}", headers=headers)
        finally:
            silent.open()

    assert error(asyncio.run(ask())) == (503, "CacheUnavailable")


def test_counters_of_a_known_group_are_given_up_in_time_too(cache, silent, monkeypatch):
    async def ask():
        app = application(cache)
        monkeypatch.setattr(app.served, "_groups", {"users": cache.group("users")})
        try:
            return await requested(app, "GET", "/v1/groups/users", headers={"request-timeout": "10ms"})
        finally:
            silent.open()

    assert error(asyncio.run(ask())) == (503, "CacheUnavailable")


def test_an_answer_that_comes_too_late_for_one_client_is_there_for_the_next(cache, silent):
    """... or no client of a slow directory would ever be answered."""

    async def ask():
        app = application(cache)
        path, headers = "/v1/groups/users/keys/a", {"request-timeout": "10ms"}
        first = await requested(app, "GET", path, headers=headers)
        silent.open()
        while not app.served.names():
            await asyncio.sleep(0.001)
        return first.status_code, (await requested(app, "GET", path)).status_code

    assert asyncio.run(ask()) == (503, 200)


# ----------------------------------------------------------------------------------------------------- questions


def test_groups_and_their_counters(cache, users, ask):
    cache.group("a/b", None)
    ask("GET", "/v1/groups/users/keys/a")

    assert ask("GET", "/v1/groups").json() == {"groups": ["a/b", "users"]}
    assert ask("GET", "/v1/groups/a%2Fb").json()["name"] == "a/b"
    assert ask("GET", "/v1/groups/users").json()["stats"] == users.stats().as_dict()
    assert ask("GET", "/v1/stats").json()["total"] == cache.stats().as_dict()


def test_a_cache_that_is_up_is_healthy(ask):
    assert ask("GET", "/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/v1/groups", "/v1/stats", "/v1/groups/users", "/v1/groups/users/keys/a"])
def test_a_cache_that_has_gone_is_503(cache, users, ask, path):
    cache.destroy()
    response = ask("GET", path)

    assert error(response) == (503, "CacheUnavailable")
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize(("method", "path"), [("PUT", "keys/a"), ("DELETE", "keys/a"), ("POST", "get")])
def test_changes_of_a_cache_that_has_gone_are_503(cache, users, ask, method, path):
    ask("GET", "/v1/groups/users/keys/b")
    cache.destroy()

    assert error(ask(method, f"/v1/groups/users/{path}", content=b'{"keys":["a"]}')) == (503, "CacheUnavailable")
