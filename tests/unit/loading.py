"""Runs a getter as a loader does it, and reads the outcome."""

from __future__ import annotations

from fake_clock import FakeClock

from raycache.core import keys
from raycache.core.codec import Codec, decode
from raycache.core.getters import run
from raycache.core.messages import GroupSpec, group_prefix
from raycache.options import GroupOptions


def load(getter, *names, batch=False, clock=None, **options):
    """The outcome by name, and the large values."""
    spec = GroupSpec(1, "group", GroupOptions(capacity_bytes=1000, **options), getter=b"", batch=batch)
    full = [group_prefix(1) + keys.encode(name) for name in names]
    outcome, large = run(getter, spec, full, Codec(), clock or FakeClock())
    return {keys.decode(key[4:]): result for key, result in outcome.items()}, large


def values(outcome):
    return {name: decode(result.tag, (result.data,)) for name, result in outcome.items()}
