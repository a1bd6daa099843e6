"""The cases, in the order in which they run: a function each, from a `Setting` to the measurements it made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.cases import batch, cold, fingerprint, growth, large, mapping, memoize, near, pages, startup
from benchmarks.harness import Measurement
from benchmarks.setting import Setting

CASES: dict[str, Callable[[Setting], Iterator[Measurement]]] = {
    "near": near.run,
    "pages": pages.run,
    "batch": batch.run,
    "cold": cold.run,
    "large": large.run,
    "growth": growth.run,
    "memoize": memoize.run,
    "fingerprint": fingerprint.run,
    "map": mapping.run,
    "startup": startup.run,
}
