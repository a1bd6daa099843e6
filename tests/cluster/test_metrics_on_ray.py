"""What the Prometheus endpoint of a node that Ray has shows of a cache."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import Program
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from waiting import until

from raycache.core.metrics import GROUPS, SHARDS

#: A Ray with the agent that the tests' own has not.
CACHE = """
    import ray
    import raycache
    from raycache.cluster.local import local_ray

    with local_ray(1):
        cache = raycache.connect("metered", capacity="32 MiB")
        users = cache.group("users", str.upper)
        for _ in range(3):
            users.get("alice")
        users.get("bob")
        users.set("carol", "CAROL")
        cache.stats()  # what this process did has been told
        (node,) = ray.nodes()
        print(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics", flush=True)
        input()
"""


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Where a node is scraped that has a cache."""
    agent = Path(__file__).parent / "metrics_agent"
    path = os.pathsep.join([os.fspath(agent), os.fspath(agent.parent), os.environ.get("PYTHONPATH", "")])
    with Program(CACHE, PYTHONPATH=path, RAY_metrics_report_interval_ms="1000") as program:
        yield program.line()
        program.tell()
        program.end()


def scraped(endpoint: str) -> dict[str, list[Sample]]:
    """The samples of ours, by name; none while nobody listens there."""
    try:
        with urllib.request.urlopen(endpoint, timeout=5.0) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("ray_raycache_"):
                found.setdefault(sample.name.removeprefix("ray_"), []).append(sample)
    return found


def test_rays_own_endpoint_shows_what_a_cache_did(endpoint: str) -> None:
    """Under the names of the table, once, and with labels that say whose it is."""
    found = until(lambda: (seen := scraped(endpoint)).get("raycache_gets_total") and seen, "Ray shows the gets")
    gets = found["raycache_gets_total"]
    (entries,) = found["raycache_group_entries"]

    assert {sample.labels["tier"]: sample.value for sample in gets} == {"load": 2, "near": 2}
    assert all(sample.labels["cache"] == "metered" and sample.labels["group"] == "users" for sample in gets)
    assert len({sample.labels["shard"] for sample in (entries, *gets)}) == 1
    assert entries.value == 3
    assert found.keys() <= {metric.name for metric in (*GROUPS, *SHARDS)}
    assert found.keys() >= {metric.name for metric in SHARDS if metric.kind == "gauge"}
