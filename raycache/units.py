"""Bytes, seconds and counts as people read them."""

from __future__ import annotations

import math

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400


def size_text(number: float) -> str:
    """Bytes: "17 B", "1.2 MiB"."""
    unit = 0
    while number >= 1024 and unit + 1 < len(_BYTES):
        number, unit = number / 1024, unit + 1
    return f"{number:,.1f} {_BYTES[unit]}" if unit else f"{number:,.0f} B"


def time_text(seconds: float) -> str:
    """Seconds: "350 µs", "12 ms", "3.42 s", "3 min 8 s", "2 h 5 min", "3 d"."""
    if not math.isfinite(seconds):
        return "∞"
    if round(seconds, 3) < 1:
        return f"{seconds * 1e6:.0f} µs" if 0 < round(seconds, 6) < 1e-3 else f"{seconds * 1e3:.0f} ms"
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < HOUR_S:
        return _with_rest(whole, MINUTE_S, "min", 1, "s")
    if whole < DAY_S:
        return _with_rest(whole, HOUR_S, "h", MINUTE_S, "min")
    return _with_rest(whole, DAY_S, "d", HOUR_S, "h")


def measured_text(seconds: float) -> str:
    """A time that was measured, in three digits: "152 ns", "4.31 us", "3.6 ms", "1.2 s"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _with_rest(seconds: int, unit_s: int, unit: str, smaller_s: int, smaller: str) -> str:
    number, rest = seconds // unit_s, seconds % unit_s // smaller_s
    return f"{number:,} {unit} {rest} {smaller}" if rest else f"{number:,} {unit}"


def ago_text(seconds: float) -> str:
    """How long ago something was, in whole units: "just now", "12 s ago", "3 min ago", "2 h ago", "3 d ago"."""
    whole = round(seconds)
    if whole < 1:
        return "just now"
    for unit_s, unit in ((2 * MINUTE_S, "s"), (2 * HOUR_S, "min"), (2 * DAY_S, "h")):
        if whole < unit_s:
            return f"{whole // _IN_SECONDS[unit]} {unit} ago"
    return f"{whole // DAY_S:,} d ago"


_IN_SECONDS = {"s": 1, "min": MINUTE_S, "h": HOUR_S}


def count_text(number: int) -> str:
    """A count: "1,790"."""
    return f"{number:,}"


def share_text(part: float, whole: float) -> str:
    """A part of a whole in percent: "93.4%"; "-" of nothing."""
    return f"{part / whole:.1%}" if whole else "-"
