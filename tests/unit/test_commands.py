"""The command line on an inline cache: what it prints, where, and with which status."""

from __future__ import annotations

import dataclasses
import json
import math
import sys

import pytest
from click.testing import CliRunner

import raycache
from raycache.edge import cli, command, status, text


def fetch(key):
    if key == "missing":
        raise raycache.NotFound("no such user: missing")
    if key == "broken":
        raise ValueError("boom\nand more")
    return {"name": key}


@pytest.fixture
def cache(inline, monkeypatch):
    """What the command joins; it goes on when the command lets go of it."""
    cache = inline(shards=2)
    monkeypatch.setattr(command, "quiet_ray", lambda: None)
    monkeypatch.setattr(command, "join", lambda name, address: cache)
    monkeypatch.setattr(status, "join", lambda name: cache)
    close = cache.close
    monkeypatch.setattr(cache, "close", lambda: None)
    cache.group("users", getter=fetch)
    cache.group("plain", getter=None)
    yield cache
    monkeypatch.setattr(cache, "close", close)


def run(*arguments):
    return CliRunner().invoke(cli.main, arguments)


def test_the_version_is_the_package_s():
    assert run("--version").stdout == f"raycache, version {raycache.__version__}\n"


@pytest.mark.parametrize(
    "name", ["demo", "status", "get", "set", "rm", "up", "down", "drain", "scale", "doctor", "bench"]
)
def test_every_command_has_help(name):
    assert name in run("--help").stdout
    assert run(name, "--help").exit_code == 0


def test_a_typo_gets_a_suggestion():
    ran = run("statsu")

    assert ran.exit_code == 2
    assert "Did you mean 'status'?" in ran.stderr


def test_an_error_of_raycache_is_one_line_and_no_traceback(monkeypatch):
    def join(name, address):
        raise raycache.CacheUnavailable(f"no cache {name!r} at {address}\n  start one")

    monkeypatch.setattr(command, "quiet_ray", lambda: None)
    monkeypatch.setattr(command, "join", join)
    ran = run("status", "--name", "mine", "--address", "host:1")

    assert ran.exit_code == 1
    assert ran.stderr == "Error: no cache 'mine' at host:1 start one\n"
    assert ran.stdout == ""


@pytest.mark.parametrize("variable", [True, False])
def test_the_address_local_starts_no_ray(monkeypatch, variable):
    monkeypatch.setattr(command, "join", lambda *_, **__: pytest.fail("joined"))
    monkeypatch.setenv("RAY_ADDRESS", "local" if variable else "")
    ran = run("status", *([] if variable else ["--address", "local"]))

    assert ran.exit_code == 1
    assert "'local' means a new Ray" in ran.stderr


class SomethingOfRay(Exception):
    """As Ray's own errors are."""


SomethingOfRay.__module__ = "ray.exceptions"


def test_an_error_of_ray_is_one_line_and_no_traceback(cache, monkeypatch):
    def shards():
        raise SomethingOfRay("no token\nwas found")

    with monkeypatch.context() as patch:
        patch.setattr(cache, "shards", shards)
        ran = run("status")

    assert ran.exit_code == 1
    assert ran.stderr == "Error: Ray: no token was found\n"


@pytest.mark.parametrize("arguments", [["status", "--json"], ["get", "users", "alice"], ["rm", "users", "alice"]])
def test_what_others_print_meanwhile_does_not_come_on_standard_output(cache, monkeypatch, arguments):
    """Ray's threads print messages of the raylet there."""
    quiet = run(*arguments).stdout

    def join(name, address):
        print("(raylet) WARNING: 10 PYTHON worker processes have been started")
        return cache

    monkeypatch.setattr(command, "join", join)
    ran = run(*arguments)

    assert len(ran.stdout.splitlines()) == len(quiet.splitlines())
    assert "(raylet)" not in ran.stdout
    assert ran.stderr == "(raylet) WARNING: 10 PYTHON worker processes have been started\n"


def test_what_others_print_after_a_command_does_not_come_on_standard_output_either(cache):
    """Ray's threads go on until the process ends."""
    with CliRunner().isolation() as (out, err, _):
        cli.main(["rm", "plain", "key"], standalone_mode=False)
        print("(raylet) WARNING: too late")
        sys.stdout.flush()
        written, errors = out.getvalue(), err.getvalue()

    assert written == b"removed 0 of 1 key\n"
    assert b"too late" in errors


# ---------------------------------------------------------------------------------------------- get, set, rm


def test_get_loads_and_prints_json(cache):
    ran = run("get", "users", "alice")

    assert (ran.exit_code, ran.stdout) == (0, '{"name": "alice"}\n')


@pytest.mark.parametrize(
    ("kind", "typed", "key"),
    [
        ("str", "7", "7"),
        ("int", "7", 7),
        ("float", "7", 7.0),
        ("bytes", "7", b"7"),
        ("json", '["a", [1, true], 2.0]', ("a", (1, True), 2.0)),
    ],
)
def test_keys_are_of_the_type_that_is_asked_for(cache, kind, typed, key):
    cache.group("plain").set(key, "found")

    assert run("get", "plain", "--type", kind, typed).stdout == "found\n"
    assert run("rm", "plain", typed, "--type", kind).stdout == "removed 1 of 1 key\n"


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("text", b"text\n"),
        (b"\x00\xff", b"\x00\xff"),
        ([1, None, "ä"], '[1, null, "ä"]\n'.encode()),
        ({1, 2}, b"{1, 2}\n"),
        (math.inf, b"inf\n"),
        ("\udcff", b"\\udcff\n"),
    ],
)
def test_values_are_printed_as_they_are(cache, value, printed):
    cache.group("plain").set("key", value)

    assert run("get", "plain", "key").stdout_bytes == printed


def test_peek_loads_nothing(cache):
    ran = run("get", "users", "alice", "--peek")

    assert ran.exit_code == 1
    assert "'alice' is not in the group 'users'" in ran.stderr
    assert cache.group("users").stats().loads == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["get", "users", "missing"], "no such user: missing"),
        (["get", "users", "broken"], "ValueError: boom and more"),
        (["get", "nobody", "key"], "no group 'nobody'"),
        (["get", "nobody", "key"], "'plain', 'users'"),
        (["get", "users", ""], "the key '' is empty"),
        (["set", "plain", "key", "value", "--ttl", "soon"], "ttl='soon' is not a time"),
        (["rm", "nobody", "key"], "no group 'nobody'"),
    ],
)
def test_what_fails_is_told_in_one_line(cache, arguments, message):
    ran = run(*arguments)

    assert ran.exit_code == 1
    assert message in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["get", "users", "x", "--type", "int"], "'x' cannot be read as int"),
        (["get", "users", "[", "--type", "json"], "'[' cannot be read as json"),
        (["set", "users", "x", "{", "--json"], "'{' is not JSON"),
        (["rm", "users"], "Missing argument 'KEY...'"),
    ],
)
def test_what_is_typed_wrong_is_told_before_anything_is_joined(monkeypatch, arguments, message):
    monkeypatch.setattr(command, "join", lambda *_, **__: pytest.fail("joined"))
    ran = run(*arguments)

    assert ran.exit_code == 2
    assert message in ran.stderr


def test_set_stores_text(cache):
    assert run("set", "plain", "key", "1").exit_code == 0
    assert cache.group("plain").get("key") == "1"


def test_set_stores_json_for_a_while(cache, clock):
    assert run("set", "plain", "7", '{"a": [1]}', "--type", "int", "--json", "--ttl", "5m").exit_code == 0
    assert cache.group("plain").get(7) == {"a": [1]}

    clock.advance(301)

    assert cache.group("plain").peek(7) is None


def test_rm_says_how_many_were_there(cache):
    cache.group("plain").set_many({"a": 1, "b": 2})

    assert run("rm", "plain", "a", "b", "c", "a").stdout == "removed 2 of 3 keys\n"


# ------------------------------------------------------------------------------------------------------ status


def test_status_as_json_has_every_figure(cache):
    cache.group("users").get("alice")
    told = json.loads(run("status", "--json").stdout)

    assert [shard["id"] for shard in told["shards"]] == ["inline.0", "inline.1"]
    assert set(told["shards"][0]) == {field.name for field in dataclasses.fields(raycache.ShardInfo)}
    assert told["groups"]["users"] == cache.group("users").stats().as_dict()
    assert told["total"] == cache.stats().as_dict()
    assert told["error"] is None


def test_status_shows_shards_and_groups(cache):
    cache.group("users").get_many(["alice", "bob"])
    shown = run("status").stdout

    assert all(name in shown for name in ("inline.0", "inline.1", "users", "plain", "reachable"))


def fail():
    raise raycache.CacheUnavailable("the shard inline.1 does not answer")


def test_status_shows_which_shard_is_away_and_fails(cache, monkeypatch):
    shards = cache.shards()
    seen = [shards[0], dataclasses.replace(shards[1], reachable=False)]
    with monkeypatch.context() as patch:
        patch.setattr(cache, "shards", lambda: seen)
        patch.setattr(cache, "stats_by_group", fail)
        ran, told = run("status"), run("status", "--json")

    assert (ran.exit_code, told.exit_code) == (1, 1)
    assert "unreachable" in ran.stdout
    assert ran.stderr == told.stderr == "Error: the shard inline.1 does not answer\n"
    assert json.loads(told.stdout)["groups"] is None
    assert [shard["reachable"] for shard in json.loads(told.stdout)["shards"]] == [True, False]


# -------------------------------------------------------------------------------------------------------- text


def test_numbers_that_json_has_not_become_null():
    assert json.loads(text.to_json({"a": [math.inf, -math.inf, math.nan, 1.5]})) == {"a": [None, None, None, 1.5]}
