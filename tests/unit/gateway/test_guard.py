"""Before all routes: the token, how many requests there are at once, bodies, defects, and the access log."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from requests_to import requested
from starlette.requests import Request
from starlette.responses import Response

from raycache.edge.gateway.app import application
from raycache.edge.gateway.guard import Guard
from raycache.edge.gateway.limits import Limits, TooLarge
from raycache.errors import InvalidOption

TOKEN = Limits(token="s3cret")


def error(response):
    return response.status_code, response.json()["error"]["type"]


async def hello(scope, receive, send):
    await Response("hello")(scope, receive, send)


# ------------------------------------------------------------------------------------------------------ the token


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        ("Bearer s3cre", 401),
        ("Bearer s3crets", 401),
        ("Basic s3cret", 401),
        ("s3cret", 401),
        (b"Bearer \xff", 401),
        ("Bearer s3cret", 200),
        ("bearer  s3cret", 200),
    ],
)
def test_a_request_needs_the_token(header, status):
    headers = {} if header is None else {"authorization": header}
    response = asyncio.run(requested(Guard(hello, TOKEN), "GET", "/v1/groups", headers=headers))

    assert response.status_code == status
    assert response.headers.get("www-authenticate") == ('Bearer realm="raycache"' if status == 401 else None)


def test_two_tokens_are_none():
    headers = [("authorization", "Bearer s3cret"), ("authorization", "Bearer other")]
    response = asyncio.run(requested(Guard(hello, TOKEN), "GET", "/v1/groups", headers=headers))

    assert error(response) == (401, "Unauthorized")


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/", 200), ("/healthz/", 401), ("/metrics", 401)])
def test_health_and_the_page_need_none(path, status):
    assert asyncio.run(requested(Guard(hello, TOKEN), "GET", path)).status_code == status


def test_the_token_is_compared_in_constant_time(monkeypatch):
    """... with the whole token, whatever was given."""
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda given, token: compared.append((given, token)) or False)
    TOKEN.authorized("Bearer x")

    assert compared == [(b"x", b"s3cret")]


@pytest.mark.parametrize("token", ["", "a\nb", "ü"])
def test_a_token_that_no_header_can_carry_is_refused(token):
    with pytest.raises(InvalidOption, match="printable ASCII"):
        Limits(token=token)


@pytest.mark.parametrize("limit", ["body_bytes", "concurrency", "timeout_s"])
def test_a_limit_is_more_than_nothing(limit):
    with pytest.raises(InvalidOption, match=f"{limit}=0"):
        Limits(**{limit: 0})


# --------------------------------------------------------------------------------------------------- at once


def test_who_comes_when_there_are_too_many_is_told_when_to_come_again():
    async def ask():
        going = asyncio.Event()

        async def slow(scope, receive, send):
            await going.wait()
            await hello(scope, receive, send)

        guard = Guard(slow, Limits(concurrency=2, retry_after_s=7))
        first = [asyncio.create_task(requested(guard, "GET", "/v1/groups")) for _ in range(2)]
        while guard.running < 2:
            await asyncio.sleep(0)
        refused = await requested(guard, "GET", "/v1/groups")
        going.set()
        return refused, await asyncio.gather(*first), await requested(guard, "GET", "/v1/groups"), guard.running

    refused, first, after, running = asyncio.run(ask())

    assert (error(refused), refused.headers["retry-after"]) == ((503, "TooBusy"), "7")
    assert [response.status_code for response in (*first, after)] == [200, 200, 200]
    assert running == 0


def test_a_request_that_is_ended_is_told_so_and_counts_no_more():
    async def ask():
        async def hang(scope, receive, send):
            await asyncio.Event().wait()

        sent, guard = [], Guard(hang, Limits())
        scope = {"type": "http", "method": "GET", "path": "/v1/groups", "headers": []}

        async def send(message):
            sent.append(message)

        hanging = asyncio.create_task(guard(scope, None, send))
        while not guard.running:
            await asyncio.sleep(0)
        hanging.cancel()
        await asyncio.wait([hanging])
        return sent[0]["status"], guard.running, hanging.cancelled()

    assert asyncio.run(ask()) == (503, 0, True)


# --------------------------------------------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"x" * 11, {}),
        (b"", {"content-length": "11"}),
        (b"", {"content-length": "9" * 5000}),
        (b"", {"content-length": "-1"}),
    ],
)
def test_a_body_that_is_too_large_ends_the_connection(cache, users, body, headers):
    app = application(cache, limits=Limits(body_bytes=10))
    response = asyncio.run(requested(app, "PUT", "/v1/groups/users/keys/a", content=body, headers=headers))

    assert error(response) == (413, "TooLarge")
    assert response.headers["connection"] == "close"
    assert "a" not in users


def test_a_body_of_unknown_size_is_read_no_further_than_its_bound():
    read = []

    async def endless():
        read.append(1)
        return {"type": "http.request", "body": b"x" * 4, "more_body": True}

    with pytest.raises(TooLarge):
        asyncio.run(Limits(body_bytes=10).body(Request({"type": "http", "headers": []}, endless)))
    assert len(read) == 3


# -------------------------------------------------------------------------------------------------- defects, log


def test_a_defect_is_500_and_logged_with_its_trace(caplog):
    async def broken(scope, receive, send):
        raise ZeroDivisionError("secret")

    response = asyncio.run(requested(Guard(broken, Limits()), "GET", "/x"))

    assert error(response) == (500, "InternalError")
    assert "secret" not in response.text
    assert "ZeroDivisionError: secret" in caplog.text


def test_there_is_no_access_log_unless_it_is_wanted(users, ask, caplog):
    with caplog.at_level(logging.INFO):
        ask("GET", "/v1/groups")

    assert [record for record in caplog.records if record.name == "raycache.access"] == []


def test_the_access_log_has_one_json_document_for_each_request(cache, users, caplog):
    app = application(cache, limits=TOKEN, access_log=True)
    with caplog.at_level(logging.INFO, "raycache.access"):
        asyncio.run(requested(app, "GET", "/v1/groups/users/keys/a%0A?type=str"))
        asyncio.run(requested(app, "GET", "/healthz"))
    refused, healthy = (json.loads(record.message) for record in caplog.records if record.name == "raycache.access")

    assert (refused["method"], refused["path"], refused["status"]) == ("GET", "/v1/groups/users/keys/a%0A", 401)
    assert (healthy["status"], healthy["client"]) == (200, "127.0.0.1")
    assert healthy["seconds"] >= 0
    assert healthy["bytes"] > 0
