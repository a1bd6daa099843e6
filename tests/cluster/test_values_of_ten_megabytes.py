"""Large values: objects in Ray's store, that belong to the shard and are read by all without a copy."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import ray
from peers import Peer, Peers
from processes import alive
from sources import Source
from waiting import until

import raycache

SIZE = 10_000_000


class Pictures(Source):
    """A getter of arrays of ten megabytes, filled with the last digit of the key."""

    def __call__(self, key: Any) -> Any:
        self._value(key)
        return np.full(SIZE, int(key[-1]), np.uint8)


class Seen(NamedTuple):
    """An array, as a process has got it."""

    size: int
    digit: int
    writeable: bool
    home: str  # what is mapped where its bytes are


def look(group: raycache.Group, key: str) -> Seen:
    value = group.get(key)
    return Seen(value.size, int(value.max()), value.flags.writeable, home(value.ctypes.data))


def home(address: int) -> str:
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = line.split()[0].split("-")
        if int(first, 16) <= address < int(last, 16):
            return line.split(maxsplit=5)[5] if len(line.split()) > 5 else ""
    return ""


@pytest.fixture
def getter(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path / "pictures")


@pytest.fixture
def pictures(register: Callable[..., raycache.Group], getter: Pictures) -> raycache.Group:
    """A group with room for two of them."""
    return register(getter, capacity="25 MB")


def test_a_large_value_is_read_without_a_copy(pictures: raycache.Group, getter: Pictures, peers: Peers) -> None:
    """Its bytes are in Ray's shared memory, and read-only, in every process."""
    looks = [look(pictures, "photo-1"), *(peer.do(look, pictures, "photo-1") for peer in peers(2))]

    assert [(seen.size, seen.digit, seen.writeable) for seen in looks] == [(SIZE, 1, False)] * 3
    assert all("plasma" in seen.home for seen in looks), looks
    assert getter.runs == {"'photo-1'": 1}


def test_a_large_value_outlives_who_asked_for_it(
    pictures: raycache.Group, getter: Pictures, peers: Peers, mortal: Callable[[], Peer]
) -> None:
    """The asker is killed; the value is still there for others."""
    asker = mortal()
    asker.do(look, pictures, "photo-2")
    pid = asker.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), "the asker is dead")

    assert peers(1)[0].do(look, pictures, "photo-2").digit == 2
    assert getter.runs == {"'photo-2'": 1}


def test_a_large_value_outlives_who_set_it(
    pictures: raycache.Group, getter: Pictures, peers: Peers, mortal: Callable[[], Peer]
) -> None:
    """The setter is killed; the value is still there for others."""
    setter = mortal()
    setter.do(pictures.set, "photo-2", np.full(SIZE, 7, np.uint8))
    pid = setter.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), "the setter is dead")

    assert [look(pictures, "photo-2").digit, peers(1)[0].do(look, pictures, "photo-2").digit] == [7, 7]
    assert getter.runs == {}


def test_a_large_value_outlives_the_process_that_loaded_it(
    pictures: raycache.Group, getter: Pictures, peers: Peers
) -> None:
    """What a loader returns is not its own."""
    pictures.get("photo-3")
    (pid,) = getter.pids("photo-3")
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), "the loader is dead")

    assert peers(1)[0].do(look, pictures, "photo-3").digit == 3
    assert getter.runs == {"'photo-3'": 1}


def test_large_values_are_counted_and_evicted(pictures: raycache.Group, getter: Pictures) -> None:
    """The bytes never exceed the capacity; what was evicted is loaded anew."""
    counted = []
    for number in range(4):
        pictures.get(f"photo-{number}")
        stats = pictures.stats()
        counted.append((stats.entries, stats.bytes // SIZE, stats.evictions))
    again = look(pictures, "photo-0").digit

    assert counted == [(1, 1, 0), (2, 2, 0), (2, 2, 1), (2, 2, 2)]
    assert again == 0
    assert getter.runs == {"'photo-0'": 2} | {f"'photo-{number}'": 1 for number in (1, 2, 3)}


def test_evicted_large_values_leave_rays_memory(pictures: raycache.Group) -> None:
    """Twelve are loaded, two are kept."""
    before = free_bytes()
    for number in range(12):
        pictures.get(f"photo-{number}")
    until(lambda: before - free_bytes() < 4 * SIZE, "Ray's store has let go of what was evicted")

    assert pictures.stats().entries == 2


def free_bytes() -> int:
    """What Ray's store has left for objects."""
    return int(ray.available_resources()["object_store_memory"])


@pytest.mark.parametrize("how", ["get", "set"])
def test_replacing_a_large_value_by_a_small_one_frees_its_bytes(
    how: str, pictures: raycache.Group, register: Callable[..., raycache.Group]
) -> None:
    """And the other way round."""
    pictures.get("photo-1") if how == "get" else pictures.set("photo-1", np.zeros(SIZE, np.uint8))
    large = pictures.stats().bytes
    pictures.set("photo-1", "small")
    small = pictures.stats().bytes
    pictures.set("photo-1", np.zeros(SIZE, np.uint8))

    assert SIZE < large < SIZE + 1000
    assert 0 < small < 1000
    assert pictures.stats().bytes == large
    assert pictures.remove("photo-1")
    assert pictures.stats().bytes == 0


def test_large_values_of_one_batch_are_independent(register: Callable[..., raycache.Group], peers: Peers) -> None:
    """Removing one leaves the others, and frees its own bytes."""
    pictures = register(
        batch_getter=lambda keys: {key: np.full(1_000_000, int(key[-1]), np.uint8) for key in keys},
        capacity="10 MB",
    )
    keys = [f"photo-{number}" for number in range(4)]
    digits = {key: int(value[0]) for key, value in pictures.get_many(keys).items()}
    pictures.remove("photo-2")

    assert digits == {"photo-0": 0, "photo-1": 1, "photo-2": 2, "photo-3": 3}
    assert [peers(1)[0].do(look, pictures, key).digit for key in ("photo-0", "photo-1", "photo-3")] == [0, 1, 3]
    assert pictures.stats().bytes // 1_000_000 == 3
    assert "photo-2" not in pictures
