"""The command `raycache serve` before it joins any cache: what it refuses, and how it is told its token."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner
from requests_to import requested

from raycache.edge import cli, serve
from raycache.edge.gateway.server import Address, Server


@pytest.fixture
def served(cache, monkeypatch, tmp_path):
    """What would be served, of the test's cache."""
    served = []

    def stand_in(server, app, ready):
        served.append(app)
        ready({"http": Address("127.0.0.1", 1234)})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve, "connect", lambda name, address: cache)
    monkeypatch.setattr(Server, "run", stand_in)
    return served


def run(*arguments, **environment):
    return CliRunner().invoke(cli.main, ["serve", "--http", "0", *arguments], env=environment)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--http", "0.0.0.0:0"], "0.0.0.0:0 can be reached from other machines"),
        (["--grpc", ":0"], "give --token-file=FILE or RAYCACHE_TOKEN"),
        (["--http", "nowhere"], "--http='nowhere' is no address"),
        (["--tls-cert", __file__], "--tls-cert and --tls-key go together"),
        (["--tls-cert", "empty", "--tls-key", "empty"], "--tls-cert=empty and --tls-key=empty cannot be used"),
        (["--token-file", "empty"], "the token is empty"),
        (["--groups", "nothing:GROUPS"], "--groups='nothing:GROUPS' names nothing"),
        (["--groups", "os"], "write MODULE:NAME"),
        (["--groups", "os:sep"], "no mapping of group names to getters"),
        (["--timeout", "soon"], "--timeout='soon' is not a time"),
        (["--max-body", "0"], "body_bytes=0"),
    ],
)
def test_a_gateway_that_cannot_be_says_why(served, arguments, said):
    Path("empty").touch()
    ran = run(*arguments)

    assert ran.exit_code != 0
    assert said in " ".join(ran.stderr.split())
    assert served == []


def test_it_says_where_it_serves(served, cache):
    ran = run()

    assert (ran.exit_code, ran.stdout) == (0, "serving http://127.0.0.1:1234\n")
    assert cache.closed


@pytest.mark.parametrize(
    ("arguments", "environment", "token"),
    [
        ([], {}, None),
        ([], {"RAYCACHE_TOKEN": "s3cret"}, "s3cret"),
        (["--token-file", "token"], {}, "of a file"),
        (["--token-file", "token", "--http", "0.0.0.0:0"], {"RAYCACHE_TOKEN": "s3cret"}, "of a file"),
    ],
)
def test_the_token_is_that_of_the_file_else_of_the_environment(served, arguments, environment, token):
    Path("token").write_text("of a file\n")
    run(*arguments, **environment)

    assert served[0].limits.token == token


@pytest.mark.parametrize(
    ("arguments", "host", "status"),
    [
        ([], "localhost", 200),
        ([], "evil.example", 421),
        (["--http", "localhost.localdomain:0", "--allow-host", "a.example"], "localhost.localdomain", 200),
        (["--allow-host", "a.example", "--allow-host", "b.example"], "b.example:443", 200),
        (["--grpc", "0"], "evil.example", 421),
        (["--token-file", "token"], "evil.example", 200),
    ],
)
def test_without_a_token_browsers_know_it_by_its_own_names_alone(served, monkeypatch, arguments, host, status):
    monkeypatch.setattr(Address, "loopback", True)  # whatever the machine makes of these names
    Path("token").write_text("s3cret")
    assert run(*arguments).exit_code == 0
    response = asyncio.run(requested(served[0], "GET", "/", headers={"host": host}))

    assert response.status_code == status


def test_bounds_and_groups_are_what_was_said(served, cache):
    Path("definitions.py").write_text("GROUPS = {'upper': str.upper, 'minutes': {'getter': str.lower, 'ttl': '1m'}}")
    bounds = ["--max-body", "1 KiB", "--max-requests", "7", "--timeout", "2s"]
    assert run("--groups", "definitions:GROUPS", *bounds).exit_code == 0
    app = served[0]

    assert app.served.names() == ["minutes", "upper"]
    assert (app.limits.body_bytes, app.limits.concurrency, app.limits.timeout_s) == (1024, 7, 2.0)
