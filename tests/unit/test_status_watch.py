"""`raycache status --watch`: what it shows of one look after the other, and while there is nothing to see."""

from __future__ import annotations

import dataclasses
import json

import pytest
from click.testing import CliRunner
from rich.console import Console
from shard_infos import shard_info

import raycache
from raycache.core.stats import Stats
from raycache.edge import cli, command, status, tables
from raycache.edge.status import Look, Watch

SHARD = shard_info(entries=5, capacity_bytes=1 << 20)


def shown(what):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def cells(shown):
    """Of the row of the group "users"."""
    row = next(line for line in shown.splitlines() if "users" in line)
    return [cell.strip() for cell in row.strip("│ ").split("│")]


class Script:
    """Looks, one after the other; an exception is a look that fails."""

    def __init__(self, clock, *looks):
        self.clock, self.looks = clock, list(looks)
        self.watch = Watch("default", self.take, clock)

    def take(self):
        look = self.looks.pop(0)
        if isinstance(look, Exception):
            raise look
        return dataclasses.replace(look, at=self.clock())

    def after(self, seconds):
        """What is shown of the next look."""
        self.clock.advance(seconds)
        self.watch.refresh()
        return shown(self.watch)


def look(*, shards=(SHARD,), trouble=None, **groups):
    return Look(at=0.0, cache="default", shards=list(shards), groups=groups, trouble=trouble)


AWAY = raycache.CacheUnavailable("the directory does not\nanswer")


def test_rates_are_of_the_time_between_two_looks(clock):
    """And the hit ratio of the gets in that time."""
    first = look(users=Stats(near_hits=90, loads_started=10, loads=10))
    second = look(users=Stats(near_hits=120, loads_started=30, loads=30))
    script = Script(clock, first, second)
    before, after = script.after(0), script.after(4)

    assert "gets/s" not in before
    assert "in the last 4.00 s" in after
    assert cells(after)[3:6] == ["12.5", "60.0%", "5.0"]


def test_counters_that_began_anew_are_no_negative_rates():
    """A shard that was restarted has forgotten its own."""
    table = shown(tables.rates_table({"users": Stats(near_hits=90, loads=7)}, {"users": Stats(near_hits=9)}, 1.0))

    assert cells(table)[3:] == ["0.0", "-", "0.0", "0.0", "0.0"]


def test_a_look_that_fails_leaves_what_was_seen_and_says_since_when(clock):
    script = Script(clock, look(users=Stats()), AWAY, AWAY, look(users=Stats()))
    script.after(0)
    first, second = script.after(2), script.after(10)
    back = script.after(2)

    assert "trouble for 0 ms: the directory does not answer" in first
    assert "trouble for 10.00 s: the directory does not answer" in second
    assert "n0.0" in second
    assert "trouble" not in back


def test_rates_after_a_gap_are_of_the_whole_gap(clock):
    """Not of the last interval alone, in which they would be too high."""
    script = Script(clock, look(users=Stats(near_hits=0)), AWAY, look(users=Stats(near_hits=80)))
    script.after(0)
    script.after(4)

    assert cells(script.after(4))[3] == "10.0"


def test_a_look_without_an_answer_is_shown_while_it_is_waited_for(clock):
    """The screen is drawn by another thread meanwhile."""
    seen = []

    def take():
        clock.advance(60)
        seen.append(shown(watch))
        raise AWAY

    watch = Watch("default", take, clock)
    watch.refresh()

    assert "no answer for 60.00 s" in seen[0]


def test_what_only_some_shards_answer_is_trouble_beside_the_shards(clock):
    away = dataclasses.replace(SHARD, id="n1.0", reachable=False)
    trouble = raycache.CacheUnavailable("the shard n1.0 does not answer")
    partly = Look(at=0.0, cache="default", shards=[SHARD, away], groups=None, trouble=trouble)
    said = Script(clock, partly).after(0)

    assert "the shard n1.0 does not answer" in said
    assert "unreachable" in said
    assert "2.50 s" in said


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, "reachable"),
        ({"reachable": False}, "unreachable"),
        ({"lease_s": 0.0}, "no lease"),
        ({"lease_s": -3.0}, "no lease"),
        ({"handing": True}, "handing over"),
        ({"weight": 0.0}, "reachable, owns no keys"),
    ],
)
def test_the_table_shows_the_state_of_a_shard(changed, state):
    table = shown(tables.shards_table([dataclasses.replace(SHARD, **changed)]))

    assert table.splitlines()[-2].strip("│ ").split("│")[-1].strip() == state


# --------------------------------------------------------------------------------------------- the command


@pytest.fixture
def watched(inline, monkeypatch):
    """A cache, and what happens between the looks of the command at it; then Ctrl-C."""
    cache = inline(shards=2)
    users = cache.group("users", getter=str.upper)
    happens = [lambda: users.get_many(["a", "b"]), lambda: None]

    def pause(seconds):
        assert seconds == 0.5
        if not happens:
            raise KeyboardInterrupt
        happens.pop(0)()

    monkeypatch.setattr(status, "pause", pause)
    monkeypatch.setattr(command, "quiet_ray", lambda: None)
    monkeypatch.setattr(command, "join", lambda name, address: cache)
    monkeypatch.setattr(status, "join", lambda name: cache)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "close", lambda: None)
        yield happens


def run(*arguments):
    return CliRunner().invoke(cli.main, ["status", "--watch", "0.5", *arguments])


def test_a_watch_that_goes_to_a_file_is_a_block_for_each_look(watched):
    """And Ctrl-C is its good end."""
    ran = run()

    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.stdout.count("inline.1") == 3
    assert ran.stdout.count("gets/s") == 2


def test_a_watch_as_json_is_a_document_a_line(watched):
    ran = run("--json")
    told = [json.loads(line) for line in ran.stdout.splitlines()]

    assert [each["total"]["gets"] for each in told] == [0, 2, 2]
    assert all(each["error"] is None for each in told)


def test_a_watch_goes_on_when_the_cache_is_away(watched, monkeypatch):
    """Also when it was ended and made anew."""
    joined, joins = status.join, []

    def join(name):
        joins.append(name)
        if len(joins) == 2:
            raise raycache.CacheUnavailable(f"no cache {name!r} is up")
        return joined(name)

    monkeypatch.setattr(status, "join", join)
    told = [json.loads(line) for line in run("--json").stdout.splitlines()]

    assert [each["error"] for each in told] == [None, "no cache 'default' is up", None]
    assert [len(each["shards"]) for each in told] == [2, 2, 2]


@pytest.mark.parametrize("typed", ["0", "soon"])
def test_an_interval_that_is_none_is_refused(typed):
    ran = CliRunner().invoke(cli.main, ["status", f"--watch={typed}"])

    assert ran.exit_code == 2
    assert "--watch" in ran.stderr
