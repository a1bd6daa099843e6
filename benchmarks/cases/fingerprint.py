"""The fingerprint of the arguments of a call: of a 100 MB array, and of small ones."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.harness import Goal, Measurement
from benchmarks.setting import Setting
from raycache.core.fingerprint.arguments import Arguments
from raycache.edge.rounds import each, once, take_turns

ARRAY_BYTES = 100_000_000
GOALS = ()
LARGE, STR, MIXED = "100 MB of float64", "one str", "str, int, float, bool, None, a tuple, a list and a dict"


def function(text: Any, model: str = "small", scale: float = 1.0, *rest: Any, **options: Any) -> None:
    """Only its signature counts."""


def run(setting: Setting) -> Iterator[Measurement]:
    arguments = Arguments(inspect.signature(function), name="function")
    array = np.random.default_rng(0).random(ARRAY_BYTES // 8)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((f"text {n}",), {}) for n in range(200)]
    mixed: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((f"text {n}", "large", n / 7, n, True, None, (n, n + 1)), {"tags": ["a", f"t{n}"], "limits": {"low": n}})
        for n in range(200)
    ]

    def digest(call: tuple[tuple[Any, ...], dict[str, Any]]) -> bytes:
        return arguments.digest(*call)

    def large(number: int) -> float:
        array[0] = number  # no two are the same
        return once(lambda: arguments.digest((array,), {}))

    samples = take_turns(
        {LARGE: large, STR: lambda _: each(digest, calls), MIXED: lambda _: each(digest, mixed)},
        setting.rounds(40, 10),
        warm_up=2,
    )
    done = Measurement(case="fingerprint", operation="digest of a call's arguments", samples=samples)
    speed = ARRAY_BYTES / done.median(LARGE) / 1e9
    done.goals.append(Goal(what=LARGE, figure=speed, bound=2, unit=" GB/s", at_least=True))
    for name in (STR, MIXED):
        done.goals.append(Goal(what=name, figure=done.median(name) * 1e6, bound=15, unit=" us"))
    yield done
