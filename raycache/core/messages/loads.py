"""Loads: what a memoized function is called with, what comes of a load, and what a transport gives in its place."""

from __future__ import annotations

from typing import Any, NamedTuple

from raycache.core.checks import Check

Future = Any


class Call(NamedTuple):
    """What a memoized function is called with for one key. Who asks for the key brings it along."""

    arguments: Any  # as the transport has packed them, and alone can unpack; of a batch those that all items share
    note: bytes = b""  # what `explain` tells of them, pickled
    item: Any = None  # of a batch: the packed item of its list
    frame: bytes = b""  # of a batch: tells which items may go in one call
    checks: tuple[Check, ...] = ()  # of the classes in the arguments, which travel by reference


class Loaded(NamedTuple):
    """A value. `data` has the bytes of a small one; of a large one it is its place in the load's payload."""

    tag: int
    data: bytes | int
    ttl_s: float | None
    cost_s: float
    size: int


class Absent(NamedTuple):
    """The getter raised NotFound, with this message."""

    message: str
    cost_s: float
    ttl_s: float | None = None  # how long that may be remembered; None: not at all


class Raised(NamedTuple):
    """The getter raised; the exception pickled, and its traceback there as text."""

    error: bytes
    traceback: str
    cost_s: float


class Orphaned(NamedTuple):
    """The arguments of a call are gone, with the process that had them: whoever still wants the key brings its own."""

    cost_s: float = 0.0


Outcome = dict[bytes, "Loaded | Absent | Raised | Orphaned"]
"""What a load brought, by full key. A key that is not in it was not reached; it is loaded by another task."""


class Failed(NamedTuple):
    """What a transport gives in place of an answer that will never come."""

    reason: str
    hung: bool = False  # ended because it took too long
    lost: bool = False  # not the load failed, but whoever had its result
    raised: bool = False  # by whoever was asked: it is there, but could not do it
