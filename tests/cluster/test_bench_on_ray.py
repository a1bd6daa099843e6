"""What `raycache bench` measures, on a real Ray, in as few rounds as there can be."""

from __future__ import annotations

from collections.abc import Callable

import raycache
from raycache.edge import bench


def test_every_operation_is_measured_as_what_it_is(make_cache: Callable[..., raycache.Cache], monkeypatch) -> None:
    """Near hits, page hits, loads: the functions check that themselves, and the herd's key was loaded once."""
    monkeypatch.setattr(bench, "HERD_PROCESSES", 2)
    cache = make_cache(capacity="64 MiB")
    samples = bench.measure(cache, share=0.001)

    assert all(samples.values())
    assert samples.keys() >= {bench.NEAR, bench.PAGE, bench.MANY, bench.COLD, bench.TASK, bench.COLD_MANY, bench.TASKS}
    assert cache.stats_by_group()["herd"].loads == 2, "two rounds, the warm-up included"
