"""Version slots and the lease: one small file, written by a shard and read by every process of its node."""

from __future__ import annotations

import errno
import os

import pytest
from descriptors import open_below

from raycache.core.versions import FOREVER, SLOTS, Versions, slot_of


@pytest.fixture
def path(tmp_path):
    return tmp_path / "versions"


def test_a_new_file_has_no_lease_no_ticket_and_slots_of_zero(path):
    versions = Versions(path, create=True)

    assert (versions.lease[0], versions.ticket[0]) == (0.0, 0)
    assert (set(versions.slots), len(versions.slots)) == ({0}, SLOTS)
    versions.close()


def test_what_the_writer_does_a_reader_sees_at_once(path):
    writer = Versions(path, create=True)
    reader = Versions(path)
    writer.lease[0] = 12.5
    writer.bump([3, SLOTS - 1, 3])

    assert (reader.lease[0], reader.slots[3], reader.slots[SLOTS - 1], sum(reader.slots)) == (12.5, 1, 1, 2)
    reader.close()
    writer.close()


def test_another_process_sees_slots_and_lease(path, python):
    writer = Versions(path, create=True)
    writer.bump([7])
    writer.lease[0] = FOREVER
    program = "import sys; from pathlib import Path; from raycache.core.versions import Versions\n"
    program += "v = Versions(Path(sys.argv[1])); print(v.slots[7], v.lease[0])"

    assert python(program, path) == "1 inf"
    writer.close()


def test_bump_all_moves_every_slot_by_one(path):
    versions = Versions(path, create=True)
    versions.bump([5])
    versions.bump_all()

    assert (versions.slots[5], versions.slots[6], sum(versions.slots)) == (2, 1, SLOTS + 1)
    versions.close()


def test_slots_only_grow_when_the_file_is_made_again(path):
    """A restarted shard must not give a near entry of its earlier life a slot that looks unchanged."""
    for bumps in range(3):
        versions = Versions(path, create=True)

        assert versions.slots[9] == bumps
        versions.bump([9])
        versions.close()


def test_ticket_and_lease_are_still_there_when_the_file_is_made_again(path):
    """By the ticket a restarted shard asks whether it may go on; the lease says until when others take it for alive."""
    before = Versions(path, create=True)
    before.ticket[0], before.lease[0] = 2**64 - 1, 12.5
    before.close()
    after = Versions(path, create=True)

    assert (after.ticket[0], after.lease[0], set(after.slots)) == (2**64 - 1, 12.5, {0})
    after.close()


def test_a_reader_cannot_write(path):
    Versions(path, create=True).close()
    reader = Versions(path)
    with pytest.raises(TypeError):
        reader.slots[0] = 1
    with pytest.raises(TypeError):
        reader.lease[0] = FOREVER
    with pytest.raises(TypeError):
        reader.ticket[0] = 1

    reader.close()


def test_no_file_is_an_error(path):
    with pytest.raises(FileNotFoundError):
        Versions(path)


@pytest.mark.parametrize("content", [b"", b"rcslots1", b"x" * (1 << 20)], ids=["empty", "short", "of something else"])
def test_a_file_of_something_else_is_refused_by_name(path, content):
    path.write_bytes(content)
    with pytest.raises(OSError, match="versions is no file of version slots"):
        Versions(path)

    assert open_below(path) == []


def test_a_full_file_system_is_an_error_and_no_bus_error_later(path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left") as failed:
        Versions(path, create=True)

    assert failed.value.errno == errno.ENOSPC
    assert open_below(path) == []


def test_the_whole_file_is_allocated_when_it_is_made(path):
    versions = Versions(path, create=True)

    assert path.stat().st_blocks * 512 >= path.stat().st_size >= 8 * SLOTS
    versions.close()


def test_only_the_user_may_read_the_file(path):
    Versions(path, create=True).close()

    assert path.stat().st_mode & 0o777 == 0o600


def test_every_digest_has_a_slot():
    assert {slot_of(0), slot_of(SLOTS), slot_of(2**64 - 1)} == {0, SLOTS - 1}
