"""The cases, in the order in which they run: modules with goals, and a function from a `Setting` to measurements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from benchmarks.cases import (
    batch,
    cold,
    fingerprint,
    gateway,
    growth,
    handover,
    herd,
    hit_ratio,
    large,
    mapping,
    memoize,
    near,
    pages,
    pipeline,
    remote,
    scaling,
    startup,
    zipf,
)
from benchmarks.harness import Goal, Measurement
from benchmarks.setting import Setting


class Case(Protocol):
    """What a module here has."""

    @property
    def GOALS(self) -> tuple[Goal, ...]:
        """Those of section 8 of docs/design.md."""
        ...

    def run(self, setting: Setting) -> Iterator[Measurement]: ...


CASES: dict[str, Case] = {
    "near": near,
    "pages": pages,
    "remote": remote,
    "batch": batch,
    "large": large,
    "memoize": memoize,
    "cold": cold,
    "hit-ratio": hit_ratio,
    "growth": growth,
    "zipf": zipf,
    "herd": herd,
    "pipeline": pipeline,
    "map": mapping,
    "fingerprint": fingerprint,
    "scaling": scaling,
    "handover": handover,
    "gateway": gateway,
    "startup": startup,
}
