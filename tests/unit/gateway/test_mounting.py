"""The application below a path of another one, as in any ASGI server."""

from __future__ import annotations

import asyncio

import pytest
from requests_to import requested
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from raycache.edge.gateway.app import application
from raycache.edge.gateway.limits import Limits


@pytest.fixture
def site(cache, users):
    async def hello(_):
        return PlainTextResponse("hello")

    gateway = application(cache, limits=Limits(token="s3cret"))
    return Starlette(routes=[Route("/", hello), Mount("/my/cache", gateway)])


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/", 200, "hello"),
        ("/my/cache/v1/groups/users/keys/a%2Fb%20c", 200, "value of 'a/b c'"),
        ("/my/cache/v1/groups/users/keys//a/%2F", 200, "value of '/a//'"),
        ("/my/cache/v1/groups", 200, '{"groups": ["users"]}\n'),
        ("/my/cache/nothing", 404, None),
        ("/v1/groups", 404, None),
    ],
)
def test_a_gateway_may_be_mounted_anywhere(site, path, status, text):
    response = asyncio.run(requested(site, "GET", path, headers={"authorization": "Bearer s3cret"}))

    assert response.status_code == status
    assert text is None or response.text == text


def test_the_mounted_gateway_asks_for_its_token_but_for_health(site):
    answers = [asyncio.run(requested(site, "GET", f"/my/cache{path}")) for path in ("/v1/groups", "/healthz")]

    assert [answer.status_code for answer in answers] == [401, 200]
