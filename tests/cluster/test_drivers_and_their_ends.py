"""Several programs on one Ray, and programs that end, well or badly."""

from __future__ import annotations

import glob
import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from caches import nothing_left
from cluster_ray import ClusterRay
from killing import kill_shard
from processes import Process, descendants, process
from programs import Program
from sources import Source
from waiting import until

import raycache
from raycache.core.memory import sweep

#: Joins a cache and does what it is told: "get KEY", "set KEY VALUE", "close".
JOIN = """
    import sys
    from pathlib import Path
    import raycache
    from sources import Source

    name, address, folder = sys.argv[1:]

    def fetch(key):
        return source(key)

    source = Source(Path(folder))
    cache = raycache.connect(name, address=address)
    users = cache.group("users", fetch, capacity="1 MiB")
    print("ready", flush=True)
    while line := input():
        act, *words = line.split()
        if act == "close":
            cache.close()
            print("closed", flush=True)
        else:
            print(getattr(users, act)(*words), flush=True)
"""


@pytest.fixture
def join(
    cluster_ray: ClusterRay, make_cache: Callable[..., raycache.Cache], source: Source, tmp_path: Path
) -> Iterator[Callable[[], Program]]:
    """Makes programs that join one cache."""
    cache = make_cache()
    programs: list[Program] = []

    def make() -> Program:
        programs.append(Program(JOIN, cache.name, cluster_ray.address, tmp_path / "source"))
        return programs[-1]

    yield make
    for program in programs:
        program.__exit__()


def ask(program: Program, line: str) -> str:
    program.tell(line)
    return program.line()


def test_two_programs_share_a_cache(join: Callable[[], Program], source: Source) -> None:
    """Getters of the same text in their `__main__` agree; what one loads or sets, the other has."""
    one, two = join(), join()
    ready = [one.line(), two.line()]
    loaded = [ask(one, "get alice"), ask(two, "get alice")]
    ask(one, "set alice new")
    changed = [ask(two, "get alice"), ask(one, "get alice")]
    closed = ask(one, "close")
    after = [ask(two, "get alice"), ask(two, "get bob"), ask(two, "remove alice"), ask(two, "get alice")]
    two.tell()
    two.end()

    assert ready == ["ready"] * 2
    assert loaded == [Source.value("alice")] * 2
    assert changed == ["new"] * 2
    assert closed == "closed"
    assert after == ["new", Source.value("bob"), "True", Source.value("alice")]
    assert source.runs == {"'alice'": 2, "'bob'": 1}


def test_a_program_that_is_killed_leaves_the_cache_as_it_is(join: Callable[[], Program], source: Source) -> None:
    """Though it registered the group, and its load is in flight."""
    one, two = join(), join()
    one.line(), two.line()
    ask(one, "get alice")
    source.will("wait", "bob")
    one.tell("get bob")
    source.await_run("bob")
    one.kill()
    two.tell("get bob")
    source.behave("bob")

    assert two.line() == Source.value("bob")
    assert ask(two, "get alice") == Source.value("alice")
    assert ask(two, "get carol") == Source.value("carol")
    assert source.runs == {"'alice'": 1, "'bob'": 1, "'carol'": 1}


OWN_RAY = """
    import os
    import raycache

    cache = raycache.connect("own", capacity="64 MiB")
    users = cache.group("users", str.upper)
    assert users.get("alice") == "ALICE"
    (shard,) = cache.shards()
    print(shard.folder, shard.pid, flush=True)
    if input() == "close":
        cache.close()
        assert not os.path.exists(shard.folder)
        print("closed", flush=True)
        input()
"""


class OwnRay(NamedTuple):
    """A program with a Ray of its own, started by `connect`."""

    program: Program
    below: list[Process]  # the processes of its Ray
    folder: Path  # of its shard
    shard: Process


@pytest.fixture
def own() -> Iterator[OwnRay]:
    with tempfile.TemporaryDirectory(prefix="rc-", ignore_cleanup_errors=True) as folder:  # sockets want short paths
        with Program(OWN_RAY, RAY_TMPDIR=folder) as program:
            pages, pid = program.line().split()
            below = descendants(program.pid)
            yield OwnRay(program, below, Path(pages), process(int(pid)))
        for each in below:
            if each.lives:  # Ray's agents wait for ever for a node that was killed
                os.kill(each.pid, signal.SIGKILL)


def test_a_ray_that_connect_has_started_ends_with_close(own: OwnRay) -> None:
    """No process and no folder is left."""
    there = own.folder.is_dir()
    own.program.tell("close")
    closed = own.program.line()

    assert there
    assert closed == "closed"
    until(lambda: not any(each.lives for each in own.below), "all processes of that Ray have ended")


def test_a_program_that_ends_without_a_word_leaves_nothing(own: OwnRay) -> None:
    """As most do: no close, no destroy."""
    own.program.tell()
    own.program.end()

    until(lambda: not any(each.lives for each in own.below), "all processes of that Ray have ended")
    assert not own.folder.exists()


def test_what_a_killed_program_has_left_is_swept_by_the_next(
    own: OwnRay, make_cache: Callable[..., raycache.Cache]
) -> None:
    """Its node dies with it, and cannot remove what lies in shared memory."""
    node = process(own.shard.parent)
    own.program.kill()
    until(lambda: not own.shard.lives and not node.lives, "the shard and its node have ended")
    stale = own.folder.is_dir()
    make_cache()

    assert stale
    assert not own.folder.exists()


def test_the_sweep_leaves_folders_in_use_alone(make_cache: Callable[..., raycache.Cache]) -> None:
    """Of caches that run, also while their shard is dead and about to be restarted."""
    cache = make_cache()
    (shard,) = cache.shards()
    os.kill(shard.pid, signal.SIGSTOP)
    try:
        swept = sweep()
    finally:
        os.kill(shard.pid, signal.SIGCONT)

    assert Path(shard.folder) not in swept
    assert Path(shard.folder).is_dir()
    assert json.loads((Path(shard.folder) / "owner").read_text())["pid"] != os.getpid()


def test_destroying_right_after_a_shard_was_killed_leaves_nothing(make_cache: Callable[..., raycache.Cache]) -> None:
    """The shard cannot be asked to clean up after itself."""
    cache = make_cache()
    kill_shard(cache)
    cache.destroy()

    nothing_left(cache.name)
    assert glob.glob(f"/dev/shm/raycache-*-{cache.name}-*") == []
