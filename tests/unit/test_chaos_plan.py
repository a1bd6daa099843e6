"""Plans of faults, journals and the source of truth: what a trial on real processes is made of."""

from __future__ import annotations

import json
import os
import signal
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos import journal
from chaos.journal import Journal
from chaos.plan import KINDS, QUIET, plan
from chaos.processes import processes, send
from chaos.source import LARGE, Source, SourceBroken, seen, value

KEYS = ("alice", "bob", "large-carol")


@given(st.integers(0, 1 << 32))
def test_a_plan_is_the_same_for_the_same_seed(seed):
    assert plan(seed, 10.0, 3.0) == plan(seed, 10.0, 3.0)


@given(st.integers(0, 1 << 32), st.floats(1.0, 60.0), st.lists(st.sampled_from(KINDS), min_size=1, unique=True))
def test_a_plan_has_faults_in_order_of_the_kinds_asked_for_and_is_quiet_in_the_end(seed, seconds, kinds):
    faults = plan(seed, seconds, 3.0, kinds)

    assert faults == sorted(faults, key=lambda fault: fault.at_s)
    assert {fault.kind for fault in faults} <= {*kinds, "kill shard"}  # the latter where a node has crashed already
    assert all(fault.at_s < seconds * (1 - QUIET) for fault in faults[1:])
    assert sum(fault.kind == "crash node" for fault in faults) <= 1


def test_the_plans_of_twenty_seeds_have_faults_of_all_kinds():
    assert {fault.kind for seed in range(20) for fault in plan(seed, 3.0, 1.0)} == set(KINDS)


def test_a_journal_has_what_was_done_and_what_was_cut_off(tmp_path):
    written = Journal(tmp_path / "anna.journal")
    written.begin("set", {"alice": 1})
    written.end(called=2.0)
    written.begin("get", {"alice": -1, "bob": -1})
    written.end(versions={"alice": 1}, wrong={"bob": "'x'"})
    written.begin("get", {"bob": -1})
    written.end(error="SourceBroken: no bob now")
    written.begin("remove", {"bob": 2})
    written.close()
    done, got, failed, cut_off = journal.operations(tmp_path)

    assert [each.client for each in (done, got, failed, cut_off)] == ["anna"] * 4
    assert (done.kind, done.versions, done.called, done.returned) == ("set", {"alice": 1}, 2.0, done.ended)
    assert (got.versions, got.wrong) == ({"alice": 1}, {"bob": "'x'"})
    assert (failed.error, failed.returned) == ("SourceBroken: no bob now", inf)
    assert (cut_off.versions, cut_off.called, cut_off.ended) == ({"bob": 2}, inf, inf)


def test_a_journal_that_is_just_being_written_is_read_up_to_its_last_whole_line(tmp_path):
    line = json.dumps({"kind": "get", "versions": {"bob": -1}, "began": 1.0})
    (tmp_path / "anna.journal").write_text(f'{line}\n{{"ended": 2.0, "ver')

    assert [each.ended for each in journal.operations(tmp_path)] == [inf]


def test_the_source_gives_out_no_version_twice_and_returns_what_was_stored(tmp_path):
    source = Source(tmp_path / "source", KEYS)
    with source.locked():
        first = source.give_out(KEYS)
    with source.locked():
        second = source.give_out(["bob"])
        source.store(second)

    assert (first, second) == (dict.fromkeys(KEYS, 1), {"bob": 2})
    assert [seen(key, source(key)) for key in KEYS] == [0, 2, 0]


def test_a_broken_source_raises_until_it_behaves(tmp_path):
    source = Source(tmp_path / "source", KEYS)
    source.behave(broken=True)
    with pytest.raises(SourceBroken):
        source("alice")
    source.behave()

    assert seen("alice", source("alice")) == 0


@given(st.sampled_from(KEYS), st.integers(0, 1 << 40))
def test_a_value_tells_its_version_and_nothing_else_does(key, version):
    whole = value(key, version)

    assert seen(key, whole) == version
    assert [seen(other, whole) for other in KEYS if other != key] == [None, None]
    assert [seen(key, broken) for broken in (whole[:-1], whole + "x", whole.encode(), None)] == [None] * 4


def test_values_of_some_keys_are_large():
    assert len(value("large-carol", 1)) > LARGE > 100 * len(value("alice", 1))


def test_only_processes_below_this_one_are_found():
    assert os.getpid() not in [each.pid for each in processes("")]
    assert os.getpid() in [each.pid for each in processes("", below=os.getppid())]


def test_a_signal_to_a_process_that_is_not_below_this_one_is_refused():
    with pytest.raises(PermissionError, match="is not below"):
        send(signal.SIGCONT, os.getppid())
