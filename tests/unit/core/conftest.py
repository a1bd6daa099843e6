"""What tests of core rooms share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_clock import FakeClock
from scripted_network import ScriptedNetwork
from shard_bench import ShardBench

from raycache.core.members import Members
from raycache.core.pages import Pages
from raycache.core.store import Store, entry_bytes


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    pages = Pages.create(tmp_path, 8 << 20)
    yield pages
    pages.close()


@pytest.fixture
def store(pages: Pages) -> Store:
    return Store(1000, pages)


@pytest.fixture
def members(network: ScriptedNetwork) -> Members:
    """Of a process that has seen the first view of the module's network."""
    return network.members()


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[ShardBench]:
    """A shard alone, with the module's options, whose books are right at the end."""
    bench = ShardBench(tmp_path, clock, **getattr(request.module, "BENCH_OPTIONS", {}))
    yield bench
    info = bench.info()
    stored = [(key, bench.pages.get(key)) for key in bench.pages.scan(b"")]
    bench.close()

    assert info.entries == len(stored)
    assert info.bytes == sum(entry_bytes(key, record) for key, record in stored)
