"""Pages that were damaged while their shard was dead: what comes back is right, the rest is dropped and counted."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading

import lmdb
import pytest
from fake_clock import FakeClock
from reborn import Reborn, overwritten
from shard_bench import full

from raycache.core import intact
from raycache.core.messages import Missing
from raycache.core.pages import Pages

#: Short and long keys, small values and some that take pages of their own.
STORED = {f"key-{number}": f"value {number} " * (number % 7 * 40) for number in range(300)}
STORED |= {f"{number}-" * 300: f"of a long key, {number}" for number in range(5)}
NAMES = list(STORED)


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """What a shard has left that had stored everything several times over, and had removed some."""
    folder = tmp_path_factory.mktemp("left")
    shard = Reborn(folder, FakeClock())
    for name in NAMES:
        shard.set(name, "old")
    shard.remove(*NAMES[::3])
    for name, value in STORED.items():
        shard.set(name, value)
    shard.kill()
    return folder


@pytest.fixture
def shard(left, tmp_path, clock):
    """The shard, killed."""
    (tmp_path / "shard").mkdir()
    shard = Reborn(tmp_path / "shard", clock)
    shard.kill()
    shutil.copytree(left, shard.folder, dirs_exist_ok=True)
    yield shard
    shard.close()


GARBAGE = random.Random(7).randbytes(1 << 20)
#: What somebody does to the folder; none of it leaves pages that can be used.
FATAL = {
    "truncated": lambda folder: os.truncate(folder / "data.mdb", 100_000),
    "cut in a page": lambda folder: os.truncate(folder / "data.mdb", 12_345),
    "empty": lambda folder: os.truncate(folder / "data.mdb", 0),
    "of one byte": lambda folder: os.truncate(folder / "data.mdb", 1),
    "garbage": lambda folder: (folder / "data.mdb").write_bytes(GARBAGE),
    "zeros": lambda folder: (folder / "data.mdb").write_bytes(bytes(1 << 20)),
    "all but the headers is garbage": lambda folder: overwritten(folder / "data.mdb", 8192, GARBAGE),
    "a header is garbage": lambda folder: overwritten(folder / "data.mdb", 4096, GARBAGE[:4096]),
    "a folder": lambda folder: [(folder / "data.mdb").unlink(), (folder / "data.mdb").mkdir()],
    "the lock is a folder": lambda folder: [(folder / "lock.mdb").unlink(), (folder / "lock.mdb").mkdir()],
    "the versions are a folder": lambda folder: [(folder / "versions").unlink(), (folder / "versions").mkdir()],
}
HARMLESS = {
    "nothing": lambda folder: None,
    "no lock": lambda folder: (folder / "lock.mdb").unlink(),
    "an empty lock": lambda folder: os.truncate(folder / "lock.mdb", 0),
    "a garbage lock": lambda folder: (folder / "lock.mdb").write_bytes(GARBAGE[:8192]),
    "more behind its end": lambda folder: overwritten(folder / "data.mdb", 2 << 20, GARBAGE),
}


@pytest.mark.parametrize("damage", FATAL.values(), ids=FATAL)
def test_pages_that_are_of_no_use_are_refused_in_words_and_a_shard_begins_anew(shard, damage):
    damage(shard.folder)

    assert not shard.come_back()
    assert str(shard.folder) in shard.said
    shard.go_on()
    assert (shard.values(NAMES), shard.books_are_right) == ({}, True)
    shard.set("a", "new", ring=shard.shard._ring)
    assert shard.peek("a", epoch=2) == ["new"]


@pytest.mark.parametrize("damage", HARMLESS.values(), ids=HARMLESS)
def test_what_harms_no_record_costs_none(shard, damage):
    damage(shard.folder)

    assert shard.come_back()
    shard.go_on()
    assert (shard.values(NAMES), shard.info().dropped, shard.books_are_right) == (STORED, 0, True)


def test_a_lock_that_is_never_given_out_is_not_waited_for(shard):
    with subprocess.Popen([sys.executable, "-c", HOLD, shard.folder], stdout=subprocess.PIPE) as holder:
        held = holder.stdout.readline()
        usable = shard.come_back()
        holder.kill()

    assert (held, usable) == (b"held\n", False)
    assert f"ended by {int(signal.SIGALRM)}" in shard.said


#: Another writer, which stops in the middle.
HOLD = """
import lmdb, sys, time
env = lmdb.open(sys.argv[1], max_readers=1024)
with env.begin(write=True):
    print("held", flush=True)
    time.sleep(60)
"""


def flipped(data, seed, count):
    """Some bits of what is in use are not what they were."""
    rnd, changed = random.Random(seed), bytearray(data)
    for _ in range(count):
        changed[rnd.randrange(len(data))] ^= 1 << rnd.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("seed", range(10))
def test_of_pages_with_flipped_bits_only_what_was_stored_is_served(shard, seed):
    """Also after the shard has gone on to write there."""
    file = shard.folder / "data.mdb"
    data = file.read_bytes()
    used = len(intact._File(memoryview(data))._used) * 4096
    file.write_bytes(flipped(data[:used], seed, 4 ** (seed % 5)) + data[used:])
    usable = shard.come_back()
    shard.go_on()
    served, info = shard.values(NAMES), shard.info()

    assert served.items() <= STORED.items()
    assert (len(served), shard.books_are_right) == (info.recovered if usable else 0, True)
    if usable:
        assert info.recovered + info.dropped >= len(STORED) - 4 ** (seed % 5)
    for number in range(100):
        shard.set(f"new-{number}", f"new {number} " * 100, ring=shard.shard._ring)
    shard.remove(*NAMES[::2], ring=shard.shard._ring)
    assert shard.values(NAMES).items() <= {name: STORED[name] for name in NAMES[1::2]}.items()
    assert shard.peek(*(f"new-{number}" for number in range(100)), epoch=2) == [
        f"new {number} " * 100 for number in range(100)
    ]
    assert shard.books_are_right


@pytest.mark.parametrize("seed", range(6))
def test_a_structure_that_is_damaged_is_noticed_or_harms_nothing(shard, seed):
    """Bits of headers, pointers and lists of free pages, many times: the look at them ends, one way or the other."""
    data = (shard.folder / "data.mdb").read_bytes()
    whole = intact._File(memoryview(data))
    used = [page for page, taken in enumerate(whole._used) if taken]
    rnd = random.Random(seed)
    noticed = 0
    for _ in range(20):
        changed = bytearray(data)
        for _ in range(rnd.choice([1, 2, 8])):
            changed[rnd.choice(used) * 4096 + rnd.randrange(64)] ^= 1 << rnd.randrange(8)
        try:
            intact._File(memoryview(changed)).check()
        except (intact.Damaged, ValueError):
            noticed += 1

    assert noticed > 5


def test_a_record_under_another_key_is_dropped_and_counted(shard):
    """Two values have changed places: each is sound, and not the other's."""
    pages = Pages.create(shard.folder, 4 << 20, keep=True)
    one, other = full("key-1"), full("key-2")
    pages.write({one: pages.get(other), other: pages.get(one)})
    pages.close()

    assert shard.come_back()
    shard.go_on()
    assert shard.peek("key-1", "key-2", "key-3") == [Missing(), Missing(), STORED["key-3"]]
    assert (shard.info().dropped, shard.info().recovered, shard.books_are_right) == (2, len(STORED) - 2, True)


def test_a_long_key_that_is_damaged_costs_its_record(shard):
    """The digest at its end: nobody would ever find it again."""
    with lmdb.open(str(shard.folder)) as env, env.begin(write=True) as txn:
        (*_, key) = (key for key, _ in txn.cursor() if len(key) == 511)
        txn.put(key[:-1] + bytes([key[-1] ^ 1]), txn.pop(key))

    assert shard.come_back()
    shard.go_on()
    assert (shard.info().recovered, shard.info().dropped, shard.books_are_right) == (len(STORED) - 1, 1, True)
    assert shard.values(NAMES).items() < STORED.items()


def test_other_threads_go_on_while_pages_are_looked_at(shard):
    """It is done in another process."""
    gone_on = threading.Event()
    threading.Timer(0.01, gone_on.set).start()
    shard.come_back()

    assert gone_on.is_set()
