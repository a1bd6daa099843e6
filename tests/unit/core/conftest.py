"""What tests of core rooms share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_clock import FakeClock
from shard_bench import ShardBench

from raycache.core.store import entry_bytes


@pytest.fixture
def small_file_system(tmp_path):
    """A tmpfs of 4 MiB; only root may make one."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", tmp_path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no right to mount; what can be is also tested with a small map")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.fixture
def bench(tmp_path: Path, clock: FakeClock) -> Iterator[ShardBench]:
    """A shard alone, whose books are right at the end."""
    bench = ShardBench(tmp_path, clock)
    yield bench
    info = bench.info()
    stored = [(key, bench.pages.get(key)) for key in bench.pages.scan(b"")]
    bench.close()

    assert info.entries == len(stored)
    assert info.bytes == sum(entry_bytes(key, record) for key, record in stored)
