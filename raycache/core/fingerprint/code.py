"""Fingerprints of code: what a function does, as of now, and whether that is still so.

Importing this module gives functions, classes and modules their fingerprints as values.
"""

from __future__ import annotations

import functools
import types
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from raycache.core.fingerprint import callables, syntax
from raycache.core.fingerprint.atoms import DIGEST_BYTES
from raycache.core.fingerprint.cells import reads_of_cell
from raycache.core.fingerprint.contents import contents
from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.identity import ByIdentity
from raycache.core.fingerprint.installed import refer
from raycache.core.fingerprint.registry import REGISTRY, register_handler
from raycache.core.fingerprint.scope import Scope
from raycache.core.fingerprint.trace import SOURCES, Part, Place, Source, Trace, combined, current, tracing
from raycache.core.fingerprint.values import describe
from raycache.core.fingerprint.watch import Seal

_PART_BYTES = 8
_LRU_CACHE = type(functools.lru_cache(len))


class Code:
    """What a function does, as of when it was looked at."""

    __slots__ = ("by_name", "digest", "fixed", "imported", "name", "parts", "seal", "unchanged")

    name: str
    """Module and qualified name, as "pipeline.Model.fit"; never a file's name."""
    digest: bytes
    """16 bytes over the name and all parts."""
    parts: Mapping[str, tuple[bytes, str]]
    """What went into it, by names for people, as "helper `clean`": 8 bytes that tell whether it changed, and a text."""
    unchanged: Callable[[], bool]
    """Whether all that it was made from is still the same."""
    fixed: bool
    """Whether nothing can change, so that `unchanged()` is always True."""
    seal: Seal | None
    """What is watched for that."""
    by_name: tuple[Source, ...]
    """The user's own classes and whole modules among what it reads."""
    imported: tuple[tuple[str, str], ...]
    """Modules, and names in them, that imports inside the code lead to; "" is the module as a whole."""

    def __init__(self, name: str, trace: Trace) -> None:
        self.name = name
        self.digest = _digest(name, trace.parts)
        self.parts = _named(trace.parts.values())
        self.seal = seal = trace.watch.sealed()
        self.fixed = seal is None
        self.by_name, self.imported = tuple(trace.by_name), tuple(trace.imported)
        self.unchanged = _always if seal is None else seal.unchanged

    def __repr__(self) -> str:
        return f"<Code {self.name} {self.digest.hex()[:8]}, {len(self.parts)} parts>"


def _always() -> bool:
    return True


def _digest(name: str, parts: Mapping[str, Part]) -> bytes:
    pieces = [name, *(piece for label, part in sorted(parts.items()) for piece in (label, part.digest))]
    return combined(piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece for piece in pieces)[
        :DIGEST_BYTES
    ]


def _named(parts: Iterable[Part]) -> dict[str, tuple[bytes, str]]:
    """Parts by short names; where these collide, by qualified ones; where those do, numbered."""
    parts = list(parts)
    short = Counter((part.kind, part.name) for part in parts)
    named: dict[str, tuple[bytes, str]] = {}
    for part in parts:
        name = part.name if short[part.kind, part.name] == 1 else part.qualified
        key = unique = _key(part.kind, name)
        number = 1
        while unique in named:
            number += 1
            unique = f"{key} ({number})"
        named[unique] = (part.digest[:_PART_BYTES], part.text)
    return named


def _key(kind: str, name: str) -> str:
    if kind in ("code", "version", "instance"):
        return kind
    return f"{kind} {name}" if kind in ("depends", "argument") and name.isdigit() else f"{kind} `{name}`"


def code_of(function: Any, *, name: str | None = None, version: str | None = None, depends: Iterable[Any] = ()) -> Code:
    """What a function does: its own syntax and, recursively, what it reads of the user's code and values.

    Args:
        function: a function, method, class, partial, or any object that can be called.
        name: takes the place of module and qualified name.
        version: if given, the code is not looked at: name, version and `depends` alone count.
        depends: what counts in addition: functions, classes, modules, or any values with a fingerprint.

    Raises:
        UnhashableArgument: something that it reads has no fingerprint; the message names it and its reader.
    """
    trace = Trace(getattr(_innermost(function), "__qualname__", type(function).__qualname__))
    with tracing(trace):
        if version is None:
            _start(trace, function)
        else:
            trace.part("version", "", combined([version.encode()]), version)
        for number, each in enumerate(depends):
            _value(trace, "depends", str(number), each)
        trace.finish(contents)
    return Code(name or _name(function), trace)


def code_of_source(source: str, namespace: dict[str, Any], name: str) -> Code:
    """What a notebook's cell does: its syntax, and what it reads of the namespace before it assigns it.

    Raises:
        SyntaxError: it is no Python; lines for IPython have to be transformed before.
        UnhashableArgument: something that it reads has no fingerprint.
    """
    tree = syntax.parse(source)
    trace = Trace(name)
    scope = Scope(trace, name, namespace)
    with tracing(trace):
        own = [syntax.of_tree(tree).digest]
        for read in reads_of_cell(tree):
            own += [read.kind.encode(), str(read).encode(), scope.read(read)]
        trace.part("code", name, combined(own), "cell")
        trace.finish(contents)
    return Code(name, trace)


def _start(trace: Trace, value: Any) -> None:
    """Begins a trace with a function, or with what an object calls; what it adds to that are values."""
    if isinstance(value, functools.partial):
        _start(trace, value.func)
        for number, argument in enumerate(value.args):
            _value(trace, "argument", str(number), argument)
        for name, argument in sorted(value.keywords.items()):
            _value(trace, "argument", name, argument)
    elif isinstance(value, types.MethodType):
        _start(trace, value.__func__)
        _value(trace, "instance", "self", value.__self__)
    elif isinstance(value, (types.FunctionType, type)) and refer(value) is None:
        trace.start(value)
    elif _is_wrapper(value):
        _start(trace, value.__wrapped__)
    elif refer(value) is None and refer(type(value)) is None:
        _start(trace, type(value))
        _value(trace, "instance", "self", value)
    else:
        _value(trace, "code", "", value)


def _is_wrapper(value: Any) -> bool:
    """Whether an object only remembers what the function it wraps returns."""
    kind = type(value)
    return kind is _LRU_CACHE or (kind.__module__.partition(".")[0] == "raycache" and hasattr(value, "__wrapped__"))


def _value(trace: Trace, kind: str, name: str, value: Any) -> None:
    place = Place(kind, name, trace.name)
    if isinstance(value, SOURCES) or refer(value) is not None:
        trace.part(kind, name, combined([trace.reference(value)]), describe(value))
    else:
        trace.bind(value, place, lambda: value, lambda: None)


def _innermost(value: Any) -> Any:
    while isinstance(value, (functools.partial, types.MethodType)) or _is_wrapper(value):
        value = getattr(value, "func", None) or getattr(value, "__func__", None) or value.__wrapped__
    return value


def _name(value: Any) -> str:
    named = _innermost(value)
    if isinstance(named, types.ModuleType):
        return named.__name__
    if not hasattr(named, "__qualname__"):
        named = type(named)
    return f"{getattr(named, '__module__', None) or 'builtins'}.{named.__qualname__}"


# Functions, classes and modules as values

_known: ByIdentity[Code] = ByIdentity()


def known_code(value: Any) -> Code:
    """What a function, class or module does, looked at anew only if it has changed. Raises UnhashableArgument."""
    code = _known.get(value)
    if code is None or not code.unchanged():
        code = code_of(value)
        if not getattr(value, "__closure__", None):  # what a function has captured may be large, and goes with it
            _known.put(value, code)
    return code


def _code(value: Any, encoder: Encoder) -> None:
    """Functions, classes and modules: a reference inside a trace, else all that they do."""
    encoder.tag(b"code")
    if current.tracer is not None:
        encoder.data(current.tracer.reference(value))
        return
    code = known_code(value)
    encoder.data(code.digest)


for _kind in SOURCES:
    register_handler(_kind, _code)
callables.register(REGISTRY)
