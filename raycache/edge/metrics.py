"""The gateway's `/metrics`: the table of metrics in Prometheus' formats, with the gateway's own requests beside it.

A scrape takes the figures of the cache as they are; `Requests` is all that a request pays for it. Where the cache does
not answer, a scrape goes without its figures, and gives the gateway's own.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from raycache.core.messages import ShardInfo
from raycache.core.metrics import (
    GROUPS,
    OF_GROUP,
    OF_SHARD,
    SHARDS,
    Described,
    GroupLabels,
    Metric,
    Sample,
    T,
    parted,
    single,
)
from raycache.core.stats import Stats
from raycache.errors import RaycacheError

#: How long a scrape waits for the cache; Prometheus itself gives up after ten seconds by default.
SCRAPE_S = 5.0
#: Upper bounds of the histogram's buckets, in seconds: a near hit is a fraction of a millisecond, a load what it is.
BUCKETS_S = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Requests:
    """What a gateway was asked, by protocol and status. For one event loop: nothing here takes a lock.

    Protocols are "groupcache", "rest", "grpc"; the status is that of HTTP ("200") or the name of gRPC's ("OK").
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.in_flight = 0
        #: Requests of programs of the family, in either of its protocols, by the group that they found.
        self.of_peers: Counter[str] = Counter()
        self._buckets: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (len(BUCKETS_S) + 1))
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def began(self) -> float:
        """A request has come; what `ended` is to be given."""
        self.in_flight += 1
        return self._clock()

    def ended(self, began: float, protocol: str, status: str) -> None:
        """It has its answer, or nobody waits for one any more."""
        self.in_flight -= 1
        seconds = self._clock() - began
        self._buckets[protocol, status][bisect_left(BUCKETS_S, seconds)] += 1
        self._seconds[protocol, status] += seconds

    def counts(self) -> Iterator[Sample]:
        """How many there were by protocol and status."""
        for of, buckets in self._buckets.items():
            yield of, sum(buckets)

    def durations(self) -> Iterator[tuple[tuple[str, str], list[tuple[str, int]], float]]:
        """By protocol and status: how many took no longer than each bound, and the seconds of all."""
        for of, buckets in self._buckets.items():
            upto = [(str(bound), sum(buckets[: number + 1])) for number, bound in enumerate(BUCKETS_S)]
            yield of, [*upto, ("+Inf", sum(buckets))], self._seconds[of]


def _first_loads(stats: Stats) -> float:
    return stats.loads_started + stats.unavailable


#: Of each group, under the names that the family's exporters have.
ALIASES: tuple[Metric[Stats], ...] = (
    single("groupcache_gets_total", "Gets: all tiers of raycache_gets_total.", lambda stats: stats.gets),
    single("groupcache_hits_total", "Gets that the cache had: near, page and shard.", lambda stats: stats.hits),
    parted(
        "groupcache_cache_hits_total",
        "The same by cache: hot is a copy of what another owns (near, hot copies), main is its owner's (page, shard).",
        "type",
        {
            "main": lambda stats: stats.page_hits - stats.hot_hits + stats.shard_hits,
            "hot": lambda stats: stats.near_hits + stats.hot_hits,
        },
    ),
    single("groupcache_loads_total", "Gets that were no hits.", lambda stats: stats.gets - stats.hits),
    single("groupcache_loads_deduped_total", "Of these, those that started a load: load and caller.", _first_loads),
    single(
        "groupcache_local_loads_total",
        "Loads that gave a value.",
        lambda stats: stats.loads - stats.loads_failed - stats.not_found,
    ),
    single(
        "groupcache_local_load_errs_total",
        "Loads that gave an error; not found is one, as in the family.",
        lambda stats: stats.loads_failed + stats.not_found,
    ),
    single("groupcache_peer_loads_total", "Gets that a shard answered from what it had.", lambda s: s.shard_hits),
    single("groupcache_peer_errors_total", "Gets for which no shard could be reached.", lambda s: s.unavailable),
    parted("groupcache_cache_items", "Entries.", "type", {"main": lambda stats: stats.entries}),
    parted("groupcache_cache_bytes", "Bytes of the entries.", "type", {"main": lambda stats: stats.bytes}),
    parted(
        "groupcache_cache_evictions_total",
        "Entries that were evicted or have expired.",
        "type",
        {"main": lambda stats: stats.evictions + stats.expirations},
    ),
    parted(
        "groupcache_cache_evictions_nonexpired_total",
        "Entries that were evicted.",
        "type",
        {"main": lambda stats: stats.evictions},
    ),
)

SHARD_UP: Metric[ShardInfo] = single("raycache_shard_up", "1 if the shard answers.", lambda shard: shard.reachable)
CACHE_UP: Metric[bool] = single("raycache_up", "1 if all shards gave their figures within 5 s.", float)
DURATIONS = Described(
    "raycache_gateway_request_duration_seconds", "How long requests took to answer.", ("protocol", "status")
)
#: Of the gateway itself.
GATEWAY: tuple[Metric[Requests], ...] = (
    Metric(
        "raycache_gateway_requests_total",
        "Requests that were answered, by protocol (groupcache, rest, grpc) and status.",
        ("protocol", "status"),
        Requests.counts,
    ),
    single("raycache_gateway_requests_in_flight", "Requests that are being answered.", lambda own: own.in_flight),
)
PEERS: Metric[int] = single("groupcache_server_requests_total", "Requests in the protocols of the family.", float)


class Figures(Protocol):
    """Whom the figures are asked of; `Served` is one."""

    @property
    def cache(self) -> Any: ...

    async def stats(self) -> dict[str, Stats]: ...

    async def shards(self) -> list[ShardInfo]: ...


class Scrape:
    """What one scrape gives; a collector for `prometheus_client`."""

    def __init__(
        self,
        cache: str,
        groups: Mapping[str, Stats],
        shards: list[ShardInfo],
        up: bool,
        own: Requests,
        of_peers: Mapping[str, int],
    ) -> None:
        self._cache, self._groups, self._shards, self._up = cache, groups, shards, up
        self._own, self._of_peers = own, of_peers

    def collect(self) -> Iterator[Family]:
        """The metrics, as `prometheus_client` wants them."""
        groups = [((self._cache, name), stats) for name, stats in self._groups.items()]
        shards = [((self._cache, shard.id, shard.address), shard) for shard in self._shards]
        answering = [(labels, shard) for labels, shard in shards if shard.reachable]
        yield _family(CACHE_UP, ("cache",), [((self._cache,), self._up)])
        yield _family(SHARD_UP, OF_SHARD, shards)
        yield from (_family(metric, OF_SHARD, answering) for metric in SHARDS)
        yield from (_family(metric, OF_GROUP, groups) for metric in (*GROUPS, *ALIASES))
        yield _family(PEERS, OF_GROUP, [((self._cache, name), count) for name, count in self._of_peers.items()])
        yield from (_family(metric, (), [((), self._own)]) for metric in GATEWAY)
        durations = HistogramMetricFamily(DURATIONS.name, DURATIONS.help, labels=DURATIONS.labels)
        for labels, buckets, seconds in self._own.durations():
            durations.add_metric(labels, buckets, seconds)
        yield durations


def _family(metric: Metric[T], labels: tuple[str, ...], of: Iterable[tuple[tuple[str, ...], T]]) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=(*labels, *metric.labels))
    for values, each in of:
        for own, figure in metric.samples(each):
            family.add_metric((*values, *own), figure)
    return family


def routes(served: Figures, requests: Requests) -> list[Route]:
    """`/metrics`, in the text format of Prometheus or that of OpenMetrics, as the Accept header asks."""
    labels, process = GroupLabels(), ProcessCollector(registry=None)

    async def metrics(request: Request) -> Response:
        groups, shards = await asyncio.gather(_asked(served.stats), _asked(served.shards))
        up = groups is not None and shards is not None and all(shard.reachable for shard in shards)
        known = groups or {}
        of_peers = labels.folded(dict.fromkeys(known, 0) | requests.of_peers, 0)
        names = request.query_params.getlist("name[]")
        registry = CollectorRegistry(auto_describe=bool(names))
        registry.register(process)
        registry.register(
            Scrape(served.cache.name, labels.folded(known, Stats()), shards or [], up, requests, of_peers)
        )
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        asked = registry.restricted_registry(names) if names else registry
        return Response(encode(asked), media_type=media_type)

    return [Route("/metrics", metrics, methods=["GET"])]


async def _asked(question: Callable[[], Any]) -> Any | None:
    """The answer; None where the cache gives none in time."""
    try:
        return await asyncio.wait_for(question(), SCRAPE_S)
    except (RaycacheError, asyncio.TimeoutError):
        return None
