"""Memoized functions on their way to the process that runs them: what runs there is what was fingerprinted here.

The user's own functions travel by value, in the function itself and in its arguments, and of the user's own modules
what the functions read of them, whatever state of the same modules the other process has imported. What code looks up
by itself where it runs is checked there: classes, which travel by reference as long as they can be imported, so that a
result is an instance of the class that everybody knows; modules that are used as a whole; what an import inside a
function leads to.
"""

from __future__ import annotations

import functools
import io
import sys
import types
from collections.abc import Callable, Mapping, Set
from typing import Any

import cloudpickle

from raycache.core.classes import is_main, reduced_exactly
from raycache.core.fingerprint.packages import MAIN, installed
from raycache.errors import UnpicklableGetter

#: The names that code looks up in a mapping, such as a module's, by the mapping's id.
LookedUp = Mapping[int, Set[Any]]

_LRU_CACHE = type(functools.lru_cache(len))
#: What a module is known by, and its code needs to import others.
_ABOUT = ("__name__", "__package__", "__path__", "__file__", "__doc__")
_SELF = "__stand_in__"
#: What Python and cloudpickle put into a namespace by themselves.
_OWN = frozenset({_SELF, "__builtins__", "__spec__", "__loader__"})
_SHOWN = frozenset({*functools.WRAPPER_ASSIGNMENTS, "__wrapped__", "__annotate__"})
_DISPATCHER = _SHOWN | {"register", "dispatch", "registry", "_clear_cache"}


def dump_function(function: Callable[..., Any], name: str, looked_up: LookedUp) -> bytes:
    """A memoized function as bytes; UnpicklableGetter names it and what stood in the way."""
    try:
        return dump_by_value(function, looked_up)
    except Exception as error:
        raise UnpicklableGetter(
            f"the function {name} cannot be pickled together with what it reads, so that no other process can run it: "
            f"{error}. Open files, locks and connections inside the function, pass what it needs as arguments, or "
            f"memoize it with where='caller'"
        ) from error


def dump_by_value(value: Any, looked_up: LookedUp) -> bytes:
    """A value as bytes, with the user's own functions by value; raises what pickle raises."""
    stream = io.BytesIO()
    ByValue(stream, looked_up).dump(value)
    return stream.getvalue()


class StandIn(types.ModuleType):
    """What is read of a module, beside the one of its name that this process may have imported."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        vars(self)[_SELF] = self  # so that the functions that have these globals lead to the module


class _Namespace(dict[str, Any]):
    """In a pickle, the globals of the functions of a module that travels as a stand-in: those of the stand-in."""

    def __init__(self, module: types.ModuleType) -> None:
        super().__init__(__name__=module.__name__)
        self.module = module


class ByValue(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Pickles the user's own functions by value, wherever they could be imported from."""

    def __init__(self, stream: io.BytesIO, looked_up: LookedUp, buffer_callback: Any = None) -> None:
        super().__init__(stream, protocol=5, buffer_callback=buffer_callback)
        self._looked_up = looked_up

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.FunctionType):
            return self._function(obj)
        if is_main(obj):
            return reduced_exactly(obj, super().reducer_override(obj))
        if isinstance(obj, types.ModuleType):
            return self._module(obj)
        if isinstance(obj, _Namespace):
            return vars, (obj.module,)
        if isinstance(obj, _LRU_CACHE) and not installed(getattr(obj, "__module__", None)):
            return _cached, (obj.__wrapped__, obj.cache_parameters()), _rest(obj, _SHOWN)
        if (by_value := getattr(type(obj), "__raycache_by_value__", None)) is not None:
            return by_value(obj)
        return super().reducer_override(obj)

    def _function(self, function: types.FunctionType) -> Any:
        if installed(getattr(function, "__module__", None)):
            return super().reducer_override(function)
        if function.__globals__ is vars(functools) and "registry" in vars(function):  # of functools.singledispatch
            state = dict(vars(function)["registry"]), _rest(function, _DISPATCHER)
            return _dispatching, (vars(function)["__wrapped__"],), state, None, None, _registered
        module = self._module_of(function)
        if module is not None and id(function.__globals__) not in self.globals_ref:
            # A function that rebinds a global of its module does so for whoever reads the module's attributes.
            self.globals_ref[id(function.__globals__)] = _Namespace(module)
        return self._dynamic_function_reduce(function)

    def _module_of(self, function: types.FunctionType) -> types.ModuleType | None:
        """The module that travels as a stand-in and has the function's globals."""
        space = function.__globals__
        module = space.get(_SELF) or sys.modules.get(str(space.get("__name__")))
        if not isinstance(module, types.ModuleType) or vars(module) is not space or module.__name__ in MAIN:
            return None
        return module if isinstance(module, StandIn) or self._names(module) else None

    def _names(self, module: types.ModuleType) -> Set[Any]:
        """What is read of a module of the user's; nothing where it is used as a whole."""
        names = frozenset() if installed(module.__name__) else self._looked_up.get(id(vars(module)), frozenset())
        return frozenset() if "__spec__" in names else names  # that one is looked at where it is used as a whole

    def _module(self, module: types.ModuleType) -> Any:
        inner = vars(module)
        if isinstance(module, StandIn):
            state = {name: value for name, value in inner.items() if name not in _OWN}
        elif names := self._names(module):
            state = {name: inner[name] for name in (*_ABOUT, *sorted(names)) if name in inner}
        else:
            return super().reducer_override(module)
        return StandIn, (module.__name__,), state, None, None, _filled


def _rest(obj: Any, shown: Set[str]) -> dict[str, Any]:
    """The attributes of a function that are not made together with it."""
    return {name: value for name, value in vars(obj).items() if name not in shown}


def _filled(module: types.ModuleType, state: dict[str, Any]) -> None:
    vars(module).update(state)


def _cached(function: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _dispatching(function: Callable[..., Any]) -> Any:
    return functools.singledispatch(function)


def _registered(dispatcher: Any, state: tuple[Mapping[type, Callable[..., Any]], dict[str, Any]]) -> None:
    registry, attributes = state
    for kind, function in registry.items():
        dispatcher.register(kind, function)
    vars(dispatcher).update(attributes)
