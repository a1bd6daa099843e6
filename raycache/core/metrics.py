"""The table of metrics: what operators see of the groups and shards of a cache, under names as Prometheus wants them.

Every figure is taken from `Stats` or `ShardInfo`; whoever exports a metric adds the labels that say whose it is
(`OF_GROUP`, `OF_SHARD`). Counters end in `_total`, and only grow while shards live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, Literal, TypeVar

from raycache.core.messages import ShardInfo
from raycache.core.stats import Stats

T = TypeVar("T")
Counted = TypeVar("Counted", Stats, int)
Kind = Literal["counter", "gauge", "histogram"]
Figure = Callable[[T], float]
#: The values of a metric's own labels, and the figure.
Sample = tuple[tuple[str, ...], float]

OF_GROUP, OF_SHARD = ("cache", "group"), ("cache", "shard", "node")
#: So many groups are label values of their own, as every one is some thirty series; the rest are one.
MOST_GROUPS, OTHER_GROUPS = 100, "(other)"


@dataclass(frozen=True)
class Described:
    """A metric: its name in full, what it means, and its own labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """As the name's ending says."""
        if self.name.endswith("_total"):
            return "counter"
        return "histogram" if self.name.endswith("_duration_seconds") else "gauge"


@dataclass(frozen=True)
class Metric(Described, Generic[T]):
    """One whose figures are taken from a `Stats`, a `ShardInfo`, or what else there is to tell of."""

    samples: Callable[[T], Iterable[Sample]] = lambda _: ()


def single(name: str, help: str, figure: Figure[T]) -> Metric[T]:
    """A metric of one figure."""
    return Metric(name, help, (), lambda of: (((), figure(of)),))


def parted(name: str, help: str, label: str, figures: Mapping[str, Figure[T]]) -> Metric[T]:
    """A metric whose parts add up, by the values of its label."""
    return Metric(name, help, (label,), lambda of: (((value,), figure(of)) for value, figure in figures.items()))


_TIERS = {
    "near": "near_hits",
    "page": "page_hits",
    "shard": "shard_hits",
    "load": "loads_started",
    "join": "loads_joined",
    "caller": "unavailable",
    "none": "misses",
}

#: Of each group, over all client processes.
GROUPS: tuple[Metric[Stats], ...] = (
    parted(
        "raycache_gets_total",
        "Keys asked for, by what answered: near (the calling process), page (shared memory of its node), shard, load "
        "(started by this get), join (a load that was there), caller (no shard: computed there), none (no getter).",
        "tier",
        {tier: attrgetter(field) for tier, field in _TIERS.items()},
    ),
    single(
        "raycache_hot_hits_total",
        "Page hits that were read from copies of what shards of other nodes own.",
        attrgetter("hot_hits"),
    ),
    parted(
        "raycache_loads_total",
        "Keys that getters were run for to an end, by what came: value, error, or not_found.",
        "outcome",
        {
            "value": lambda stats: stats.loads - stats.loads_failed - stats.not_found,
            "error": attrgetter("loads_failed"),
            "not_found": attrgetter("not_found"),
        },
    ),
    single("raycache_load_seconds_total", "Seconds spent in getters.", attrgetter("load_seconds")),
    single("raycache_load_timeouts_total", "Loader tasks that were ended as too slow.", attrgetter("load_timeouts")),
    single("raycache_loader_deaths_total", "Loader processes that died.", attrgetter("loader_deaths")),
    parted(
        "raycache_unstored_total",
        "Loaded values that were delivered and not kept, by why: too_large for the group, or no_room in shared memory.",
        "reason",
        {"too_large": attrgetter("too_large"), "no_room": attrgetter("unstored")},
    ),
    single("raycache_sets_total", "Values stored by set.", attrgetter("sets")),
    single("raycache_removals_total", "Entries removed by remove, clear, or a NotFound.", attrgetter("removals")),
    single("raycache_evictions_total", "Entries that went to make room.", attrgetter("evictions")),
    single("raycache_expirations_total", "Entries that went when their time was over.", attrgetter("expirations")),
    single("raycache_saved_seconds_total", "Seconds of getters that hits have saved.", attrgetter("seconds_saved")),
    single("raycache_saved_bytes_total", "Bytes of encoded values that hits returned.", attrgetter("bytes_saved")),
    single(
        "raycache_group_loads_in_flight",
        "Keys that are being loaded or computed now, or wait for a loader.",
        attrgetter("loads_in_flight"),
    ),
    single("raycache_group_entries", "Entries of the group.", attrgetter("entries")),
    single("raycache_group_bytes", "Bytes of the group's entries: keys, records, large values.", attrgetter("bytes")),
)

#: Of each shard that answers.
SHARDS: tuple[Metric[ShardInfo], ...] = (
    single("raycache_shard_entries", "Entries of the shard.", attrgetter("entries")),
    single("raycache_shard_bytes", "Bytes of its entries.", attrgetter("bytes")),
    single("raycache_shard_capacity_bytes", "Bytes that entries and copies may take.", attrgetter("capacity_bytes")),
    single("raycache_shard_copies", "Copies of hot keys that shards of other nodes own.", attrgetter("copies")),
    single("raycache_shard_copies_bytes", "Bytes of these copies.", attrgetter("copies_bytes")),
    single("raycache_shard_loads", "Loader tasks that run now.", attrgetter("loads")),
    single("raycache_shard_weight", "Its share of the keys: 1 is the usual one, 0 none.", attrgetter("weight")),
    single("raycache_shard_lease_seconds", "Seconds that it may serve without a renewal.", attrgetter("lease_s")),
    single("raycache_shard_epoch", "The newest ring that it knows; all shards have the same.", attrgetter("epoch")),
    single("raycache_shard_handing_over", "1 while it hands entries over to new owners.", attrgetter("handing")),
    single(
        "raycache_shard_recovered_entries",
        "Entries of the process before that it found whole when it was restarted.",
        attrgetter("recovered"),
    ),
    single(
        "raycache_shard_dropped_records_total",
        "Records that were torn or of no known group when they were found or handed over.",
        attrgetter("dropped"),
    ),
    single("raycache_shard_served_records_total", "Records given to other nodes' processes.", attrgetter("served")),
)


class GroupLabels:
    """Which groups are label values of their own: the first so many that were seen."""

    def __init__(self, most: int = MOST_GROUPS) -> None:
        self._most, self._named = most, set[str]()

    def folded(self, groups: Mapping[str, Counted], nothing: Counted) -> dict[str, Counted]:
        """The counters by label value, those of groups that have none added up, from nothing on."""
        folded: dict[str, Counted] = {}
        for name, counted in groups.items():
            label = self._label(name)
            folded[label] = folded.get(label, nothing) + counted
        return folded

    def _label(self, name: str) -> str:
        """Text that UTF-8 has: one lone surrogate, as names of files may have them, would end all of a scrape."""
        if len(self._named) < self._most:
            self._named.add(name)
        return name.encode("utf-8", "backslashreplace").decode() if name in self._named else OTHER_GROUPS
