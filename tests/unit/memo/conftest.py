"""What tests of memoized functions share: a cache, a decorator bound to it, and a tally of what was computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cells import Cells
from tally import Tally, maps_end

import raycache


@pytest.fixture
def cache(inline: Callable[..., raycache.Cache]) -> Iterator[raycache.Cache]:
    """A cache whose books are looked at when no map computes any more."""
    yield inline()
    maps_end()


@pytest.fixture
def memo(cache: raycache.Cache) -> Callable[..., Any]:
    """`raycache.memoize` with the test's cache."""

    def memoize(function: Any = None, **options: Any) -> Any:
        return raycache.memoize(function, **{"cache": cache} | options)

    return memoize


@pytest.fixture(params=["task", "caller"])
def where(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def cells(memo: Callable[..., Any], tally: Tally) -> Cells:
    """A notebook with `memo` and `tally` in its namespace."""
    return Cells(memo=memo, tally=tally)
