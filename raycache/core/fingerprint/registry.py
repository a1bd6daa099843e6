"""Which handler encodes the values of a type.

A handler is found by the exact type, then along the type's bases: what is registered for a base, or a base's own
`__raycache_key__`, serves its subclasses. Handlers for other libraries lie in modules of ours that are imported when
the first value of such a library turns up, so that nothing is loaded that the program has not loaded itself.
"""

from __future__ import annotations

import enum
import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any

from raycache.core.fingerprint.atoms import ATOMS
from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.instances import attributes, plain, transparent
from raycache.core.fingerprint.refusal import Refused, type_name
from raycache.errors import InvalidOption

Handler = Callable[[Any, Encoder], None]

#: Libraries by their top-level package, and the module of ours with the handlers for their types.
_LIBRARIES = {
    "numpy": "arrays",
    "scipy": "sparse",
    "torch": "tensors",
    "pandas": "frames",
    "polars": "polars_frames",
    "pyarrow": "tables",
}
_REMEMBERED_TYPES = 1000


class Registry:
    """Handlers by type and by dotted name, and what has been found for types before."""

    def __init__(self) -> None:
        self._handlers: dict[type, tuple[Handler, bool]] = {object: (plain, False)}
        self._named: dict[str, tuple[Handler, bool]] = {}
        self._resolved: dict[str, type] = {}  # what the names have turned out to be
        self._loaded: set[str] = set()
        self._found: dict[type, Handler] = {}
        self._lock = threading.RLock()

    def add(self, kind: type | str, handler: Handler, content: bool = False) -> None:
        """The handler for a type; of mere content if a subclass has to be told from the type by other means."""
        with self._lock:
            if isinstance(kind, str):
                self._named[kind] = (handler, content)
                self._resolved.pop(kind, None)
            else:
                self._handlers[kind] = (handler, content)
            self._found = {}

    def find(self, kind: type) -> Handler:
        """The handler for values of this very type."""
        return self._found.get(kind) or self._search(kind)

    def _search(self, kind: type) -> Handler:
        with self._lock:
            self._load({_library(base) for base in kind.__mro__})
            handler = next(filter(None, (self._of_base(kind, base) for base in kind.__mro__)))
            if len(self._found) >= _REMEMBERED_TYPES:  # classes of notebook cells, made anew with every run
                self._found = {}
            self._found[kind] = handler
            return handler

    def _load(self, libraries: set[str]) -> None:
        for library in (libraries & _LIBRARIES.keys()) - self._loaded:
            if library in sys.modules:
                self._loaded.add(library)
                given = self._handlers.copy()
                importlib.import_module(f"{__package__}.{_LIBRARIES[library]}").register(self)
                self._handlers |= given  # what users have registered for the library's types stays
        for name in list(self._named):
            kind = _resolve(name)
            if kind is not None and self._resolved.get(name) is not kind:  # a module may be loaded anew
                self._resolved[name] = kind
                self._handlers[kind] = self._named[name]

    def _of_base(self, kind: type, base: type) -> Handler | None:
        if base in self._handlers:
            handler, content = self._handlers[base]
            if base is kind or not content:
                return handler
            # A member of an IntEnum is an int as well, but told by its name.
            return None if isinstance(kind, enum.EnumMeta) else _extended(handler, kind, base)
        return _own_key if "__raycache_key__" in vars(base) else None


def _resolve(name: str) -> type | None:
    """What a dotted name stands for, if it has been imported."""
    parts = name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:split]))
        if found is not None:
            for part in parts[split:]:
                found = getattr(found, part, None)
            return found if isinstance(found, type) else None
    return None


def _library(kind: type) -> str:
    """The top-level package that a type says it comes from."""
    module = kind.__module__
    return module.partition(".")[0] if isinstance(module, str) else ""


def _refuse(value: Any, encoder: Encoder) -> None:
    raise Refused(value)


def _struct_sequence(value: Any, encoder: Encoder) -> None:
    encoder.value(value.__reduce__()[1])


def _own_key(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"key")
    encoder.value(type(value))
    encoder.passing(type(value).__raycache_key__, value, ".__raycache_key__()")


def _extended(content: Handler, kind: type, base: type) -> Handler:
    """For subclasses: the class, what the base holds, and what the subclass has added to it."""
    if hasattr(kind, "n_sequence_fields"):  # as time.struct_time, a tuple with more items than it shows
        content = _struct_sequence
    elif not transparent(kind, base):
        return _refuse

    def handler(value: Any, encoder: Encoder) -> None:
        encoder.tag(b"subclass")
        encoder.value(type(value))
        content(value, encoder)
        attributes(value, encoder, base)

    return handler


REGISTRY = Registry()


def register_handler(kind: type | str, handler: Handler, *, content: bool = False) -> None:
    """Has the values of a type, and of its subclasses, encoded by `handler(value, encoder)`.

    With `content=True` the handler encodes content alone: a subclass is encoded as its class, the content, and the
    attributes that it adds.
    """
    REGISTRY.add(kind, handler, content)


def register_fingerprint(kind: type | str, fn: Callable[[Any], Any]) -> None:
    """Gives the values of a type, and of its subclasses, fingerprints.

    Args:
        kind: the type, or its dotted name, "torch.Tensor", where the library is perhaps not imported.
        fn: takes a value and returns what stands for it: anything that has a fingerprint, such as a tuple of its parts.
            Values of one type for which it returns the same are the same. The type's name is counted with it.

    Raises:
        InvalidOption: the type's fingerprint is fixed, as that of str is, or this is no type.
    """
    if not (isinstance(kind, type) or (isinstance(kind, str) and "." in kind)):
        raise InvalidOption(f'{kind!r:.100} is no type; pass a type, or its dotted name such as "torch.Tensor"')
    if kind in ATOMS:
        raise InvalidOption(f"the fingerprint of {kind!r} is fixed; register one for a type of your own")
    if not callable(fn):
        raise InvalidOption(f"{fn!r:.100} cannot be called; pass a function of the value")

    def handler(value: Any, encoder: Encoder) -> None:
        encoder.tag(b"registered")
        encoder.data(type_name(type(value)).encode())
        encoder.passing(fn, value, "")

    register_handler(kind, handler)
