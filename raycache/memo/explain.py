"""`explain`: whether a call hits, and where; or why it does not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raycache.core.messages import Explained, Known
from raycache.core.notes import Parts, differences, parts_of
from raycache.core.record import NEVER
from raycache.memo.binding import about
from raycache.memo.identity import Plan
from raycache.memo.memo import Memo
from raycache.panel import Panel
from raycache.units import size_text, time_text

_FATES = {
    "expired": "it was computed, and has expired",
    "evicted": "it was computed, and evicted to make room; a larger capacity= keeps more",
    "removed": "it was computed, and removed since (forget, cache_clear)",
    "too large": "it was computed, and is too large for the function's capacity; give it a larger capacity=",
    "failed": "it was computed, and raised {said}; exceptions are not cached",
}


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What the cache knows of one call. True if it hits."""

    call: str  # the function's name and the arguments
    hit: bool
    tier: str  # of a hit: "near" (in this process), "pages" (on this node), "shard"; of a miss ""
    computing: bool  # somebody is computing it now
    age_s: float | None  # since it was computed
    expires_in_s: float | None  # None: it does not expire, or is not there
    size: int | None  # bytes of the result
    cost_s: float | None  # seconds that it took to compute
    reasons: tuple[str, ...]  # of a miss
    key: str

    def __bool__(self) -> bool:
        return self.hit

    def _panel(self) -> Panel:
        facts: list[tuple[str, str]] = []
        if self.hit:
            facts.append(("found", _TIERS[self.tier]))
        if self.age_s is not None:
            facts.append(("computed", f"{time_text(self.age_s)} ago"))
        if self.cost_s is not None:
            facts.append(("took", time_text(self.cost_s)))
        if self.hit:
            expires = "never" if self.expires_in_s is None else f"in {time_text(self.expires_in_s)}"
            facts.append(("expires", expires))
        if self.size is not None:
            facts.append(("size", size_text(self.size)))
        if self.computing:
            facts.append(("now", "being computed"))
        return Panel(f"{'hit' if self.hit else 'miss'}: {self.call}", tuple(facts), lines=self.reasons)

    def __repr__(self) -> str:
        return self._panel().text()

    def _repr_html_(self) -> str:
        return self._panel().html()


_TIERS = {
    "near": "near: in this process",
    "pages": "pages: in shared memory of this node",
    "hot": "hot copy: in shared memory of this node, which keeps asking for it; owned by another",
    "shard": "shard: a call away, or in the object store",
}


def explain(memo: Memo, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Explanation:
    """What is known of a call. Computes nothing, and waits for the shards once."""
    plan, binding = memo.plan(args, kwargs), memo.binding()
    (key,) = plan.order
    tier = binding.reader.tier(key)
    answers: list[Explained] = binding.group.drive(binding.explain(plan, key))
    entry, now = next(((each.entry, each.now) for each in answers if each.entry is not None), (None, time.monotonic()))
    there = entry is not None and not entry.fate
    hit = there or tier is not None
    shown = {name: text for name, (_, text) in memo.identity.arguments.parts(args, kwargs).items()}
    call = f"{memo.function.__name__}({', '.join(f'{name}={text}' for name, text in shown.items())})"
    return Explanation(
        call=call,
        hit=hit,
        tier=(tier or "shard") if hit else "",
        computing=any(each.computing for each in answers),
        age_s=None if entry is None else max(now - entry.stored, 0.0),
        expires_in_s=None if entry is None or not there or entry.expires == NEVER else max(entry.expires - now, 0.0),
        size=None if entry is None or entry.fate == "failed" else entry.size,
        cost_s=None if entry is None else entry.cost_s,
        reasons=() if hit else tuple(_reasons(memo, plan, key, entry, answers)),
        key=key.hex(),
    )


def _reasons(memo: Memo, plan: Plan, key: bytes, entry: Known | None, answers: list[Explained]) -> list[str]:
    if entry is not None:
        return [_FATES[entry.fate].format(said=entry.said)]
    near = [(each.differences, each.nearest) for each in answers if each.nearest is not None]
    if not near:
        return [f"{memo.function.__name__} was never computed, with any arguments, as far as the cache remembers"]
    _, nearest = min(near, key=lambda pair: pair[0])
    code = _changes(parts_of(about(plan.code)), parts_of(nearest.about), _code_change)
    arguments = _changes(parts_of(memo.identity.note(plan.works[key])), parts_of(nearest.note), _argument_change)
    first = "never computed; the call that is most like it differs in" if not code else "changed since it was computed:"
    return [first, *code, *arguments]


def _changes(new: Parts, old: Parts, named: Any) -> list[str]:
    return [named(name, _text(old, name), _text(new, name)) for name in differences(new, old)]


def _text(parts: Mapping[str, tuple[bytes, str]], name: str) -> str | None:
    return parts[name][1] if name in parts else None


def _code_change(name: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"{name} is new"
    if new is None:
        return f"{name} is not read any more"
    return f"{name} changed" if old == new else f"{name} {old} -> {new}"


def _argument_change(name: str, old: str | None, new: str | None) -> str:
    if old == new:
        return f"argument `{name}`: {new}, with other contents"
    return f"argument `{name}`: {old or 'not there'} -> {new or 'not there'}"
