"""Values in a few words."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import math
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from raycache.core.fingerprint.values import describe


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Options:
    rate: float = 0.1


class Hostile:
    """Whatever is asked of it fails."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __str__ = __repr__


class HostileList(list):
    def __len__(self) -> int:
        raise RuntimeError("len")


class HostileArray(np.ndarray):
    def __repr__(self) -> str:
        raise RuntimeError("repr")


def clean(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("small", "'small'"),
        (b"small", "b'small'"),
        (0.6, "0.6"),
        (math.nan, "nan"),
        (-3, "-3"),
        (True, "True"),
        (None, "None"),
        (..., "Ellipsis"),
        (1 + 2j, "(1+2j)"),
        (range(3), "range(0, 3)"),
        (2**1000, "int of 1,001 bits"),
        ("x" * 1000, f"'{'x' * 52}'..."),
        (decimal.Decimal("1.50"), "1.50"),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (pathlib.Path("a/b"), "a/b"),
        ([1, 2, 3], "list of 3"),
        ((), "tuple of 0"),
        ({i: i for i in range(1000)}, "dict of 1,000"),
        ({1}, "set of 1"),
        (collections.Counter("aab"), "Counter of 2"),
        (Color.RED, "Color.RED"),
        (Color, "class `Color`"),
        (clean, "function `clean`"),
        (len, "function `len`"),
        ("".join, "function `str.join`"),
        (functools.partial(clean, "a"), "partial of function `clean`"),
        (math, "module `math`"),
        (Options(), "object of type Options"),
        (object(), "object of type object"),
        (np.zeros((3, 4)), "array float64, shape (3, 4)"),
        (np.array(5), "array of 5"),
        (np.float32(0.5), "float32 0.5"),
        (np.dtype("f4"), "dtype float32"),
        (pd.DataFrame(np.zeros((1000, 4))), "DataFrame, 1,000 x 4"),
        (pd.Series([1, 2]), "Series int64, shape (2,)"),
        (pd.RangeIndex(3), "RangeIndex int64, shape (3,)"),
        (pd.Timestamp("2024-01-02"), "Timestamp 2024-01-02 00:00:00"),
        (pd.NaT, "NaTType NaT"),
        (pd.Categorical(["a", "b"]), "Categorical category, shape (2,)"),
        (pl.DataFrame({"a": [1, 2]}), "DataFrame, 2 x 1"),
        (pl.Series([1, 2]), "Series Int64, shape (2,)"),
        (pa.table({"a": [1, 2]}), "Table, 2 x 1"),
        (pa.array([1, 2]), "Int64Array of 2"),
        (sp.csr_array((3, 4)), "csr_array float64, shape (3, 4)"),
    ],
    ids=lambda each: each if isinstance(each, str) and len(each) < 61 else "",
)
def test_a_value_is_described(value, text):
    assert describe(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Hostile(), "object of type Hostile"),
        (HostileList([1, 2]), "HostileList of 2"),
        ([Hostile()], "list of 1"),
        (np.zeros(2).view(HostileArray), "array float64, shape (2,)"),
        (object.__new__(pd.DataFrame), "object of type DataFrame"),
        (type("Long" * 50, (), {})(), f"object of type {'Long' * 50}"[:57] + "..."),
        (type("Meta", (type,), {"__getattribute__": Hostile.__getattribute__})("Class", (), {}), "object of type Meta"),
    ],
    ids=range(7),
)
def test_a_value_that_cannot_be_shown_is_described_by_its_type(value, text):
    assert describe(value) == text
