"""The gateway's `/metrics`: what a scrape gives, read as Prometheus reads it, and the documents about it."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client import parser
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from starlette.applications import Starlette

import raycache
from raycache.core.messages import ShardInfo
from raycache.core.metrics import GROUPS, MOST_GROUPS, OF_GROUP, OF_SHARD, OTHER_GROUPS, SHARDS
from raycache.core.stats import Stats
from raycache.edge import metrics
from raycache.edge.gateway.app import application
from raycache.edge.metrics import ALIASES, BUCKETS_S, CACHE_UP, DURATIONS, GATEWAY, PEERS, SHARD_UP, Requests, routes
from raycache.errors import CacheUnavailable

DOCS = Path(__file__).parents[2] / "docs"
TABLES = {
    ("cache",): (CACHE_UP,),
    OF_GROUP: (*GROUPS, *ALIASES, PEERS),
    OF_SHARD: (*SHARDS, SHARD_UP),
    (): (*GATEWAY, DURATIONS),
}
ALL = [(metric, (*labels, *metric.labels)) for labels, table in TABLES.items() for metric in table]
#: As they are in samples: of a histogram there are three.
NAMES = {metric.name for metric, _ in ALL} | {f"{DURATIONS.name}_{part}" for part in ("bucket", "sum", "count")}

STATS = Stats(near_hits=4, page_hits=3, hot_hits=1, shard_hits=2, loads_started=5, loads_joined=6, unavailable=7)
STATS += Stats(misses=8, loads=12, loads_failed=2, not_found=3, evictions=9, expirations=1, entries=10, bytes=11)
SHARD = ShardInfo(id="n.0", node="n", pid=1, address="10.0.0.1", folder="/f", weight=1.0, capacity_bytes=8, entries=10)


class FakeServed:
    """A cache that gives these figures, or none."""

    def __init__(self, groups: dict[str, Stats], shards: list[ShardInfo], trouble: Exception | None = None) -> None:
        self.cache = SimpleNamespace(name="c")
        self._groups, self._shards, self._trouble = groups, shards, trouble

    async def stats(self) -> dict[str, Stats]:
        if self._trouble is not None:
            raise self._trouble
        return self._groups

    async def shards(self) -> list[ShardInfo]:
        return self._shards


def scrape(served: Any, requests: Requests | None = None, query: str = "", **headers: str) -> httpx.Response:
    """The answer to a scrape."""
    app = Starlette(routes=routes(served, requests or Requests()))

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway") as client:
            return await client.get(f"/metrics{query}", headers=headers)

    return asyncio.run(get())


def families(served: Any, requests: Requests | None = None) -> dict[str, Any]:
    """What a scrape gives, by name."""
    found = list(parser.text_string_to_metric_families(scrape(served, requests).text))

    assert len(found) == len({each.name for each in found}), "a metric is given twice"
    return {each.name: each for each in found}


def value(found: dict[str, Any], name: str, **labels: str) -> float | None:
    """The value of a sample."""
    samples = [each for family in found.values() for each in family.samples if each.name == name]
    return next((each.value for each in samples if each.labels == labels), None)


@pytest.fixture
def served() -> FakeServed:
    return FakeServed({"users": STATS}, [SHARD, replace(SHARD, id="m.0", reachable=False)])


def test_a_scrape_gives_all_metrics_of_the_table_with_their_kinds_and_labels(served):
    """And beside them nothing but what is known of the process."""
    requests = Requests()
    requests.ended(requests.began(), "rest", "200")
    found = families(served, requests)
    ours = {name: each for name, each in found.items() if not name.startswith("process_")}

    assert set(ours) == {metric.name.removesuffix("_total") for metric, _ in ALL}
    for metric, labels in ALL:
        family = ours[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert all(set(sample.labels) - {"le"} == set(labels) for sample in family.samples)


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("raycache_gets_total", {"tier": "near"}, 4),
        ("raycache_gets_total", {"tier": "caller"}, 7),
        ("raycache_loads_total", {"outcome": "value"}, 7),
        ("raycache_group_bytes", {}, 11),
        ("groupcache_gets_total", {}, 35),
        ("groupcache_hits_total", {}, 9),
        ("groupcache_cache_hits_total", {"type": "main"}, 4),
        ("groupcache_cache_hits_total", {"type": "hot"}, 5),
        ("groupcache_loads_total", {}, 26),
        ("groupcache_loads_deduped_total", {}, 12),
        ("groupcache_local_loads_total", {}, 7),
        ("groupcache_local_load_errs_total", {}, 5),
        ("groupcache_peer_loads_total", {}, 2),
        ("groupcache_peer_errors_total", {}, 7),
        ("groupcache_cache_items", {"type": "main"}, 10),
        ("groupcache_cache_bytes", {"type": "main"}, 11),
        ("groupcache_cache_evictions_total", {"type": "main"}, 10),
        ("groupcache_cache_evictions_nonexpired_total", {"type": "main"}, 9),
    ],
)
def test_figures_of_a_group(served, name, labels, expected):
    """Ours, and what the family's names are made of."""
    assert value(families(served), name, cache="c", group="users", **labels) == expected


def test_a_shard_that_does_not_answer_is_down_and_has_no_other_figures(served):
    """Nulls would look like an empty shard."""
    found = families(served)

    assert value(found, "raycache_shard_entries", cache="c", shard="n.0", node="10.0.0.1") == 10
    assert value(found, "raycache_shard_entries", cache="c", shard="m.0", node="10.0.0.1") is None
    assert value(found, "raycache_shard_up", cache="c", shard="n.0", node="10.0.0.1") == 1
    assert value(found, "raycache_shard_up", cache="c", shard="m.0", node="10.0.0.1") == 0
    assert value(found, "raycache_up", cache="c") == 0


def test_a_cache_is_up_when_all_shards_answer():
    """What an alert is made of."""
    assert value(families(FakeServed({}, [SHARD])), "raycache_up", cache="c") == 1


def test_a_cache_that_is_away_costs_a_scrape_only_its_figures():
    """The gateway's own are what tells of the trouble."""
    requests = Requests()
    requests.ended(requests.began(), "rest", "503")
    found = families(FakeServed({}, [SHARD], CacheUnavailable("gone")), requests)

    assert value(found, "raycache_up", cache="c") == 0
    assert value(found, "raycache_gateway_requests_total", protocol="rest", status="503") == 1


def test_a_cache_that_hangs_does_not_hold_up_a_scrape(served, monkeypatch):
    """Prometheus would see nothing at all."""
    monkeypatch.setattr(metrics, "SCRAPE_S", 0.01)
    served.stats = asyncio.Event().wait

    assert value(families(served), "raycache_up", cache="c") == 0


def test_requests_are_counted_by_protocol_and_status_and_timed():
    """A bucket has those that took no longer than its bound."""
    now = [0.0]
    requests = Requests(lambda: now[0])
    for took, protocol, status in [(0.0008, "rest", "200"), (0.002, "rest", "200"), (60.0, "grpc", "UNKNOWN")]:
        began = requests.began()
        now[0] += took
        requests.ended(began, protocol, status)
    requests.began()
    found = families(FakeServed({}, []), requests)
    buckets = [value(found, f"{DURATIONS.name}_bucket", protocol="rest", status="200", le=str(b)) for b in BUCKETS_S]

    assert value(found, "raycache_gateway_requests_total", protocol="rest", status="200") == 2
    assert value(found, "raycache_gateway_requests_total", protocol="grpc", status="UNKNOWN") == 1
    assert value(found, "raycache_gateway_requests_in_flight") == 1
    assert buckets[:5] == [0, 0, 1, 2, 2]
    assert buckets == sorted(buckets)
    assert value(found, f"{DURATIONS.name}_sum", protocol="rest", status="200") == pytest.approx(0.0028)
    assert value(found, f"{DURATIONS.name}_bucket", protocol="grpc", status="UNKNOWN", le="10.0") == 0
    assert value(found, f"{DURATIONS.name}_bucket", protocol="grpc", status="UNKNOWN", le="+Inf") == 1


def test_requests_of_peers_are_counted_also_while_the_cache_is_away():
    """They are the gateway's own; groups beyond the bound are told together."""
    requests = Requests()
    requests.of_peers.update(f"g{number}" for number in range(MOST_GROUPS + 2))
    found = families(FakeServed({}, [], CacheUnavailable("gone")), requests)

    assert value(found, "groupcache_server_requests_total", cache="c", group="g0") == 1
    assert value(found, "groupcache_server_requests_total", cache="c", group=OTHER_GROUPS) == 2


@pytest.mark.parametrize("openmetrics", [False, True])
def test_a_scrape_may_ask_for_some_metrics_alone(served, openmetrics):
    """As of every other client of Prometheus."""
    accept = {"accept": "application/openmetrics-text; version=1.0.0"} if openmetrics else {}
    text = scrape(served, query="?name[]=raycache_up&name[]=raycache_shard_up&name[]=nothing", **accept).text
    asked = {line.split("{")[0] for line in text.splitlines() if not line.startswith("#")}

    assert asked == {"raycache_up", "raycache_shard_up"}


def test_whoever_asks_for_openmetrics_gets_it(served):
    """Prometheus does, and browsers and curl get the text format."""
    text = scrape(served)
    strict = scrape(served, accept="application/openmetrics-text; version=1.0.0")

    assert text.headers["content-type"].startswith("text/plain; version=")
    assert strict.headers["content-type"].startswith("application/openmetrics-text")
    assert {each.name for each in openmetrics_families(strict.text)} >= {"raycache_gets", "raycache_up"}


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "new\nline", "Gruppe für Grüße", "memo:a.b", ""])
def test_names_of_groups_come_through_as_they_are(name):
    """Whatever is in them, a scrape can be read."""
    found = families(FakeServed({name: STATS}, []))

    assert value(found, "raycache_group_entries", cache="c", group=name) == 10


def test_the_application_gives_the_metrics_of_its_cache_and_of_its_requests():
    """All of it together, with a cache in this process."""
    with raycache.connect("inline", address="inline", capacity="32 MiB") as cache:
        cache.group("users", str.upper)

        async def ask(*paths: str) -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=application(cache))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return [await client.get(path) for path in paths]

        cache.group("friends", str.upper)
        user, missing = "/v1/groups/users/keys/alice", "/v1/groups/nobody/keys/alice"
        peers = ["/_groupcache/users/bob", "/_groupcache/users/", "/_groupcache/nobody/bob", "/_groupcache/users"]
        *answers, scraped = asyncio.run(ask(user, user, missing, *peers, "/metrics"))
    found = {each.name: each for each in parser.text_string_to_metric_families(scraped.text)}

    assert [each.status_code for each in answers] == [200, 200, 404, 200, 400, 404, 400]
    assert value(found, "raycache_up", cache="inline") == 1
    assert value(found, "groupcache_gets_total", cache="inline", group="users") == 3
    assert value(found, "groupcache_server_requests_total", cache="inline", group="users") == 2
    assert value(found, "groupcache_server_requests_total", cache="inline", group="friends") == 0
    assert value(found, "groupcache_server_requests_total", cache="inline", group="nobody") is None
    assert value(found, "raycache_gateway_requests_total", protocol="rest", status="200") == 2
    assert value(found, "raycache_gateway_requests_total", protocol="rest", status="404") == 1


# ------------------------------------------------------------------------------------------------ documents


def test_the_documentation_has_the_table():
    """Every metric with its kind, its labels and what it means, and none that there is not."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", (DOCS / "metrics.md").read_text(), re.M)
    expected = [
        (metric.name, metric.kind, ", ".join(f"`{label}`" for label in labels), metric.help) for metric, labels in ALL
    ]

    assert sorted(rows) == sorted(expected)


def names_in(expression: str) -> set[str]:
    """The metrics in a PromQL expression, whichever of the two endpoints it is for."""
    bare = re.sub(r'"[^"]*"', "", expression.replace("${prefix}", "raycache_"))
    return {name.removeprefix("ray_") for name in re.findall(r"\b(?:ray_)?(?:raycache|groupcache)_\w+", bare)}


def test_queries_and_alerts_of_the_documentation_are_about_metrics_that_there_are():
    """A name that is mistyped is an alert that never fires."""
    blocks = re.findall(r"^```(?:promql|yaml)\n(.*?)^```", (DOCS / "metrics.md").read_text(), re.M | re.S)
    named = set().union(*map(names_in, blocks))

    assert len(named) > 10
    assert named <= NAMES


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DOCS / "grafana.json").read_text())
    return loaded


def queries(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def test_the_dashboard_is_about_metrics_that_there_are(dashboard):
    """All of its queries, those of its variables included."""
    asked = [each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    named = [names_in(query) for query in (*queries(dashboard), *asked)]

    assert all(named)
    assert set().union(*named) <= NAMES


def test_the_dashboard_defines_the_variables_that_it_uses(dashboard):
    """Of the data source, too, so that it works wherever it is imported."""
    defined = {each["name"]: each for each in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?((?!__)\w+)", json.dumps(dashboard)))  # those with "__" are Grafana's own
    sources = [
        part["datasource"]
        for panel in dashboard["panels"]
        for part in (panel, *panel.get("targets", ()))
        if "datasource" in part
    ]

    assert used == set(defined)
    assert defined["datasource"]["type"] == "datasource"
    assert defined["datasource"]["query"] == "prometheus"
    assert sources
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


def test_the_panels_of_the_dashboard_lie_beside_each_other(dashboard):
    """Within Grafana's 24 columns, each with a title, an id of its own, and a query that is one."""
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    ids = [panel["id"] for panel in dashboard["panels"]]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len(ids) == len(set(ids))
    assert all(panel["title"] and panel["type"] for panel in dashboard["panels"])
    assert all(query.count("(") == query.count(")") for query in queries(dashboard))
    assert {"uid", "title", "schemaVersion", "time"} <= set(dashboard)
    assert dashboard["id"] is None
