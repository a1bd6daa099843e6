"""What the doctor makes of facts: one thing that is wrong gives one finding, with its remedy."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import raycache
from raycache.edge import cli, command, doctor, facts
from raycache.edge.doctor import ERROR, OK, WARNING, diagnose
from raycache.edge.facts import Facts, NodeFacts, Token, clock_off, token
from raycache.options import MIB

GIB = 1024 * MIB
HERE = NodeFacts(
    id="here",
    raycache="1.0",
    ray="2.60.0",
    python="3.11.7",
    auth_mode="token",
    shm_bytes=8 * GIB,
    shm_free_bytes=6 * GIB,
)
HEAD = dataclasses.replace(HERE, id="a" * 56, address="10.0.0.1", head=True, store_bytes=1e9, store_free_bytes=9e8)
WORKER = dataclasses.replace(HEAD, id="b" * 56, address="10.0.0.2", head=False)
SHARDS = tuple(
    raycache.ShardInfo(
        id=f"{node.id[:12]}.0",
        node=node.id,
        pid=1,
        address=node.address,
        folder="/dev/shm/raycache-0-default",
        weight=1.0,
        entries=10,
        bytes=MIB,
        capacity_bytes=GIB,
        loads=0,
        epoch=2,
        lease_s=2.5,
    )
    for node in (HEAD, WORKER)
)
TOKEN = Token(mode="token", source="/home/me/.ray/auth_token", there=True, file_mode=0o600)
WELL = Facts(
    cache="default",
    token=TOKEN,
    here=HERE,
    nodes=(HEAD, WORKER),
    shards=SHARDS,
)
NO_RAY = dataclasses.replace(WELL, nodes=(), shards=(), ray_error="nothing answers at 10.0.0.1:6379")
NO_CACHE = dataclasses.replace(WELL, shards=(), cache_error="no cache 'default' is up in this Ray")


def but(facts=WELL, *, worker=None, shard=None, here=None, **changed):
    """The facts, but for these of the worker, of the worker's shard, of this machine, or of all."""
    if worker is not None:
        changed["nodes"] = (HEAD, dataclasses.replace(WORKER, **worker))
    if shard is not None:
        changed["shards"] = (SHARDS[0], dataclasses.replace(SHARDS[1], **shard))
    if here is not None:
        changed["here"] = dataclasses.replace(HERE, **here)
    return dataclasses.replace(facts, **changed)


def test_nothing_is_found_where_nothing_is_wrong():
    """Each check says what it has seen."""
    findings = diagnose(WELL)

    assert [finding for finding in findings if finding.state != OK or finding.remedy] == []
    assert {finding.check for finding in findings} == doctor.CHECKS.keys() - {"pinned nodes"}


UNKNOWN = {"shm_bytes": 0, "shm_free_bytes": 0, "raycache": None, "ray": None, "python": ""}
SCALED = {"scaled": True, "idle": True}


@pytest.mark.parametrize(
    ("facts", "check", "state", "found", "remedy"),
    [
        (NO_RAY, "ray", ERROR, "nothing answers", "ray start --head"),
        (but(NO_RAY, token=Token(mode="token", source="/t", there=False)), "ray", ERROR, "nothing", "its token"),
        (but(worker=UNKNOWN | {"answered": False}), "ray", ERROR, "10.0.0.2 (node bbbbbbbbbbbb) does not", "ray stop"),
        (but(token=dataclasses.replace(TOKEN, there=False)), "tokens", ERROR, "auth_token has no token", "0600"),
        (but(token=dataclasses.replace(TOKEN, file_mode=0o644)), "tokens", WARNING, "mode 0644", "chmod 600 /home/me"),
        (but(NO_RAY, token=Token(mode="", source="/t", there=False)), "tokens", WARNING, "no token here", "auth_token"),
        (
            but(token=dataclasses.replace(TOKEN, mode=""), nodes=(dataclasses.replace(HEAD, auth_mode=""),)),
            "tokens",
            WARNING,
            "lets in whoever reaches its ports",
            "RAY_AUTH_MODE=token",
        ),
        (but(worker={"raycache": "0.9"}), "versions", ERROR, "raycache 0.9, and this machine 1.0", "raycache==1.0"),
        (but(worker={"ray": "2.59.0"}), "versions", ERROR, "ray 2.59.0, and this machine 2.60.0", "ray==2.60.0"),
        (but(worker={"python": "3.12.1"}), "versions", ERROR, "Python 3.12.1", "the same Python"),
        (but(worker={"python": "3.11.6"}), "versions", WARNING, "Python 3.11.6", "the same Python"),
        (but(worker={"raycache": None}), "versions", ERROR, "not installed", "pip install raycache=="),
        (but(worker={"raycache_error": "no lmdb"}), "versions", ERROR, "no lmdb", "pip install raycache=="),
        (but(worker={"compiled": False}), "versions", WARNING, "without a compiler", "--no-binary raycache"),
        (but(worker={"clock_off_s": 90.0}), "clocks", WARNING, "90.00 s ahead", "NTP"),
        (but(worker={"clock_off_s": -3600.0, "clock_error_s": 1.0}), "clocks", WARNING, "1 h behind", "monotonic"),
        (but(worker={"store_free_bytes": 1e7}), "object store", WARNING, "of 10.0.0.2", "--object-store-memory"),
        (but(worker={"shm_bytes": 64 * MIB}), "shared memory", ERROR, "64.0 MiB, as Docker", "--shm-size"),
        (but(NO_RAY, here={"shm_bytes": 64 * MIB}), "shared memory", WARNING, "of this machine", "--shm-size"),
        (but(worker={"shm_bytes": 512 * MIB}), "shared memory", ERROR, "a capacity of 1.0 GiB", "--capacity"),
        (but(worker={"shm_free_bytes": MIB}), "shared memory", WARNING, "may grow by 1,023.0 MiB", "remount"),
        (but(worker={"shm_bytes": 0}), "shared memory", WARNING, "has no /dev/shm", "mount"),
        (but(shard={"folder": "/tmp/raycache-0"}), "shared memory", WARNING, "lie on disk, in /tmp", "raycache down"),
        (NO_CACHE, "cache", ERROR, "no cache 'default'", "raycache up"),
        (but(shards=()), "cache", ERROR, "no shard is up", "raycache up"),
        (but(shard={"reachable": False}), "cache", ERROR, "bbbbbbbbbbbb.0 on 10.0.0.2", "--watch"),
        (but(shard={"reachable": False, "node": "gone"}), "cache", ERROR, "the node gone, which is gone", "--watch"),
        (but(shard={"lease_s": 0.0}), "leases", ERROR, "bbbbbbbbbbbb.0 has no lease", "directory"),
        (but(shards=SHARDS[:1]), "nodes without a shard", WARNING, "10.0.0.2", "raycache up"),
        (but(worker=SCALED), "pinned nodes", WARNING, "runs nothing but a shard", "raycache drain bbbbbbbbbbbb,"),
    ],
)
def test_what_is_wrong_is_found_with_its_remedy(facts, check, state, found, remedy):
    (finding,) = [finding for finding in diagnose(facts) if finding.check == check and finding.state != OK]

    assert finding.state == state
    assert found in finding.found
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("facts", "check"),
    [
        (but(worker={"clock_off_s": 2.0, "clock_error_s": 1.5}), "clocks"),
        (but(shards=SHARDS[:1], worker={"answered": False}), "nodes without a shard"),
        (but(shards=SHARDS[:1], worker={"placed": False}), "nodes without a shard"),
        (but(worker=SCALED | {"idle": False}), "pinned nodes"),
        (but(worker=SCALED, shards=SHARDS[:1]), "pinned nodes"),
        (but(worker=UNKNOWN | {"answered": False}), "shared memory"),
        (but(worker=UNKNOWN | {"answered": False}), "versions"),
        (but(shard={"reachable": False, "lease_s": 0.0}), "leases"),
        (but(shard={"lease_s": float("inf")}), "leases"),
        (but(token=Token(mode="token", source="RAY_AUTH_TOKEN", there=True)), "tokens"),
        (
            but(
                token=Token(mode="", source="/t", there=False),
                nodes=(dataclasses.replace(HEAD, address="127.0.0.1", auth_mode=""),),
            ),
            "tokens",
        ),
    ],
)
def test_what_is_as_it_should_be_is_not_complained_about(facts, check):
    (finding,) = [finding for finding in diagnose(facts) if finding.check == check]

    assert (finding.state, finding.remedy) == (OK, "")


def test_what_dead_sessions_left_is_counted():
    """Of two nodes on one machine that sweep it, each counts what it has removed."""
    known = but(here={"swept": 1}, worker={"swept": 2})
    (finding,) = [finding for finding in diagnose(known) if finding.check == "stale folders"]

    assert finding.found == "3 folders of dead sessions removed"


# --------------------------------------------------------------------------------------------------- facts


@pytest.mark.parametrize(
    ("environment", "source", "there", "file_mode"),
    [
        ({}, "{home}/.ray/auth_token", True, 0o640),
        ({"RAY_AUTH_TOKEN_PATH": "{home}/mine"}, "{home}/mine", True, 0o600),
        ({"RAY_AUTH_TOKEN_PATH": "{home}/empty"}, "{home}/empty", False, 0o600),
        ({"RAY_AUTH_TOKEN_PATH": "{home}/none"}, "{home}/none", False, None),
        ({"RAY_AUTH_TOKEN": "x", "RAY_AUTH_TOKEN_PATH": "{home}/none"}, "RAY_AUTH_TOKEN", True, None),
    ],
)
def test_the_token_is_looked_for_where_ray_looks(tmp_path, environment, source, there, file_mode):
    """A variable, a file that a variable names, the file in the home folder, in this order; nothing of it is kept."""
    (tmp_path / ".ray").mkdir()
    for path, text, mode in ((".ray/auth_token", "t", 0o640), ("mine", "t", 0o600), ("empty", "", 0o600)):
        (tmp_path / path).write_text(text)
        (tmp_path / path).chmod(mode)
    given = {name: value.format(home=tmp_path) for name, value in environment.items()}
    found = token(given | {"RAY_AUTH_MODE": "Token"}, tmp_path)

    assert found == Token(mode="token", source=source.format(home=tmp_path), there=there, file_mode=file_mode)


def test_a_clock_is_read_in_the_middle_of_the_question():
    """As far as one can tell."""
    assert clock_off(112.0, began=100.0, ended=104.0) == {"clock_off_s": 10.0, "clock_error_s": 2.0}


# ------------------------------------------------------------------------------------------------- command


@pytest.fixture
def run(monkeypatch):
    """Runs the command with facts that were collected."""
    monkeypatch.setattr(command, "quiet_ray", lambda: None)

    def run(known, *arguments):
        monkeypatch.setattr(facts, "collect", lambda name, address: known)
        return CliRunner().invoke(cli.main, ["doctor", *arguments])

    return run


def test_the_command_shows_what_was_found_and_the_remedy(run):
    ran = run(but(shards=SHARDS[:1]))

    assert ran.exit_code == 0
    assert all(text in ran.stdout for text in ("What the doctor found", "warning", "10.0.0.2", "raycache up"))


def test_the_command_fails_where_there_is_an_error(run):
    assert run(NO_RAY).exit_code == 1
    assert run(WELL).exit_code == 0


@pytest.mark.parametrize(("known", "state"), [(NO_CACHE, ERROR), (but(shards=SHARDS[:1]), WARNING), (WELL, OK)])
def test_its_json_has_all_findings(run, known, state):
    told = json.loads(run(known, "--json").stdout)

    assert (told["cache"], told["state"]) == ("default", state)
    assert told["findings"] == [dataclasses.asdict(finding) for finding in diagnose(known)]


def test_facts_without_a_ray_are_those_of_this_machine(monkeypatch):
    """They are enough to say which of the prerequisites is missing."""

    def fail(address):
        raise raycache.CacheUnavailable("nothing answers")

    monkeypatch.setattr(facts, "_join_ray", fail)
    known = facts.collect("default", None)

    assert known.ray_error == "nothing answers"
    assert known.machines == (known.here,)
    assert known.here.raycache == raycache.__version__
    assert known.here.shm_bytes > 0 or not Path("/dev/shm").is_dir()
