"""How a memoized function is shown."""

from __future__ import annotations

from collections.abc import Iterator

from raycache.core.stats import Stats
from raycache.memo.binding import Binding
from raycache.memo.identity import Identity
from raycache.memo.options import MemoOptions
from raycache.panel import Panel
from raycache.report import MEMO_PREFIX, saved_facts
from raycache.units import size_text, time_text

_WHERE = {
    "task": "in a task of the cluster, once per key",
    "caller": "in the calling process, once per key in the cluster",
}


def memoized_panel(identity: Identity, binding: Binding | None) -> Panel:
    """What the cache has done for it, if it is bound to one. Waits for the cluster half a second at most."""
    options = identity.options
    title = f"memoized {identity.name}{identity.signature}"
    facts = [("computed", _WHERE[options.where]), *_options(options)]
    if binding is None or not binding.up:
        return Panel(title, tuple(facts), ("not connected: that happens with the next call",))
    seen = binding.cache.report().seen
    if seen.value is not None:
        facts += saved_facts(seen.value.get(MEMO_PREFIX + identity.name, Stats()))
    return Panel(title, tuple(facts), seen.remarks(), as_of=seen.as_of())


def _options(options: MemoOptions) -> Iterator[tuple[str, str]]:
    """What was asked for when it was memoized."""
    if options.ttl_s is not None:
        yield "ttl", time_text(options.ttl_s)
    if options.capacity_bytes is not None:
        yield "capacity", f"{size_text(options.capacity_bytes)} per shard"
        yield "policy", options.policy
    if options.ignore:
        yield "ignored", ", ".join(options.ignore)
    if options.version is not None:
        yield "version", options.version
    if options.batch is not None:
        yield "batch", f"each item of {options.batch!r} by itself, {options.batch_size:,} in a call"
