"""Instances of classes written in Python: the class, and all attributes.

That is all there is to them, so that dataclasses, attrs classes and plain ones need no care of their own. An instance
with memory that Python code cannot look into (of a class written in C) is refused, and so is a bare `object()`, which
is nothing but its identity.
"""

from __future__ import annotations

import contextlib
import functools
import struct
import types
from collections.abc import Iterator, Mapping
from typing import Any

from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.refusal import Refused

_KEPT_HASH = "_attrs_cached_hash"  # where attrs keeps an instance's hash(), which each process makes its own of
_POINTER_BYTES = struct.calcsize("P")


def plain(value: Any, encoder: Encoder) -> None:
    """The handler for everything that nothing else is known of."""
    kind: Any = type(value)
    if kind is object or not transparent(kind):
        raise Refused(value)
    encoder.tag(b"instance")
    encoder.value(kind)
    attributes(value, encoder)


def attributes(value: Any, encoder: Encoder, base: type = object) -> None:
    """Writes an instance's own attributes: `__dict__`, and the slots of its classes above `base`."""
    kind: Any = type(value)
    slots = _slots(kind, base)
    if slots:
        encoder.tag(b"slots")
        encoder.mapping(_filled(value, slots), ".{}".format)
    own = getattr(value, "__dict__", {})
    if _KEPT_HASH in own:
        own = {name: each for name, each in own.items() if name != _KEPT_HASH}
    encoder.mapping(own.items(), ".{}".format)


def _filled(value: Any, slots: Mapping[str, types.MemberDescriptorType]) -> Iterator[tuple[str, Any]]:
    for name, slot in slots.items():
        with contextlib.suppress(AttributeError):  # not set
            if name != _KEPT_HASH:
                yield name, slot.__get__(value)


@functools.lru_cache(1000)
def _slots(kind: type, base: type) -> Mapping[str, types.MemberDescriptorType]:
    """The slots that the classes above `base` declare; two may have the same name."""
    slots: dict[str, types.MemberDescriptorType] = {}
    for each in kind.__mro__[: kind.__mro__.index(base)]:
        for name, slot in vars(each).items() if "__slots__" in vars(each) else ():
            if isinstance(slot, types.MemberDescriptorType):
                slots[f"{name}, slot {len(slots)}" if name in slots else name] = slot
    return slots


@functools.lru_cache(1000)
def transparent(kind: type, base: type = object) -> bool:
    """Whether instances are no larger than `base` and their own attributes need: nothing else is in them."""
    pointers = (
        len(_slots(kind, base)) + _differs(kind, base, "__dictoffset__") + _differs(kind, base, "__weakrefoffset__")
    )
    return (
        kind.__itemsize__ == base.__itemsize__ and kind.__basicsize__ <= base.__basicsize__ + pointers * _POINTER_BYTES
    )


def _differs(kind: type, base: type, offset: str) -> bool:
    """Whether a pointer was added; one at a negative offset lies before the instance, or after its items."""
    own = getattr(kind, offset)
    return own != getattr(base, offset) and (own > 0 or base.__itemsize__ > 0)
