"""Values in a few words, for people: never a key, and never by the value's own `__repr__`."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import functools
import inspect
import pathlib
import types
import uuid
from collections.abc import Sized
from typing import Any

_WIDTH = 60
_SIMPLE = (bool, float, complex, type(None), type(Ellipsis), range)
_LIBRARIES = {"numpy", "pandas", "polars", "pyarrow", "scipy", "torch"}
_SHOWN = {"dtype", "device", "Timestamp", "Timedelta", "Period", "Interval", "NaTType", "NAType"}
_WRITTEN = frozenset(
    {decimal.Decimal, fractions.Fraction, datetime.datetime, datetime.date, datetime.time, datetime.timedelta}
    | {uuid.UUID, pathlib.PosixPath, pathlib.PurePosixPath}
)
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset)


def describe(value: Any) -> str:
    """A short text for people: "'small'", "0.6", "array float64, shape (3, 4)", "list of 3", "function `clean`".

    At most 60 characters; never fails, and never calls a user's `__repr__`.
    """
    try:
        text = _describe(value)
    except Exception:  # a half-made object: anything may be missing
        text = f"object of type {type.__dict__['__name__'].__get__(type(value))}"
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _describe(value: Any) -> str:
    kind = type(value)
    if kind in _SIMPLE:
        return repr(value)
    if kind is int:
        return str(value) if abs(value) < 10**_WIDTH else f"int of {value.bit_length():,} bits"
    if kind is str or kind is bytes:
        return repr(value) if len(value) < _WIDTH else f"{value[: _WIDTH - 8]!r}..."
    if kind in _WRITTEN:
        return str(value)
    return _callable(value) or _of_library(value) or _container(value) or _object(value)


def _container(value: Any) -> str:
    """How many; by the builtin's own method, since a subclass's may run anything."""
    base = next((base for base in _CONTAINERS if isinstance(value, base)), None)
    return f"{type(value).__name__} of {base.__len__(value):,}" if base else ""


def _callable(value: Any) -> str:
    if isinstance(value, type):
        return f"class `{value.__qualname__}`"
    if isinstance(value, types.ModuleType):
        return f"module `{value.__name__}`"
    if isinstance(value, functools.partial):
        return f"partial of {describe(value.func)}"
    if inspect.isroutine(value):
        return f"{'method' if inspect.ismethod(value) else 'function'} `{value.__qualname__}`"
    return ""


def _of_library(value: Any) -> str:
    """Arrays and tables say how large they are."""
    base = next((base for base in type(value).__mro__ if base.__module__.partition(".")[0] in _LIBRARIES), None)
    if base is None:
        return ""
    name, shape, dtype = base.__name__, getattr(value, "shape", None), getattr(value, "dtype", None)
    shown = next((each.__name__ for each in base.__mro__ if each.__name__ in _SHOWN), None)
    if shown is not None and type(value) is base:
        return f"{shown} {value}"
    if not isinstance(shape, tuple) or (dtype is None and len(shape) != 2):
        return f"{name} of {base.__len__(value):,}" if issubclass(base, Sized) else f"object of type {name}"
    if dtype is None:
        return f"{name}, {shape[0]:,} x {shape[1]:,}"
    if hasattr(base, "item") and shape == () and name != "Tensor":
        return f"{name if name != 'ndarray' else 'array of'} {describe(base.item(value))}"
    return f"{'array' if name == 'ndarray' else name} {dtype}, shape {tuple(map(int, shape))}"


def _object(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value._name_}"
    return f"object of type {type(value).__name__}"
