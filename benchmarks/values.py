"""Keys and values of the cases: no two values are equal, so that nothing can win by giving the same object again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raycache.edge.bench import keys_of, text_of

DICT, TEXT = "dict", "str of 100 bytes"


def names(kind: str, first: int, count: int) -> list[str]:
    """The keys of these numbers."""
    return keys_of(kind[:1], first, count)


def value_of(key: str) -> Any:
    """The value of a key that `names` gave: a trivial getter."""
    kind, _, digits = key.partition("-")
    return small_dict(int(digits)) if kind == DICT[:1] else text_of(key)


def values_of(keys: Iterable[str]) -> dict[Any, Any]:
    return {key: value_of(key) for key in keys}


def small_dict(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"user {number}",
        "mail": f"user{number}@example.com",
        "score": number / 7,
        "active": number % 2 == 0,
        "tags": ["new", f"t{number % 13}"],
    }
