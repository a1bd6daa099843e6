"""Bad input to a cache on Ray: damaged pages, messages that are none, a full GCS, values of gigabytes."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from killing import kill_shard, restarted
from peers import Peers, attempt
from sources import Source
from waiting import until

import raycache
from raycache.cluster import directory as directory_module
from raycache.cluster.directory import DirectoryActor
from raycache.core.directory import Directory
from raycache.core.messages import Failed, Get, GetGroups, GroupSpec, Hello, Register
from raycache.core.steps import Wait
from raycache.options import CacheOptions, GroupOptions

KEYS = [f"key-{number}" for number in range(200)]
GIGABYTES = 1_500_000_000


@pytest.fixture
def own_cache(make_cache: Callable[..., raycache.Cache]) -> raycache.Cache:
    return make_cache()


def flip_values(data: Path) -> int:
    """Some values in the file, and older copies of them, are no longer what was stored; how many."""
    stored = data.read_bytes()
    for key in KEYS[:30:3]:
        text = Source.value(key).encode()
        stored = stored.replace(text, b"?" + text[1:])
    with data.open("r+b") as file:
        file.write(stored)
    return len(KEYS[:30:3])


def overwrite(data: Path) -> int:
    """Nothing of the file is what it was; the size is, as processes have it mapped."""
    size = data.stat().st_size
    with data.open("r+b") as file:
        file.write(random.Random(7).randbytes(size))
    return 0


@pytest.mark.parametrize("damage", [flip_values, overwrite])
def test_a_shard_that_comes_back_to_damaged_pages_serves_right_values(
    damage: Callable[[Path], int], own_cache: raycache.Cache, source: Source, pool: Peers
) -> None:
    """What is damaged is dropped, counted, and loaded anew; the rest is kept."""
    users = own_cache.group("users", source)
    users.get_many(KEYS)
    runs = source.runs
    before = kill_shard(own_cache)
    damaged = damage(Path(before.folder) / "data.mdb")

    after = restarted(own_cache, before)
    values = [users.get_many(KEYS), pool(1)[0].do(users.get_many, KEYS)]
    again = sum((source.runs - runs).values())

    assert values == [{key: Source.value(key) for key in KEYS}] * 2
    if damage is flip_values:
        assert (after.recovered, after.dropped, after.folder) == (len(KEYS) - damaged, damaged, before.folder)
        assert again == damaged == 10
    else:
        assert (after.recovered, again) == (0, len(KEYS))
        assert after.folder != before.folder
        assert not os.path.exists(before.folder)


# ---------------------------------------------------------------------------------------------- messages


def asked(cache: raycache.Cache, message: Any) -> Any:
    """What comes of a message to the only shard."""
    (shard,) = cache.shards()
    return cache.network.wait(Wait([cache.network.ask(shard.id, message)], 30.0))[0]


class Bomb:
    """Cannot be unpickled where it arrives."""

    def __reduce__(self) -> Any:
        return divmod, (1, 0)


def test_a_message_with_nonsense_in_it_is_refused_in_one_line(cache: raycache.Cache, users: raycache.Group) -> None:
    """The shard goes on."""
    users.get("alice")
    answers = [asked(cache, message) for message in (Get(users.reader.spec.id, (b"",), 1), Bomb())]

    assert all(isinstance(answer, Failed) and "\n" not in answer.reason for answer in answers)
    assert answers[0].reason.startswith("Malformed: a message Get was not acted on: not all keys are of the group")
    assert "division or modulo by zero" in answers[1].reason
    assert users.get("alice") == Source.value("alice")


@pytest.mark.parametrize("message", [None, "text", Hello])
def test_a_message_of_another_version_names_both_versions(cache: raycache.Cache, message: Any) -> None:
    """Wherever it is sent."""
    here = raycache.__version__
    for ask in (lambda: asked(cache, message), lambda: cache._ask(message)):
        with pytest.raises(
            raycache.VersionMismatch, match=rf"is of raycache {here}, .*\(this process has raycache {here}\)"
        ):
            ask()


def test_a_directory_says_nothing_that_is_not_saved(cluster_ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the GCS takes nothing, it raises; what it was told meanwhile is saved before the next answer."""

    class Unstarted(DirectoryActor):
        def _restored(self, options: CacheOptions) -> Directory:
            return Directory(options, clock=lambda: 0.0, tickets=lambda: 1)

        def _look_after(self) -> None:
            """This one has no members."""

    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("the GCS takes nothing")

    saved: list[bytes] = []
    kv = directory_module.internal_kv
    monkeypatch.setattr(kv, "_internal_kv_put", lambda key, state, **_: saved.append(state))
    directory = Unstarted("never", CacheOptions(capacity_bytes=1 << 20), "test")
    monkeypatch.setattr(kv, "_internal_kv_put", full)
    spec = GroupSpec(0, "users", GroupOptions(capacity_bytes=1000))
    for message in (Register(spec), GetGroups()):
        with pytest.raises(RuntimeError, match="takes nothing"):
            directory.handle(message)
    monkeypatch.setattr(kv, "_internal_kv_put", lambda key, state, **_: saved.append(state))

    assert list(directory.handle(GetGroups())) == ["users"]
    assert b"users" in saved[-1]


# ------------------------------------------------------------------------------------------------- values


def resident(pid: int) -> int:
    """Bytes of memory of its own that a process has."""
    fields = Path(f"/proc/{pid}/status").read_text()
    return int(fields.partition("RssAnon:")[2].split()[0]) << 10


def test_a_value_of_gigabytes_is_delivered_or_refused_in_words_and_nobody_dies_of_it(
    make_cache: Callable[..., raycache.Cache],
) -> None:
    """Its group has room for 4 MiB, the object store for 256; what it took is free again."""
    cache = make_cache(capacity="64 MiB")
    zeros = cache.group("zeros", lambda key: np.zeros(GIGABYTES, np.uint8), capacity="4 MiB")
    (shard,) = cache.shards()
    before = resident(shard.pid), resident(os.getpid())
    outcome = attempt(lambda: len(zeros.get("a", timeout=120)))

    assert outcome.value == GIGABYTES or issubclass(outcome.error or int, raycache.RaycacheError)
    assert outcome.seconds < 120
    assert [each.pid for each in cache.shards()] == [shard.pid]
    stats = zeros.stats()
    assert (stats.entries, stats.bytes) == (0, 0)
    assert outcome.error or stats.too_large == 1
    small = cache.group("small", str.upper, capacity="4 MiB")
    assert small.get("a") == "A"
    until(
        lambda: max(resident(shard.pid) - before[0], resident(os.getpid()) - before[1]) < 300 << 20,
        "the memory is free again",
    )
    assert ray.is_initialized()
