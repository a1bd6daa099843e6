"""The commands up, down, drain and scale on a stand-in for a cache: what they ask of it, and what they say."""

from __future__ import annotations

import dataclasses

import pytest
from click.testing import CliRunner
from shard_infos import shard_info

import raycache
from raycache.edge import cli, command, lifecycle
from raycache.options import MIB, CacheOptions

SHARD = shard_info(entries=1000)
OTHER = dataclasses.replace(SHARD, id="n1.0", node="n1", entries=500)
MADE_WITH = CacheOptions(capacity_bytes=64 * MIB)


class StandIn:
    """A cache of two shards; remembers what was asked of it."""

    name = "default"

    def __init__(self):
        self.asked = []
        self.there = [SHARD, OTHER]
        self.fails = None

    def shards(self):
        return self.there

    def spread(self, timeout):
        self._ask("spread")
        return self.there

    def drain(self, node, *, timeout):
        self._ask(("drain", node, timeout))
        self.there = [dataclasses.replace(SHARD, entries=1490)]
        return ["n1.0"]

    def scale(self, shards_per_node=None):
        self._ask(("scale", shards_per_node))

    def destroy(self):
        self._ask("destroy")

    def close(self):
        self._ask("close")

    def _ask(self, what):
        if self.fails is not None and what != "close":
            raise self.fails
        self.asked.append(what)


@pytest.fixture
def cache(monkeypatch):
    """What commands connect to or join."""
    cache = StandIn()

    def connect(name, **given):
        cache.asked.append((name, given))
        return cache

    def join(name, address):
        return cache

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(command, "quiet_ray", lambda: None)
    monkeypatch.setattr(command, "join", join)
    monkeypatch.setattr(lifecycle, "connect", connect)
    monkeypatch.setattr(lifecycle, "options_of", lambda cache: MADE_WITH)
    monkeypatch.setattr(lifecycle, "node_addresses", lambda: ["10.0.0.1", "10.0.0.2"])
    return cache


def run(*arguments, **options):
    return CliRunner().invoke(cli.main, arguments, **options)


# ------------------------------------------------------------------------------------------------------ up


def test_up_joins_the_ray_that_runs_and_shows_all_shards(cache):
    """It starts none of its own, and lets go of the cache."""
    ran = run("up")

    assert (ran.exit_code, ran.stderr) == (0, "")
    assert all(id in ran.stdout for id in ("n0.0", "n1.0"))
    assert cache.asked == [("default", {"address": "auto"}), "spread", "close"]


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        (["--capacity", "64MiB"], {"capacity": 64 * MIB}),
        (["--shards-per-node", "1"], {"shards_per_node": 1}),
        (["--lease", "1.5s"], {"lease": 1.5}),
        (["--placement", "workers"], {"placement": "workers"}),
        (["--placement", "all"], {"placement": "all"}),
        (["--no-page-server"], {"page_server": False}),
        (["--placement", "zone=a,disk=fast"], {"placement": {"zone": "a", "disk": "fast"}}),
        (["--address", "10.0.0.1:6379"], {"address": "10.0.0.1:6379"}),
    ],
)
def test_up_passes_on_what_it_is_given_and_nothing_else(cache, typed, given):
    run("up", *typed)

    assert cache.asked[0] == ("default", {"address": "auto"} | given)


def test_up_takes_the_address_from_the_environment(cache, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.9:6379")
    run("up")

    assert cache.asked[0] == ("default", {"address": "10.0.0.9:6379"})


@pytest.mark.parametrize("address", ["local", "inline"])
def test_up_makes_no_cache_that_ends_with_it(cache, address):
    """Nobody else could use it."""
    ran = run("up", "--address", address)

    assert ran.exit_code == 1
    assert f"the address '{address}' means" in ran.stderr
    assert cache.asked == []


@pytest.mark.parametrize(
    ("typed", "status", "message"),
    [
        (["--capacity", "much"], 1, "--capacity='much' is not a size"),
        (["--lease", "soon"], 1, "--lease='soon' is not a time"),
        (["--timeout", "soon"], 1, "--timeout='soon' is not a time"),
        (["--placement", "zone="], 2, "'zone=' is not all, workers, or labels"),
        (["--placement", "worker"], 2, "'worker' is not all, workers, or labels"),
        (["--shards-per-node", "0"], 2, "0 is not in the range"),
        (["--nodes", "many"], 2, "'many' is not a valid integer"),
        (["--capacitee", "1"], 2, "(Did you mean one of: '--capacity'"),
    ],
)
def test_what_is_typed_wrong_is_told_before_anything_is_joined(cache, typed, status, message):
    ran = run("up", *typed)

    assert ran.exit_code == status
    assert message in ran.stderr
    assert cache.asked == []


def test_up_says_which_options_a_cache_that_is_up_does_not_have(cache):
    """And leaves it as it is."""
    ran = run("up", "--capacity", "32MiB", "--shards-per-node", "1", "--placement", "workers")

    assert ran.exit_code == 0
    assert [line.split(":")[1].strip() for line in ran.stderr.splitlines()] == [
        "the cache is up already, with capacity=64.0 MiB, and keeps that; end it with `raycache down` first to have "
        "32.0 MiB",
        "the cache is up already, with placement=all, and keeps that; end it with `raycache down` first to have "
        "workers",
    ]


def test_up_waits_until_so_many_nodes_are_there(cache, monkeypatch):
    counts = iter([1, 1, 3])
    monkeypatch.setattr(lifecycle, "_POLL_S", 0.0)
    monkeypatch.setattr(lifecycle, "node_addresses", lambda: ["10.0.0.1"] * next(counts))

    assert run("up", "--nodes", "3").exit_code == 0
    assert list(counts) == []


def test_up_starts_what_it_can_and_says_which_nodes_are_there_when_others_do_not_come(cache):
    ran = run("up", "--nodes", "3", "--timeout", "0.01s")

    assert ran.exit_code == 1
    assert "spread" in cache.asked
    assert "n1.0" in ran.stdout
    assert ran.stderr.startswith("Error: Ray has 2 of 3 nodes after 10 ms (10.0.0.1, 10.0.0.2)")
    assert "ray start --address" in ran.stderr


def test_up_lets_go_of_a_cache_whose_shards_do_not_come(cache):
    cache.fails = raycache.CacheUnavailable("the node n1 does not start its shard; see its raylet's log")
    ran = run("up")

    assert ran.exit_code == 1
    assert ran.stderr == "Error: the node n1 does not start its shard; see its raylet's log\n"
    assert cache.asked[-1] == "close"


# --------------------------------------------------------------------------------------------------- down


@pytest.mark.parametrize(
    ("terminal", "arguments", "answer", "ended"),
    [
        (True, [], "y\n", True),
        (True, [], "n\n", False),
        (True, [], "\n", False),
        (True, ["--yes"], "", True),
        (False, [], "", True),
    ],
)
def test_down_asks_first_on_a_terminal(cache, monkeypatch, terminal, arguments, answer, ended):
    monkeypatch.setattr(lifecycle, "on_terminal", lambda: terminal)
    ran = run("down", *arguments, input=answer)

    assert ("destroy" in cache.asked) == ended
    assert ran.exit_code == (0 if ended else 1)
    assert ran.stdout == ("the cache 'default' has ended\n" if ended else "")
    assert ("with 1,500 entries in 2 shards?" in ran.stderr) == (terminal and not arguments)


# ------------------------------------------------------------------------------------------- drain, scale


def test_drain_says_what_left_and_where_the_entries_are_now(cache):
    ran = run("drain", "n1", "--timeout", "5s")

    assert ("drain", "n1", 5.0) in cache.asked
    assert ran.stdout.splitlines() == ["n1.0 has left; it had 500 entries", "n0.0 has 1,490 entries, +490"]


@pytest.mark.parametrize(
    "error",
    [raycache.InvalidOption("node='n9': no such node"), raycache.CacheUnavailable("it did not end within 60 s")],
)
def test_what_cannot_be_drained_is_told_in_one_line(cache, error):
    cache.fails = error
    ran = run("drain", "n9")

    assert (ran.exit_code, ran.stdout, ran.stderr) == (1, "", f"Error: {error}\n")


def test_scale_waits_for_the_shards_and_shows_them(cache):
    ran = run("scale", "--shards-per-node", "2")

    assert ran.exit_code == 0
    assert cache.asked == [("scale", 2), "spread", "close"]
    assert "n1.0" in ran.stdout
