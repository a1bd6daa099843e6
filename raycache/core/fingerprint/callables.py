"""Callables that are made of others: methods, partials, what functools.lru_cache wraps; and those written in C.

Callables written in C count by their name and their package's version, bound ones with what they are bound to.
"""

from __future__ import annotations

import functools
import logging
import sys
import types
from typing import Any

from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.installed import DESCRIPTORS, leads_to, refer
from raycache.core.fingerprint.refusal import Refused
from raycache.core.fingerprint.registry import Registry


def _method(value: types.MethodType, encoder: Encoder) -> None:
    encoder.tag(b"method")
    encoder.value(value.__func__, ".__func__")
    encoder.value(value.__self__, ".__self__")


def _partial(value: functools.partial[Any], encoder: Encoder) -> None:
    encoder.tag(b"partial")
    encoder.value(value.func, ".func")
    encoder.value(value.args, ".args")
    encoder.value(value.keywords, ".keywords")


def _partialmethod(value: functools.partialmethod[Any], encoder: Encoder) -> None:
    encoder.tag(b"partialmethod")
    encoder.value(value.func, ".func")
    encoder.value(value.args, ".args")
    encoder.value(value.keywords, ".keywords")


def _lru_cache(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"lru_cache")
    encoder.value(value.__wrapped__, ".__wrapped__")


def _wrapped(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"wrapped")
    encoder.value(type(value))
    encoder.value(value.__func__, ".__func__")


def _property(value: property, encoder: Encoder) -> None:
    encoder.tag(b"property")
    for role in ("fget", "fset", "fdel"):
        encoder.value(getattr(value, role), f".{role}")


def _builtin(value: Any, encoder: Encoder) -> None:
    """Of a module, or bound to a value: `math.sqrt`, `re.compile("x").match`."""
    encoder.tag(b"builtin")
    encoder.value(value.__qualname__)
    bound = value.__self__
    if bound is None or (isinstance(bound, types.ModuleType) and bound.__name__ == value.__module__):
        module = sys.modules.get(value.__module__ or "builtins")
        if module is None:
            raise Refused(value, f"is of the module {value.__module__}, which is not loaded")
        encoder.value(module)
    else:
        encoder.value(bound, ".__self__")


def _method_wrapper(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"method-wrapper")
    encoder.value(value.__name__)
    encoder.value(value.__self__, ".__self__")


def _descriptor(value: Any, encoder: Encoder) -> None:
    """A slot, or a method written in C: its name, and the class if that does not define it itself right now."""
    encoder.tag(b"descriptor")
    encoder.value(value.__name__)
    if refer(value.__objclass__) is not None:
        encoder.value(value.__objclass__)


def _tuple_getter(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"tuplegetter")
    encoder.value(value.__reduce__()[1][0])


def _ufunc(value: Any, encoder: Encoder) -> None:
    """A function of numpy or of a library that extends it, if its name leads to it."""
    for module in ("numpy", "scipy.special"):
        if leads_to(module, value.__name__, value):
            encoder.tag(b"ufunc")
            encoder.value(sys.modules[module])
            encoder.value(value.__name__)
            return
    raise Refused(value, "is a ufunc that is found in neither numpy nor scipy.special", "call it by its module's name")


def _named(value: Any, encoder: Encoder) -> None:
    found = refer(value)
    if found is None:
        raise Refused(value, "is not found under its own name", "call it by its module's name")
    encoder.tag(b"named")
    encoder.value(sys.modules[value.__module__])
    encoder.value(found.path)


def _remote_function(value: Any, encoder: Encoder) -> None:
    # Where it runs, and on what, has no influence on what it returns.
    encoder.tag(b"remote")
    encoder.value(value._function, "._function")


def _logger(value: logging.Logger, encoder: Encoder) -> None:
    # What is logged, and where to, has no influence on what a function returns.
    encoder.tag(b"logger")
    encoder.value(value.name)


def register(registry: Registry) -> None:
    """Adds the handlers of this module."""
    registry.add(types.MethodType, _method)
    registry.add(types.BuiltinFunctionType, _builtin)
    registry.add(types.MethodWrapperType, _method_wrapper)
    registry.add(functools.partial, _partial)
    registry.add(functools.partialmethod, _partialmethod)
    registry.add(type(functools.lru_cache(len)), _lru_cache)
    registry.add(property, _property)
    registry.add(logging.Logger, _logger)
    registry.add("_collections._tuplegetter", _tuple_getter)
    registry.add("numpy.ufunc", _ufunc)
    registry.add("ray.remote_function.RemoteFunction", _remote_function)
    registry.add("numpy._core._multiarray_umath._ArrayFunctionDispatcher", _named)
    registry.add(staticmethod, _wrapped)
    registry.add(classmethod, _wrapped)
    for kind in DESCRIPTORS:
        registry.add(kind, _descriptor)
