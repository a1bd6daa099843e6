"""What a function, class or module is made of by itself: pieces for its digest, and what it refers to.

Of a function its syntax, with what each name it reads stands for, and its defaults; of a class its name, bases,
attributes and methods; of a module its source.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from operator import getitem
from typing import Any

from raycache.core.fingerprint import bytecode, classes, syntax
from raycache.core.fingerprint.analysis import analyse
from raycache.core.fingerprint.immutable import is_immutable
from raycache.core.fingerprint.installed import is_installed, refer
from raycache.core.fingerprint.packages import PYTHON, Package
from raycache.core.fingerprint.reads import Read, writes
from raycache.core.fingerprint.scope import Scope
from raycache.core.fingerprint.trace import Place, Source, Trace, combined
from raycache.core.fingerprint.watch import has_value
from raycache.errors import UnhashableArgument


def contents(trace: Trace, value: Source) -> Iterator[bytes]:
    """The pieces of the user's function, class or module."""
    if isinstance(value, types.FunctionType):
        return _wrapper(trace, value) if is_installed(value) else _function(trace, value)
    return _class(trace, value) if isinstance(value, type) else _module(trace, value)


def _function(trace: Trace, function: types.FunctionType) -> Iterator[bytes]:
    trace.watch.function(function)
    analysis = analyse(function.__code__, function.__globals__)
    yield analysis.digest
    scope = Scope.of(trace, function)
    for read in analysis.reads:
        yield from (read.kind.encode(), str(read).encode(), scope.read(read))
    for name, value in _defaults(function):
        yield from (b"default", name.encode(), _default(trace, function, name, value))


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Parameters with their default values, by name."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    yield from zip(names[len(names) - len(defaults) :], defaults, strict=True)
    yield from sorted((function.__kwdefaults__ or {}).items())


def _default(trace: Trace, function: types.FunctionType, name: str, value: Any) -> bytes:
    def same() -> None:
        # The dict of keyword defaults can change in place. The tuple of the others cannot, and is watched.
        keywords = function.__kwdefaults__ or {}
        if name in keywords:
            trace.watch.item(keywords, name, value)

    return trace.bind(value, Place("default", name, function.__qualname__), lambda: value, same)


def _wrapper(trace: Trace, function: types.FunctionType) -> Iterator[bytes]:
    """Of a function that an installed decorator has made: what it wraps, and the values that it was given.

    Whatever else it holds (caches, locks, objects of its own) is the package's own business, whose version counts.
    """
    package = is_installed(function)
    assert package is not None
    trace.package(package)
    trace.watch.function(function)
    yield from (package.name.encode(), bytecode.digest(function.__code__))
    scope = Scope.of(trace, function)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if has_value(cell) and _given(function, cell.cell_contents, package):
            yield from (b"captured", name.encode(), scope.read(Read("captured", name)))
    for name, value in _defaults(function):
        if _given(function, value, package):
            yield from (b"default", name.encode(), _default(trace, function, name, value))
    yield from _wrapped(trace, function)
    wrapped = vars(function).get("__wrapped__")
    if package != PYTHON and isinstance(wrapped, types.FunctionType):  # some decorators go by annotations
        for name, annotation in sorted(wrapped.__annotations__.items()):
            place = Place("annotation", name, function.__qualname__)
            yield from (b"annotation", name.encode(), trace.fingerprint(classes.plain(annotation), place))


def _given(function: types.FunctionType, value: Any, package: Package) -> bool:
    """Whether a decorator has got the value from who uses it, and does not write to it as to a cache."""
    if is_immutable(value):
        return True
    if package == PYTHON or not (type(value) in (dict, list, set, bytearray) or refer(type(value)) is None):
        return False
    return not writes(function.__code__)


def _wrapped(trace: Trace, function: types.FunctionType) -> Iterator[bytes]:
    """What a wrapper shows of what it wraps; a functools.singledispatch function wraps several."""
    if "__wrapped__" in vars(function):
        yield from (b"wrapped", Scope(trace, function.__qualname__, vars(function)).read(Read("global", "__wrapped__")))
    registry = vars(function).get("registry")
    if isinstance(registry, types.MappingProxyType):
        trace.watch.size(registry)
        for kind in sorted(registry, key=lambda kind: (kind.__module__, kind.__qualname__)):
            trace.watch.item(registry, kind, registry[kind])
            place = Place("implementation", kind.__qualname__, function.__qualname__)
            yield from (trace.reference(kind), trace.fingerprint(registry[kind], place))


def _class(trace: Trace, kind: type) -> Iterator[bytes]:
    own = vars(kind)
    yield from (f"{kind.__module__}.{kind.__qualname__}".encode(), trace.reference(type(kind)))
    yield from map(trace.reference, kind.__bases__)
    for name, value in classes.declared(kind):
        yield from (name.encode(), trace.fingerprint(value, Place("declaration", name, kind.__qualname__)))
    for name, value in classes.attributes(kind):
        yield name.encode()
        yield from _attribute(trace, own, name, kind) if not functions_of(value) else _method(trace, own, name, kind)
    trace.watch.size(own)


def _attribute(trace: Trace, own: Mapping[str, Any], name: str, kind: type) -> Iterator[bytes]:
    digest = trace.fingerprint(own[name], Place("attribute", name, kind.__qualname__))
    same = functools.partial(trace.watch.item, own, name, own[name])
    trace.keep(own[name], digest, functools.partial(getitem, own, name), same)
    yield digest


def _method(trace: Trace, own: Mapping[str, Any], name: str, kind: type) -> Iterator[bytes]:
    """Methods of the user's own are part of the class, and not parts by themselves."""
    trace.watch.item(own, name, own[name])
    yield type(own[name]).__name__.encode()
    for function in functions_of(own[name]):
        if isinstance(function, types.FunctionType) and refer(function) is None:
            yield combined(contents(trace, function))
        else:
            yield trace.fingerprint(function, Place("method", name, kind.__qualname__))


def functions_of(value: Any) -> list[Callable[..., Any] | None]:
    """The functions that an attribute of a class is made of."""
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget, value.fset, value.fdel]
    if isinstance(value, functools.cached_property):
        return [value.func]
    return [value] if isinstance(value, types.FunctionType) else []


def _module(trace: Trace, module: types.ModuleType) -> Iterator[bytes]:
    """A module that is used as a whole: all of its source. Reloading it gives it another `__spec__`."""
    if "__spec__" in vars(module):
        trace.watch.item(vars(module), "__spec__", module.__spec__)
    try:
        yield from (module.__name__.encode(), syntax.of_module(inspect.getsource(module)).digest)
    except (OSError, TypeError, SyntaxError) as error:
        raise UnhashableArgument(
            f"the module `{module.__name__}` that `{trace.name}` reads as a whole has no source that could be "
            f"fingerprinted ({error}); read its attributes (`{module.__name__}.name`), or give a version="
        ) from error
