"""Folders in shared memory: whose they are, and the sweep of those that nobody uses any more."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import warnings
from collections import namedtuple

import pytest
from descriptors import open_below

from raycache.core import memory
from raycache.core.memory import HELD_S, Folder, last_used, sweep

#: Makes a folder as its own owner, and dies in different ways.
ORPHAN = """
import os, signal, sys
from pathlib import Path
from raycache.core import memory

memory.SHARED_MEMORY = Path(sys.argv[1])
memory.Folder("orphan", 0, int(sys.argv[2]) or os.getpid())
os.kill(os.getpid(), signal.SIGKILL) if sys.argv[3:] else None
"""


def test_a_folder_is_the_users_alone(shared):
    before = os.umask(0)
    try:
        folder = Folder("a", 0, os.getpid())
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert folder.path == shared / f"raycache-{os.getuid()}-a"
    folder.remove()


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_folder_that_others_may_enter_is_refused(shared, mode):
    path = shared / f"raycache-{os.getuid()}-a"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(PermissionError, match=f"{path} .* mode {mode:o}.*remove it"):
        Folder("a", 0, os.getpid())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(shared):
    path = shared / f"raycache-{os.getuid()}-a"
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)
    with pytest.raises(PermissionError, match="belongs to user 65534"):
        Folder("a", 0, os.getpid())


def test_a_link_to_a_folder_is_refused(shared, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (shared / f"raycache-{os.getuid()}-a").symlink_to(elsewhere)
    with pytest.raises(PermissionError):
        Folder("a", 0, os.getpid())


def test_remove_leaves_nothing(shared):
    folder = Folder("a", 0, os.getpid())
    (folder.path / "data").write_bytes(b"x")
    open_files = open_below(shared)
    folder.remove()

    assert list(shared.iterdir()) == []
    assert (len(open_files), open_below(shared)) == (1, [])


def test_the_sweep_leaves_a_folder_that_is_in_use(shared):
    folder = Folder("a", 0, os.getpid())

    assert (sweep(), folder.path.is_dir()) == ([], True)
    folder.remove()


@pytest.mark.parametrize("how", [[], ["killed"]], ids=["ended", "killed"])
def test_the_sweep_removes_the_folder_of_a_process_that_is_gone(shared, how):
    subprocess.run([sys.executable, "-c", ORPHAN, shared, "0", *how], check=False, timeout=60)
    orphan = shared / f"raycache-{os.getuid()}-orphan"

    assert orphan.is_dir()
    assert (sweep(), orphan.exists(), sweep()) == ([orphan], False, [])


def test_the_sweep_leaves_a_folder_whose_user_died_and_whose_owner_lives(shared, python):
    """A shard that crashed is restarted on its node and finds its pages."""
    python(ORPHAN, shared, os.getpid())

    assert sweep() == []
    assert (shared / f"raycache-{os.getuid()}-orphan").is_dir()


def test_the_sweep_is_not_taken_in_by_a_new_process_of_the_same_id(shared, python):
    python(ORPHAN, shared, os.getpid())
    orphan = shared / f"raycache-{os.getuid()}-orphan"
    told = json.loads((orphan / "owner").read_text())
    (orphan / "owner").write_text(json.dumps(told | {"started": told["started"] - 1}))

    assert sweep() == [orphan]


def test_the_sweep_leaves_what_is_not_its_own(shared):
    others = [shared / "raycache-99999-a", shared / "sem.x", shared / f"raycache-{os.getuid()}-being-made"]
    for other in others:
        other.mkdir()
    (others[0] / "owner").write_text('{"pid": 0, "started": 1}')
    (others[2] / "owner").write_text("")

    assert sweep() == []
    assert all(other.is_dir() for other in others)


def test_a_folder_is_taken_over_by_the_next_process_of_its_name(shared, python):
    python(ORPHAN, shared, os.getpid())
    folder = Folder("orphan", 0, os.getpid())

    assert [path.name for path in shared.iterdir()] == [folder.path.name]
    folder.remove()


class Waiting:
    """In place of `time`: sleeping lets time pass, and at a given time somebody lets go of what is waited for."""

    def __init__(self) -> None:
        self.now, self.due, self.let_go = 0.0, float("inf"), lambda: None

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        if self.now >= self.due:
            self.due = float("inf")
            self.let_go()


@pytest.fixture
def waiting(monkeypatch):
    waiting = Waiting()
    monkeypatch.setattr(memory, "time", waiting)
    return waiting


def test_two_processes_do_not_use_one_folder_at_once(shared, waiting):
    """Who comes second is told which folder, and leaves no descriptor open."""
    folder = Folder("a", 0, os.getpid())
    open_files = open_below(shared)
    with pytest.raises(BlockingIOError, match=f"{folder.path} is still used by another process after 10 s.*end that"):
        Folder("a", 0, os.getpid())

    assert open_below(shared) == open_files
    assert HELD_S <= waiting.now < HELD_S + 1
    folder.remove()


def test_a_process_waits_for_the_end_of_the_one_before_it(shared, waiting):
    """To free gigabytes takes that one seconds, in which it holds the folder."""
    path = shared / f"raycache-{os.getuid()}-a"
    path.mkdir(mode=0o700)
    held = os.open(path / "owner", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    waiting.due, waiting.let_go = HELD_S - 1, lambda: os.close(held)
    folder = Folder("a", 0, os.getpid())

    assert json.loads((folder.path / "owner").read_text())["pid"] == os.getpid()
    folder.remove()


@pytest.fixture
def left(shared):
    """Makes folders that nobody uses, in this order."""

    def make(*names):
        for at, name in enumerate(names, 1):
            path = shared / f"raycache-{os.getuid()}-{name}"
            path.mkdir(mode=0o700)
            (path / "owner").write_text(json.dumps({"pid": os.getpid(), "started": memory._started(os.getpid())}))
            os.utime(path / "owner", (at, at))

    return make


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "c-n.0-ab"),
        (["c-n.0-ab"], "c-n.0-ab"),
        (["c-n.0-ab", "c-n.0-ab-12", "c-n.0-ab-07"], "c-n.0-ab-07"),
        (["c-n.0-ab-12", "c-n.0-ab"], "c-n.0-ab"),
        (["c-n.0-ab-12", "c-n.0-cd", "c-n.0-abc", "c-n.1-ab"], "c-n.0-ab-12"),
    ],
)
def test_a_process_finds_the_folder_that_the_one_before_it_took_last(left, names, expected):
    left(*names)

    assert last_used("c-n.0-ab") == expected


def test_a_folder_without_an_owner_is_older_than_all_others(left, shared):
    left("a-1")
    (shared / f"raycache-{os.getuid()}-a-2").mkdir()

    assert last_used("a") == "a-1"


def test_the_sweep_of_a_shards_folders_spares_the_one_that_is_named_and_those_of_others(left, shared):
    """Though the session lives: who asks knows that no other process uses them."""
    left("c-n.1-aa", "c-n.1-ab", "c-n.1-ab-12", "c-n.10-aa", "d-n.1-aa")
    swept = sweep(ended="c-n.1-", sparing="c-n.1-ab")

    assert {path.name.partition("-c-")[2] for path in swept} == {"n.1-aa", "n.1-ab-12"}
    assert len(list(shared.iterdir())) == 3


Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def small_shared_memory(shared, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(64 << 20, 60 << 20, 4 << 20))
    return shared


def test_where_shared_memory_is_too_small_the_folder_is_on_disk(small_shared_memory, tmp_path):
    folder = Folder("a", 8 << 20, os.getpid())

    assert folder.path.parent == tmp_path / "tmp"
    folder.remove()


def test_a_cache_on_disk_says_so_once_with_the_remedy(small_shared_memory, inline):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        cache = inline(shards=2, capacity="8 MiB")
    messages = [str(each.message) for each in told if each.category is RuntimeWarning]

    assert len(messages) == 1
    assert "has only 4,194,304 bytes free" in messages[0]
    assert "--shm-size" in messages[0]
    group = cache.group("g", str.upper)
    assert (group.get("a"), group.get("a")) == ("A", "A")


def test_a_cache_in_shared_memory_says_nothing(inline):
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert inline().shards()[0].folder.startswith("/dev/shm/")
