"""pandas: frames, series and indexes by labels, dtypes and items in their order.

Imported when the first value of pandas' turns up. Names, `attrs`, the kind of an index and its `freq` count. How the
columns lie in memory has no influence, nor what an extension array holds under a missing value, nor the levels of a
MultiIndex beside those in use.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.registry import Registry

#: What a frame or a series keeps in its `__dict__`, and is encoded by other means.
_OWN = {"_mgr", "_attrs", "_flags", "_name", "_item_cache", "_cacher", "_is_copy"}


def _frame(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"DataFrame")
    encoder.value(value.columns, ".columns")
    encoder.value(value.index, ".index")
    for number in range(value.shape[1]):
        _column(value.iloc[:, number].array, encoder, f".iloc[:, {number}]")
    _added(value, encoder)


def _series(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"Series")
    encoder.value(value.name, ".name")
    encoder.value(value.index, ".index")
    _column(value.array, encoder)
    _added(value, encoder)


def _added(value: Any, encoder: Encoder) -> None:
    """What people and subclasses have added to a frame or a series."""
    encoder.value(None if type(value) in (pd.DataFrame, pd.Series) else type(value))
    encoder.value(value.attrs, ".attrs")
    encoder.value(value.flags.allows_duplicate_labels)
    encoder.mapping(((name, each) for name, each in vars(value).items() if name not in _OWN), ".{}".format)


def _index(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"Index")
    encoder.value(type(value).__name__)
    encoder.value(tuple(value.names), ".names")
    if isinstance(value, pd.RangeIndex):
        items = range(value.start, value.stop, value.step)
        encoder.value((len(items), *items[:2]))  # equal ones may have other stops, as slices of others have
        return
    encoder.value(getattr(value, "freqstr", None))
    for level in range(value.nlevels):
        _column(value.get_level_values(level).array, encoder)


def _column(array: Any, encoder: Encoder, step: str = "") -> None:
    """Items with their dtype, whatever array holds them."""
    encoder.value(array.to_numpy() if type(array) is pd.arrays.NumpyExtensionArray else array, step)


def _extension_array(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"ExtensionArray")
    encoder.value(type(value).__name__)
    encoder.value(value.dtype)
    for part in _parts(value):
        encoder.made(part)


def _parts(array: Any) -> tuple[Any, ...]:
    """What an extension array holds besides its dtype."""
    kinds = pd.arrays
    if isinstance(array, (kinds.DatetimeArray, kinds.TimedeltaArray, kinds.PeriodArray)):
        return (array.asi8,)
    if isinstance(array, (kinds.IntegerArray, kinds.FloatingArray, kinds.BooleanArray)):
        dtype = array.dtype.numpy_dtype
        return array.isna(), array.to_numpy(dtype=dtype, na_value=dtype.type(0))
    if isinstance(array, pd.Categorical):
        return (array.codes,)  # the categories are in the dtype
    if isinstance(array, kinds.IntervalArray):
        return array.left, array.right
    if isinstance(array, kinds.SparseArray):
        return len(array), array.sp_index.to_int_index().indices, array.sp_values
    if isinstance(array, kinds.ArrowExtensionArray):
        return (array.__arrow_array__(),)
    return (array.to_numpy(object),)  # StringArray


def _dtype(value: Any, encoder: Encoder) -> None:
    """By what a dtype is equal to others by, which every dtype declares."""
    encoder.tag(b"ExtensionDtype")
    encoder.value(type(value).__name__)
    encoder.value(
        str(value) if isinstance(value, pd.PeriodDtype) else [getattr(value, each) for each in value._metadata]
    )


def _moment(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"Timestamp" if isinstance(value, pd.Timestamp) else b"Timedelta")
    encoder.value((value.unit, int(value.asm8.view("i8"))))
    if isinstance(value, pd.Timestamp):
        encoder.value(value.fold)
        encoder.value(value.tzinfo, ".tzinfo")


def _interval(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"Interval")
    encoder.value(value.left, ".left")
    encoder.value(value.right, ".right")
    encoder.value(value.closed)


def _period(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"Period")
    encoder.value((value.ordinal, value.freqstr))


def _offset(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"DateOffset")
    encoder.value((type(value).__name__, value.n, value.normalize))
    encoder.value({name: each for name, each in value.kwds.items() if name != "calendar"})  # made of the others


def _missing(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"NaT" if value is pd.NaT else b"NA")


def register(registry: Registry) -> None:
    """Adds the handlers for pandas."""
    kinds = pd.arrays
    registry.add(pd.DataFrame, _frame)
    registry.add(pd.Series, _series)
    registry.add(pd.Index, _index)
    for array in (
        kinds.DatetimeArray,
        kinds.TimedeltaArray,
        kinds.PeriodArray,
        kinds.IntegerArray,
        kinds.FloatingArray,
    ):
        registry.add(array, _extension_array)
    for array in (
        kinds.BooleanArray,
        kinds.IntervalArray,
        kinds.SparseArray,
        kinds.ArrowExtensionArray,
        pd.Categorical,
    ):
        registry.add(array, _extension_array)
    registry.add(kinds.NumpyExtensionArray, _numpy_array)
    registry.add(kinds.StringArray, _extension_array)
    registry.add(pd.api.extensions.ExtensionDtype, _dtype)
    registry.add(pd.Timestamp, _moment)
    registry.add(pd.Timedelta, _moment)
    registry.add(pd.Interval, _interval)
    registry.add(pd.Period, _period)
    registry.add(pd.offsets.BaseOffset, _offset)
    registry.add(type(pd.NaT), _missing)
    registry.add(type(pd.NA), _missing)


def _numpy_array(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"NumpyExtensionArray")
    encoder.value(value.to_numpy())
