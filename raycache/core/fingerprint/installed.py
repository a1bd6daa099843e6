"""References to what is installed: a name, and the package whose version stands for the code.

An object is referred to by name only if the name leads to it: a class or function that an installed package has made at
run time is not what its name says.
"""

from __future__ import annotations

import sys
import types
from typing import Any, NamedTuple

from raycache.core.fingerprint.packages import MAIN, Package, package_of

_HEAP_TYPE = 1 << 9  # a type that was made at run time, by a class statement or by C code that works like one
DESCRIPTORS = (
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)


class Reference(NamedTuple):
    """Where an installed object is found."""

    package: Package
    path: str

    def encoded(self) -> bytes:
        """The reference as bytes, without the version."""
        return f"installed {self.package.name} {self.path}".encode()


def refer(value: Any) -> Reference | None:
    """The reference of an installed function, class or module; None for the user's own, and for what has no name."""
    if isinstance(value, types.FunctionType):
        return _function(value)
    if isinstance(value, type):
        return _class(value)
    if isinstance(value, types.ModuleType):
        package = _package(value.__name__, getattr(value, "__file__", None) or "")
        return package and Reference(package, value.__name__)
    if isinstance(value, types.BuiltinFunctionType):
        return _builtin(value)
    if isinstance(value, DESCRIPTORS):
        owner = refer(value.__objclass__)
        return owner and owner._replace(path=f"{owner.path}.{value.__name__}")
    return _named(value) if callable(value) and _package(type(value).__module__) is not None else None


def is_installed(function: types.FunctionType) -> Package | None:
    """The package that a function's code belongs to, whatever name a decorator has given to the function."""
    return _package(function.__globals__.get("__name__", ""), function.__code__.co_filename)


def _package(module: Any, filename: str = "") -> Package | None:
    if not isinstance(module, str) or (module in MAIN and (not filename or filename[0] == "<")):
        return None
    return package_of(module, filename)


def _function(function: types.FunctionType) -> Reference | None:
    if function.__closure__ or "__wrapped__" in function.__dict__ or "<" in function.__qualname__:
        return None
    package = is_installed(function)
    return package and Reference(package, f"{function.__globals__.get('__name__')}.{function.__qualname__}")


def _builtin(function: types.BuiltinFunctionType) -> Reference | None:
    """A function written in C; not a method that is bound to a value."""
    module = function.__module__ or "builtins"
    bound = function.__self__
    if bound is not None and not (isinstance(bound, types.ModuleType) and bound.__name__ in (module, "builtins")):
        return None
    package = _package(module)
    return package and Reference(package, f"{module}.{function.__qualname__}")


def _class(kind: type) -> Reference | None:
    module = kind.__module__
    package = None if module in MAIN else _package(module)
    if package is None or (kind.__flags__ & _HEAP_TYPE and not leads_to(module, kind.__qualname__, kind)):
        return None
    return Reference(package, f"{module}.{kind.__qualname__}")


def _named(value: Any) -> Reference | None:
    """A callable object of an installed package that has a name there, as many functions of numpy are."""
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(path, str) or not isinstance(module, str) or not leads_to(module, path, value):
        return None
    package = None if module in MAIN else _package(module)
    return package and Reference(package, f"{module}.{path}")


def leads_to(module: str, path: str, value: Any) -> bool:
    """Whether a name in a module is the name of this very object."""
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found is value
