"""Everything that code is made of, as parts: its own syntax, the user's functions and classes it reads, and the values.

A part's digest covers the part itself and the names of the parts that it refers to, not what those contain; so what has
changed can be told, and recursion ends. While one thread traces, functions and classes inside values are parts of that
trace, too: the handlers ask `current`.
"""

from __future__ import annotations

import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from blake3 import blake3

from raycache.core.fingerprint.immutable import is_immutable
from raycache.core.fingerprint.installed import refer
from raycache.core.fingerprint.packages import Package
from raycache.core.fingerprint.values import describe, fingerprint
from raycache.core.fingerprint.watch import Watch
from raycache.errors import UnhashableArgument

#: What is looked into, rather than encoded as a value.
Source = types.FunctionType | type | types.ModuleType
SOURCES = (types.FunctionType, type, types.ModuleType)


class Tracer(Protocol):
    """What the handlers of functions, classes and modules ask while a value of a trace is encoded."""

    def reference(self, value: Any) -> bytes:
        """What stands for a function, class or module in the encoding."""


class _Current(threading.local):
    tracer: Tracer | None = None


current = _Current()


@contextmanager
def tracing(tracer: Tracer) -> Iterator[None]:
    """Has functions and classes in values referred to by this tracer."""
    outer, current.tracer = current.tracer, tracer
    try:
        yield
    finally:
        current.tracer = outer


class Part(NamedTuple):
    """One part; `name` is for people, and `qualified` tells it from others of that name."""

    kind: str
    name: str
    qualified: str
    digest: bytes
    text: str


class Place(NamedTuple):
    """Where a value is read: what it is called there, by which code, and of which module."""

    kind: str
    name: str
    reader: str
    module: str = ""


class Trace:
    """One walk from a function or class to everything that it is made of."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.watch = Watch()
        self.parts: dict[str, Part] = {}
        #: What stands for values that were read before, by what holds them and their names there.
        self.bound: dict[tuple[int, str], bytes] = {}
        #: Names in modules that imports inside the code lead to.
        self.imported: dict[tuple[str, str], None] = {}
        self._labels: dict[int, str] = {}
        self._held: list[Source] = []  # as long as they are held, the ids are theirs
        self._queue: deque[tuple[str, Source]] = deque()

    def part(self, kind: str, name: str, digest: bytes, text: str, qualified: str = "") -> str:
        """Adds a part. Its label is the same whatever module it comes from, so that scripts and modules agree.

        Values of one name that are the same are one part: a function that was pickled by value has globals of its own.
        """
        short = kind if kind == "code" else f"{kind} {name}"
        label, number = short, 1
        while label in self.parts:
            if digest and self.parts[label].digest == digest:
                return label
            number += 1
            label = f"{short} ({number})"
        self.parts[label] = Part(kind, name, qualified or name, digest, text)
        return label

    def package(self, package: Package) -> None:
        """Adds a package, which counts by its version."""
        if f"package {package.name}" not in self.parts:
            self.part("package", package.name, combined([package.version.encode()]), package.version)

    @property
    def by_name(self) -> list[Source]:
        """The user's own classes and whole modules that were referred to: other processes have them by name."""
        return [each for each in self._held if isinstance(each, (type, types.ModuleType))]

    def start(self, value: Source) -> None:
        """Begins with a function or class of the user's."""
        self._enqueue("code", value)

    def reference(self, value: Any) -> bytes:
        """What stands for a function, class or module: of an installed one the name, else the part that it becomes."""
        label = self._labels.get(id(value))
        if label is None:
            found = refer(value)
            if found is not None:
                self.package(found.package)
                return found.encoded()
            kind = "class" if isinstance(value, type) else "module" if isinstance(value, types.ModuleType) else "helper"
            label = self._enqueue(kind, value)
        return label.encode()

    def _enqueue(self, kind: str, value: Source) -> str:
        name = getattr(value, "__qualname__", value.__name__)
        label = self.part(kind, name, b"", describe(value), f"{getattr(value, '__module__', '')}.{name}")
        self._labels[id(value)] = label
        self._held.append(value)
        self._queue.append((label, value))
        return label

    def finish(self, contents: Callable[[Trace, Source], Iterable[bytes]]) -> None:
        """Looks into everything that was referred to; `contents` gives what one of them is made of by itself."""
        while self._queue:
            label, value = self._queue.popleft()
            self.parts[label] = self.parts[label]._replace(digest=combined(contents(self, value)))

    def bind(self, value: Any, place: Place, fetch: Callable[[], Any], same: Callable[[], None]) -> bytes:
        """What stands for a value that is read somewhere.

        Args:
            fetch: gets the value again, if it can change in place.
            same: has the watch look at the value's identity, if it cannot.
        """
        # A memoized function that calls itself by its name, or one that was met before.
        wrapped = getattr(value, "__wrapped__", None) if hasattr(type(value), "__raycache_key__") else None
        source = wrapped if id(wrapped) in self._labels else value
        if isinstance(source, SOURCES) or refer(source) is not None:
            same()
            return self.reference(source)
        digest = self.fingerprint(value, place)
        self.keep(value, digest, fetch, same)
        qualified = f"{place.module or place.reader}.{place.name}"
        return self.part(place.kind, place.name, digest, describe(value), qualified).encode()

    def keep(self, value: Any, digest: bytes, fetch: Callable[[], Any], same: Callable[[], None]) -> None:
        """Has the watch look at a value: at its identity if it cannot change in place, else at its fingerprint."""
        if is_immutable(value):
            same()
        else:
            self.watch.changeable(fetch, self._again, digest)

    def fingerprint(self, value: Any, place: Place) -> bytes:
        """The fingerprint of a value; the error names where it is read."""
        try:
            return fingerprint(value, place.name)
        except UnhashableArgument as error:
            if place.kind in ("argument", "depends", "instance"):
                raise
            reason = str(error).split("; ")[0]
            through = "" if place.reader == self.name else f" (through `{place.reader}`)"
            raise UnhashableArgument(
                f"the {place.kind} `{place.name}` that `{self.name}` reads{through} has no fingerprint: {reason}; "
                f"pass it as an argument that is ignored (ignore=[...]), give a version= and change it with the code, "
                f"or call raycache.register_fingerprint(...)"
            ) from error

    def _again(self, value: Any) -> bytes:
        with tracing(_Known(self._labels, self._held)):
            return fingerprint(value)


class _Changed(Exception):
    """A value refers to code that it did not refer to before."""


class _Known:
    """Refers to what a finished trace has met."""

    def __init__(self, labels: Mapping[int, str], held: list[Source]) -> None:
        self._labels, self._held = labels, held

    def reference(self, value: Any) -> bytes:
        label = self._labels.get(id(value))
        found = refer(value) if label is None else None
        if label is None and found is None:
            raise _Changed
        return found.encoded() if found else str(label).encode()


def combined(pieces: Iterable[bytes]) -> bytes:
    """32 bytes for a sequence of pieces."""
    return blake3(b"".join(len(piece).to_bytes(4, "big") + piece for piece in pieces)).digest()
