"""A /dev/shm that is full, or too small: never a SIGBUS, never a wrong value. Each program here has its own."""

from __future__ import annotations

import tempfile

import programs
from programs import with_shared_memory

FULL = """
    import faulthandler
    import os
    import sys
    import raycache

    faulthandler.dump_traceback_later(30, exit=True)
    full_first = sys.argv[1] == "first"

    def fetch(key):
        return key * 200

    def fill():
        other = os.open("/dev/shm/other", os.O_WRONLY | os.O_CREAT)
        for size in (1 << 16, 1 << 12):
            try:
                while os.write(other, bytes(size)):
                    pass
            except OSError:
                pass
        os.close(other)

    def get_all(name, number):
        keys = [f"{name}-{each}" for each in range(number)]
        for at in range(0, number, 500):
            assert group.get_many(keys[at:at + 500]) == {key: fetch(key) for key in keys[at:at + 500]}
        for key in keys[::50]:
            assert group.get(key) == fetch(key)

    cache = raycache.connect(address="inline", capacity="32 MiB")
    assert cache.shards()[0].folder.startswith("/dev/shm/")
    group = cache.group("users", fetch, capacity="32 MiB", near=0)
    if full_first:
        fill()
    get_all("before", 6000)
    fill()
    get_all("after", 6000)
    for number in range(500):
        key = f"set-{number}"
        group.set(key, "new" * 500)
        assert group.get(key) in ("new" * 500, fetch(key))
    for number in range(0, 6000, 100):
        key = f"after-{number}"
        group.set(key, "new")
        group.remove(key)
        assert key not in group
        assert group.get(key) == fetch(key)
    stats = group.stats()
    assert stats.evictions + stats.unstored > 0, stats
    assert stats.bytes == cache.shards()[0].bytes
    assert stats.entries == len(list(group.keys()))
    group.clear()
    assert len(group) == 0
    os.remove("/dev/shm/other")
    get_all("again", 1000)
    before = group.stats().loads
    get_all("again", 1000)
    assert group.stats().loads == before
    cache.destroy()
    assert os.listdir("/dev/shm") == []
    print("right")
"""


def test_a_shared_memory_that_others_fill_costs_hits_and_nothing_else() -> None:
    """Entries go or are not kept, changes work, values are right; with room again everything is kept."""
    assert programs.run(FULL, "later", starter=with_shared_memory(48)) == ["right"]


def test_a_shared_memory_that_is_full_before_the_first_value_costs_hits_and_nothing_else() -> None:
    """The same, when there never was room."""
    assert programs.run(FULL, "first", starter=with_shared_memory(48)) == ["right"]


TOO_SMALL = """
    import os
    import tempfile
    import warnings
    import raycache

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cache = raycache.connect(address="inline", capacity="32 MiB")
        group = cache.group("users", str.upper)
        for number in range(1000):
            assert group.get(f"key-{number}") == f"KEY-{number}"
        group.set("alice", bytes(1000))
        assert group.get("alice") == bytes(1000)
        (shard,) = cache.shards()
        assert shard.folder.startswith(tempfile.gettempdir() + "/"), shard.folder
        assert os.stat(shard.folder).st_mode & 0o777 == 0o700
        cache.destroy()
    assert not os.path.exists(shard.folder)
    assert os.listdir("/dev/shm") == []
    for warning in caught:
        print(warning.category.__name__, warning.message)
"""


def test_a_shared_memory_that_is_too_small_is_replaced_by_a_temp_folder() -> None:
    """With one warning, which names both and the remedies."""
    (warning,) = programs.run(TOO_SMALL, starter=with_shared_memory(8))

    assert warning.startswith("RuntimeWarning /dev/shm has only 8,388,608 bytes free")
    assert f" in {tempfile.gettempdir()}" in warning
    assert "--shm-size" in warning
    assert "capacity=" in warning
