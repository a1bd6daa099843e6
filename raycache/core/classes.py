"""Classes of scripts and notebooks on their way between processes: each process has one class for what is the same.

Nobody else can import such a class, so that it travels by value; but a class made anew from a value would be another
one each time, and nothing an instance of the class that its user has. With code it travels under its fingerprint, which
is exact. With data it travels under a signature, which a class has in common with its copies: these have no source, and
what a method reads besides the class is none of the data's business.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from blake3 import blake3

from raycache.core.fingerprint import bytecode, classes
from raycache.core.fingerprint.atoms import ATOMS
from raycache.core.fingerprint.contents import functions_of
from raycache.core.fingerprint.identity import ByIdentity
from raycache.core.fingerprint.values import fingerprint
from raycache.errors import UnhashableArgument

_MAIN = "__main__"
_DIGEST_BYTES = 16
#: Classes by fingerprint and by signature, for as long as they live.
_known: weakref.WeakValueDictionary[bytes, type] = weakref.WeakValueDictionary()
#: Classes that were made here and do not have their attributes yet.
_unfilled: ByIdentity[bool] = ByIdentity()
_methods: ByIdentity[bytes] = ByIdentity(4096)

#: How cloudpickle makes a class: a function with its arguments, the state, and what sets that.
Reduced = tuple[Any, ...]


def reduced_exactly(kind: type, reduced: Reduced) -> Reduced:
    """How a class travels with code."""
    try:
        return _reduced(kind, reduced, b"code" + fingerprint(kind), signature(kind))
    except UnhashableArgument:
        return reduced


def reduced_alike(kind: type, reduced: Reduced) -> Reduced:
    """How a class travels with data."""
    return _reduced(kind, reduced, b"", signature(kind))


def is_main(kind: Any) -> bool:
    """Whether this is a class that no other process can import."""
    return isinstance(kind, type) and kind.__module__ == _MAIN


def _reduced(kind: type, reduced: Reduced, exact: bytes, alike: bytes) -> Reduced:
    make, arguments, state, _, _, fill = reduced
    for each in filter(None, (exact, alike)):
        _known[each] = kind
    # The last but one is the name by which cloudpickle knows it again; we have names of our own for it.
    arguments = (*arguments[:-2], None, arguments[-1])
    return _class, (kind.__qualname__, exact, alike, make, arguments), (fill, state), None, None, _filled


def _class(name: str, exact: bytes, alike: bytes, make: Callable[..., type], arguments: tuple[Any, ...]) -> type:
    """The class that this process has, else a new one without its attributes."""
    found = _in_main(name, exact, alike) or _known.get(exact or alike)
    if found is None:
        found = make(*arguments)
        _unfilled.put(found, True)
    if exact:
        _known[exact] = found
    _known[alike] = found
    return found


def _in_main(name: str, exact: bytes, alike: bytes) -> type | None:
    found: Any = sys.modules.get(_MAIN)
    for each in name.split("."):
        found = getattr(found, each, None)
    if not is_main(found):
        return None
    try:
        same = b"code" + fingerprint(found) == exact if exact else signature(found) == alike
    except UnhashableArgument:
        return None
    return found if same else None


def _filled(kind: type, given: tuple[Callable[[type, Any], Any], Any]) -> None:
    fill, state = given
    if _unfilled.get(kind):
        fill(kind, state)
        _unfilled.put(kind, False)


def signature(kind: type) -> bytes:
    """What a class and its copies have in common: names, fields, simple values, and what the methods do."""
    pieces = [kind.__qualname__.encode(), *(_simple(base) for base in kind.__bases__)]
    for name, value in (*classes.declared(kind), *classes.attributes(kind)):
        pieces += [name.encode(), *(map(_method, functions_of(value)) if functions_of(value) else [_simple(value)])]
    return blake3(b"".join(len(piece).to_bytes(4, "big") + piece for piece in pieces)).digest(_DIGEST_BYTES)


def _method(function: Any) -> bytes:
    code = getattr(function, "__code__", None)
    if code is None:
        return _simple(function)
    digest = _methods.get(code)
    if digest is None:
        digest = bytecode.digest(code)
        _methods.put(code, digest)
    return digest + _simple(function.__defaults__) + _simple(function.__kwdefaults__)


def _simple(value: Any) -> bytes:
    """A value, if it is a simple one; else its type."""
    atom = ATOMS.get(type(value))
    if atom is not None:
        return atom(value)
    if isinstance(value, type):
        return b"class " + value.__qualname__.encode()
    if type(value) in (tuple, list, dict):
        items = b"".join(map(_simple, _items(value)))
        return type(value).__name__.encode() + len(value).to_bytes(4, "big") + items
    return b"a " + type(value).__qualname__.encode()


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from (name, each)
    else:
        yield from value
