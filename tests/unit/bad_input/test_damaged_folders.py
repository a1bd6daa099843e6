"""What lies beside the pages, damaged; and folders that are not the cache's own: refused, and left as they are."""

from __future__ import annotations

import json
import math
import os
import shutil
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reborn import Reborn, overwritten
from shard_bench import TICKET

from raycache.core.memory import Folder, sweep
from raycache.core.messages import NoLease
from raycache.core.versions import SLOTS, Versions

STORED = {f"key-{number}": f"value {number}" for number in range(20)}
NAMES = list(STORED)
LEASE_AT, TICKET_AT, SLOTS_AT = 64, 128, 4096


@pytest.fixture
def shard(tmp_path, clock):
    """It has stored something, and was killed."""
    (tmp_path / "shard").mkdir()
    shard = Reborn(tmp_path / "shard", clock)
    for name, value in STORED.items():
        shard.set(name, value)
    shard.kill()
    yield shard
    shard.close()


GARBAGE = os.urandom(8 * SLOTS + 8192)
DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: os.truncate(path, 0),
    "short": lambda path: os.truncate(path, 100),
    "cut in its slots": lambda path: os.truncate(path, SLOTS_AT + 8000),
    "garbage": lambda path: path.write_bytes(GARBAGE),
    "of zeros": lambda path: path.write_bytes(bytes(len(GARBAGE))),
    "another program's": lambda path: overwritten(path, 0, b"rcslots9"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_of_versions_is_nobodys_lease_and_nobodys_life(shard, damage):
    """Its shard begins a new life, with nothing of the one before."""
    damage(shard.folder / "versions")

    assert shard.come_back()
    assert (shard.versions.lease[0], shard.versions.ticket[0]) == (0.0, 0)
    assert shard.ask("key-1") == NoLease("here")
    shard.go_on()
    assert (shard.values(NAMES), shard.books_are_right, shard.versions.ticket[0]) == ({}, True, 8)
    shard.set("key-1", "new", ring=shard.shard._ring)
    assert shard.peek("key-1", epoch=2) == ["new"]


@pytest.mark.parametrize("what", ["short", "garbage", "another program's"])
def test_a_near_entry_does_not_live_on_under_slots_that_were_damaged(shard, what):
    """Whatever a client remembers of a slot, it has another value now."""
    remembered = list(range(10))  # as a slot may have been in its time
    DAMAGES[what](shard.folder / "versions")
    shard.come_back()

    assert sum(slot in remembered for slot in shard.versions.slots) < 3


def test_slots_at_their_end_go_on(shard):
    overwritten(shard.folder / "versions", SLOTS_AT, b"\xff" * 8 * SLOTS)
    shard.come_back()
    before = list(shard.versions.slots)
    shard.versions.bump_all()

    assert all(now != one for now, one in zip(shard.versions.slots, before, strict=True))


@pytest.mark.parametrize("lease", [math.nan, math.inf, 1e300, 1e9, 1e6])
def test_a_lease_that_nobody_can_have_given_is_none(shard, lease):
    """And the next real one ends when it should."""
    overwritten(shard.folder / "versions", LEASE_AT, struct.pack("<d", lease))
    shard.come_back()

    assert shard.versions.lease[0] == 0.0
    shard.go_on()
    assert shard.values(NAMES) == STORED
    shard.clock.advance(3.0)
    assert shard.ask("key-1") == NoLease("here")


def test_a_lease_that_still_holds_is_left_to_the_readers_of_the_node(shard):
    shard.come_back()

    assert shard.versions.lease[0] == shard.clock() + 3.0
    assert shard.versions.ticket[0] == TICKET


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_client_opens_no_damaged_file_of_versions(shard, damage):
    path = shard.folder / "versions"
    damage(path)
    with pytest.raises(OSError, match="versions"):
        Versions(path)


# ------------------------------------------------------------------------------------------------ folders


@pytest.fixture
def shared(shared, tmp_path):
    """Beside it lies something that belongs to somebody else."""
    (tmp_path / "precious").mkdir(mode=0o700)
    (tmp_path / "precious" / "owner").write_text('{"pid": 0, "started": 1}')
    (tmp_path / "precious" / "thing").write_text("precious")
    return shared


@pytest.fixture
def path(shared):
    return shared / f"raycache-{os.getuid()}-a"


def precious(shared):
    folder = shared.parent / "precious"
    return {each.name: each.read_text() for each in folder.iterdir()}


INTRUDERS = {
    "a link to a folder": lambda path: path.symlink_to(path.parent.parent / "precious"),
    "a link to nothing": lambda path: path.symlink_to(path.parent / "nothing"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a file": lambda path: path.write_text("file"),
    "a pipe": lambda path: os.mkfifo(path),
}


@pytest.mark.parametrize("intrude", INTRUDERS.values(), ids=INTRUDERS)
def test_what_is_no_folder_is_refused_and_stays(shared, path, intrude):
    intrude(path)
    before, inode = precious(shared), path.lstat().st_ino
    with pytest.raises(PermissionError, match=f"{path} is no folder.*remove it"):
        Folder("a", 0, os.getpid())

    assert (sweep(), sweep(ended="a")) == ([], [])
    assert (precious(shared), path.lstat().st_ino) == (before, inode)


def test_an_owner_that_is_a_link_is_refused_and_its_target_stays(shared, path):
    path.mkdir(mode=0o700)
    (path / "owner").symlink_to(shared.parent / "precious" / "thing")
    with pytest.raises(OSError, match="owner"):
        Folder("a", 0, os.getpid())

    assert sweep() == []
    assert precious(shared)["thing"] == "precious"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("ended", [None, "a"])
def test_the_sweep_leaves_folders_of_other_users(shared, path, ended):
    """Root could remove them."""
    shutil.copytree(shared.parent / "precious", path)
    os.chown(path, 65534, 65534)

    assert sweep(ended) == []
    assert (path / "thing").read_text() == "precious"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused_and_stays_as_it_is(shared, path):
    shutil.copytree(shared.parent / "precious", path)
    os.chown(path, 65534, 65534)
    before = {each.name: each.read_text() for each in path.iterdir()}
    with pytest.raises(PermissionError, match="belongs to user 65534"):
        Folder("a", 0, os.getpid())

    assert {each.name: each.read_text() for each in path.iterdir()} == before


OWNERS = ["", "{", "null", "[]", "7", '"text"', "{}", '{"pid": 1}', '{"pid": "text", "started": 1}', "[" * 4096]
OWNERS += ['{"pid": Infinity, "started": 1}', '{"pid": NaN, "started": 1}', '{"pid": null, "started": 1}', "\x00" * 100]
OWNERS += ['{"a":' * 800, "9" * 4096, '{"pid": [], "started": 1}']


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: owner[:20])
def test_a_garbage_owner_stops_neither_the_sweep_nor_the_next_process_of_that_name(shared, path, owner):
    path.mkdir(mode=0o700)
    (path / "owner").write_text(owner)

    assert sweep() == []
    assert len(sweep(ended="a")) in (0, 1)
    folder = Folder("a", 0, os.getpid())
    assert json.loads((path / "owner").read_text())["pid"] == os.getpid()
    folder.remove()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(owner=st.binary(max_size=100))
def test_any_owner_is_read_without_an_error(shared, path, owner):
    path.mkdir(mode=0o700, exist_ok=True)
    (path / "owner").write_bytes(owner)

    assert sweep() == []
