"""Simulated runs go on in processes of their own: what they change in the real code must not be seen by other tests."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor

import pytest
from seeds import workers


@pytest.fixture(scope="session")
def simulators() -> Iterator[Executor]:
    """Processes that run seeds."""
    with workers() as pool:
        yield pool
