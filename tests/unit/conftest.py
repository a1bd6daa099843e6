"""Unit tests: no Ray, nothing left behind, and books that are right at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import accounts
import pytest
from fake_clock import FakeClock
from gates import Gate

import raycache
from raycache.core import memory

PATIENCE_S = 30.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A unit test that takes longer than this waits for something that will not come."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(60))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No folder in shared memory and no thread of the cache outlives a test."""
    folders, threads = _folders(), set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - threads:
        if thread.name.startswith("raycache"):
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), f"{thread.name} goes on after the test"

    assert _folders() <= folders


def _folders() -> set[Path]:
    """Folders of this process: other programs of the user may use raycache at the same time."""
    return {folder for folder in Path("/dev/shm").glob(f"raycache-{os.getuid()}-*") if _owner(folder) == os.getpid()}


def _owner(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / "owner").read_text())["pid"])
    except (OSError, ValueError):
        return None


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ray cannot be imported; where other tests of the run have imported it, it cannot be started."""
    ray = sys.modules.get("ray")
    if ray is None:
        monkeypatch.setitem(sys.modules, "ray", None)  # an import raises
        yield
        assert sys.modules["ray"] is None
    else:
        monkeypatch.setattr(ray, "init", _refuse)
        running = ray.is_initialized()
        yield
        assert ray.is_initialized() == running


def _refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("a unit test may not start Ray")


@pytest.fixture
def inline(clock: FakeClock) -> Iterator[Callable[..., raycache.Cache]]:
    """Makes inline caches, whose books are checked at the end. They run by the test's clock unless told otherwise."""
    threads = set(threading.enumerate())
    caches: list[raycache.Cache] = []

    def connect(
        shards: int = 1, capacity: int | str = "8 MiB", clock: Callable[[], float] = clock, **options: Any
    ) -> raycache.Cache:
        caches.append(
            raycache.connect(address="inline", capacity=capacity, shards_per_node=shards, clock=clock, **options)
        )
        return caches[-1]

    yield connect
    try:
        accounts.loads_end(threads)
        for cache in caches:
            if not cache.closed:
                accounts.check(cache)
    finally:
        for cache in caches:
            cache.destroy()


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of /dev/shm; what else uses that must not be swept by a test."""
    root = tmp_path / "shm"
    root.mkdir()
    monkeypatch.setattr(memory, "SHARED_MEMORY", root)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return root


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 4 MiB; only root may make one."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", tmp_path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no right to mount; what can be is also tested with a small map, and with pages that fail")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.fixture
def getter() -> Getter:
    return Getter()


class Getter:
    """A source of values: what `values` has, else text made of the key. Remembers every call."""

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}
        self.gates: dict[Any, Gate] = {}
        self.calls: list[Any] = []

    def __call__(self, key: Any) -> Any:
        self.calls.append(key)
        value = self.values.get(key, f"value of {key!r}")
        if key in self.gates:
            self.gates[key].passing()
        if isinstance(value, BaseException):
            raise value
        return value


@pytest.fixture
def python() -> Callable[..., str]:
    """Runs a program, or the file of one, in another process and gives what it prints; fails if it does."""

    def run(program: str | Path, *arguments: Any, **environment: str) -> str:
        command = [program] if isinstance(program, Path) else ["-c", program]
        done = subprocess.run(
            [sys.executable, *command, *map(str, arguments)],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
