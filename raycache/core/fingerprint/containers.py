"""The standard library's containers: their kind, and the values in them."""

from __future__ import annotations

import collections
import types
from collections.abc import Callable, Iterable
from typing import Any

from raycache.core.fingerprint.describe import describe
from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.instances import attributes
from raycache.core.fingerprint.registry import Handler, Registry


def step_of_key(key: Any) -> str:
    """How to get at the value of a dict's key."""
    return f"[{describe(key)}]"


def _sequence(kind: type, tag: bytes) -> Handler:
    # The type's own methods: a subclass may iterate over something else than it holds.
    items: Callable[[Any], Iterable[Any]] = kind.__iter__  # type: ignore[attr-defined]
    size: Callable[[Any], int] = kind.__len__  # type: ignore[attr-defined]

    def handler(value: Any, encoder: Encoder) -> None:
        encoder.out += tag
        encoder.items(items(value), size(value))

    return handler


def _set(kind: type, tag: bytes) -> Handler:
    items: Callable[[Any], Iterable[Any]] = kind.__iter__  # type: ignore[attr-defined]

    def handler(value: Any, encoder: Encoder) -> None:
        encoder.out += tag
        encoder.unordered(items(value))

    return handler


def _dict(value: dict[Any, Any], encoder: Encoder) -> None:
    encoder.out += b"m"
    encoder.mapping(dict.items(value), step_of_key)


def _counter(value: collections.Counter[Any], encoder: Encoder) -> None:
    encoder.tag(b"counter")
    encoder.mapping(dict.items(value), step_of_key)
    attributes(value, encoder)


def _ordered_dict(value: collections.OrderedDict[Any, Any], encoder: Encoder) -> None:
    encoder.tag(b"ordered dict")
    keys = list(collections.OrderedDict.keys(value))  # in its own order, not in that of the dict below it
    encoder.items(keys, len(keys))
    encoder.items((dict.__getitem__(value, key) for key in keys), len(keys))
    attributes(value, encoder)


def _default_dict(value: collections.defaultdict[Any, Any], encoder: Encoder) -> None:
    encoder.tag(b"defaultdict")
    encoder.value(value.default_factory, ".default_factory")
    encoder.mapping(dict.items(value), step_of_key)


def _deque(value: collections.deque[Any], encoder: Encoder) -> None:
    encoder.tag(b"deque")
    encoder.value(value.maxlen)
    encoder.items(collections.deque.__iter__(value), len(value))


def _mapping_proxy(value: types.MappingProxyType[Any, Any], encoder: Encoder) -> None:
    encoder.tag(b"mappingproxy")
    encoder.value(value.copy())


def _namespace(value: types.SimpleNamespace, encoder: Encoder) -> None:
    encoder.tag(b"namespace")
    encoder.mapping(vars(value).items(), ".{}".format)


def _slice(value: slice, encoder: Encoder) -> None:
    encoder.tag(b"slice")
    encoder.value(value.start, ".start")
    encoder.value(value.stop, ".stop")
    encoder.value(value.step, ".step")


def register(registry: Registry) -> None:
    """Adds the handlers of this module."""
    registry.add(tuple, _sequence(tuple, b"("), content=True)
    registry.add(list, _sequence(list, b"["), content=True)
    registry.add(set, _set(set, b"{"), content=True)
    registry.add(frozenset, _set(frozenset, b"<"), content=True)
    registry.add(dict, _dict, content=True)
    registry.add(collections.Counter, _counter, content=True)
    registry.add(collections.OrderedDict, _ordered_dict, content=True)
    registry.add(collections.defaultdict, _default_dict, content=True)
    registry.add(collections.deque, _deque, content=True)
    registry.add(types.MappingProxyType, _mapping_proxy)
    registry.add(types.SimpleNamespace, _namespace, content=True)
    registry.add(slice, _slice)
