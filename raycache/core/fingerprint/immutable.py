"""Values that cannot change in place, so that it is enough to see that they are still the same objects."""

from __future__ import annotations

import array
import datetime
import functools
import logging
import re
import types
from typing import Any

from raycache.core.fingerprint.atoms import ATOMS

_ALONE = frozenset(ATOMS) - {bytearray, memoryview, array.array}
_ALONE |= {datetime.datetime, datetime.time, re.Pattern, logging.Logger}
#: What is watched for itself wherever it is met: the code of functions, the attributes of classes.
_CODE = (types.FunctionType, type, types.ModuleType)
_LRU_CACHE = type(functools.lru_cache(len))


def is_immutable(value: Any) -> bool:
    """Whether the value cannot change in place, all the way down; code is not part of it."""
    kind = type(value)
    if kind is tuple or kind is frozenset:
        return all(map(is_immutable, value))
    if kind is slice:
        return is_immutable((value.start, value.stop, value.step))
    if kind is functools.partial:
        return is_immutable((value.func, *value.args, *value.keywords.values()))
    if kind is types.MethodType:
        return is_immutable((value.__func__, value.__self__))
    if kind is types.BuiltinFunctionType:
        return is_immutable(value.__self__)
    if kind is _LRU_CACHE:
        return is_immutable(value.__wrapped__)
    if hasattr(kind, "__raycache_key__"):
        return _is_memoized(value) and is_immutable(value.__raycache_key__())
    return kind in _ALONE or isinstance(value, _CODE)


def _is_memoized(value: Any) -> bool:
    """Whether this is a memoized function whose key has the function itself in it, which is then watched for itself."""
    if type(value).__module__.partition(".")[0] != "raycache":
        return False
    key, wrapped = value.__raycache_key__(), getattr(value, "__wrapped__", None)
    return type(key) is tuple and any(each is wrapped for each in key)
