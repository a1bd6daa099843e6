"""polars: frames and series by names, dtypes and items in their order; imported when the first one turns up.

The items are read through Arrow, so that chunks, offsets and what lies under a null have no influence. A lazy frame is
refused: what it will be is not known before it is collected.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.refusal import Refused
from raycache.core.fingerprint.registry import Registry


def _frame(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"polars DataFrame")
    encoder.value(tuple(map(int, value.shape)))
    for column in value.get_columns():
        encoder.made(column, f"[{column.name!r}]")


def _series(value: Any, encoder: Encoder) -> None:
    if value.dtype == pl.Object:
        raise Refused(value, "is a polars series of Python objects", "pass them as a list")
    encoder.tag(b"polars Series")
    encoder.value(value.name)
    encoder.value(value.dtype)
    try:
        items = value.to_arrow()
    except ImportError as error:
        raise Refused(value, "is read through pyarrow, which is not installed", "install pyarrow") from error
    encoder.made(items)


def _dtype(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"polars dtype")
    encoder.value(type(value).__name__)
    parameters = vars(value).items()
    encoder.mapping(
        (name.lstrip("_"), list(each) if isinstance(each, pl.Series) else each) for name, each in parameters
    )


def _class(value: Any, encoder: Encoder) -> None:
    """`pl.Int64` stands for `pl.Int64()`; where a dtype has parameters, the class is for any of them."""
    encoder.tag(b"polars dtype class")
    encoder.value(value.__name__)


def _categories(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"polars categories")
    encoder.value((value.name(), value.namespace(), str(value.physical())))


def _field(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"polars field")
    encoder.value(value.name)
    encoder.value(value.dtype)


def _lazy(value: Any, encoder: Encoder) -> None:
    raise Refused(value, "is a query that has not run", "pass its .collect()")


def register(registry: Registry) -> None:
    """Adds the handlers for polars."""
    registry.add(pl.DataFrame, _frame)
    registry.add(pl.Series, _series)
    registry.add(pl.DataType, _dtype)
    registry.add(type(pl.DataType), _class)
    registry.add(pl.Field, _field)
    registry.add("polars.Categories", _categories)
    registry.add(pl.LazyFrame, _lazy)
