"""pandas, polars and pyarrow: labels, types and items count, and not how they lie in memory."""

from __future__ import annotations

import datetime
import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache import UnhashableArgument
from raycache.core.fingerprint.values import fingerprint

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": [1.5, math.nan, 2.5], "c": ["x", None, "z"]})
STR = pd.StringDtype(na_value=math.nan)  # what text is by default, from pandas 3 on
DAYS = pd.date_range("2024-01-01", periods=3)
MOMENT = pd.Timestamp("2024-10-27 02:30")
TABLE = pa.table({"a": [1, None, 3], "b": ["x", "", None], "c": [[1], None, [2, 3]]})
POLARS = pl.DataFrame({"a": [1, None, 3], "b": ["x", "", None], "c": [[1], None, [2, 3]]})


def attributed(frame: pd.DataFrame, **attributes: Any) -> pd.DataFrame:
    frame = frame.copy()
    frame.attrs.update(attributes)
    return frame


class Measured(pd.DataFrame):
    """A frame of a class of its own, with an attribute."""

    _metadata = ["unit"]  # noqa: RUF012  # as pandas has it

    @property
    def _constructor(self):
        return Measured


def measured(unit: str) -> Measured:
    frame = Measured(FRAME)
    frame.unit = unit
    return frame


#: In each row, all are different from each other.
DIFFERENT: list[list[Any]] = [
    [
        FRAME,
        FRAME[["b", "a", "c"]],
        FRAME.rename(columns={"a": "x"}),
        FRAME[["a", "b"]],
        FRAME.iloc[:2],
        FRAME.iloc[::-1],
    ],
    [
        FRAME,
        FRAME.astype({"a": "i4"}),
        FRAME.astype({"a": "f8"}),
        FRAME.astype({"a": object}),
        FRAME.assign(a=[1, 2, 4]),
    ],
    [FRAME, FRAME.set_index("a"), FRAME.set_axis([0, 1, 3]), FRAME.set_axis([0.0, 1.0, 2.0]), FRAME.rename_axis("i")],
    [FRAME, FRAME.rename_axis(columns="i"), attributed(FRAME, a=1), attributed(FRAME, a=2), FRAME.fillna({"b": 0.0})],
    [FRAME, FRAME.to_dict("list"), FRAME.to_numpy(), FRAME.set_axis(["a", "b", "b"], axis=1), FRAME.T],
    [FRAME, FRAME.set_flags(allows_duplicate_labels=False), Measured(FRAME), measured("m"), measured("s")],
    [
        pd.DataFrame(),
        pd.DataFrame(index=[0]),
        pd.DataFrame(columns=["a"]),
        pd.DataFrame({"a": pd.Series([], dtype="f8")}),
    ],
    [
        FRAME["a"],
        FRAME[["a"]],
        FRAME["a"].rename("x"),
        FRAME["a"].rename(None),
        FRAME["a"].array,
        FRAME["a"].to_numpy(),
    ],
    [
        pd.Series([1, 2], dtype=each)
        for each in ("i8", "Int64", "f8", "Float64", "int64[pyarrow]", object, "u1", "UInt8")
    ],
    [pd.Series(["a", None], dtype=each) for each in (STR, "string[pyarrow]", "string[python]", object)],
    [pd.Series([True, None], dtype="boolean"), pd.Series([True, False], dtype="boolean"), pd.Series([True, False])],
    [pd.Series([1, None], dtype="Int64"), pd.Series([1, 0], dtype="Int64"), pd.Series([1, 1], dtype="Int64")],
    [pd.Categorical(["a", "b"]), pd.Categorical(["a", "b"], ["b", "a"]), pd.Categorical(["b", "a"], ["b", "a"])],
    [pd.Categorical(["a", "b"]), pd.Categorical(["a", "b"], ordered=True), pd.Categorical(["a", "b"], ["a", "b", "c"])],
    [pd.Categorical(["a", None]), pd.Categorical(["a", "a"]), pd.Categorical([None, "a"])],
    [
        DAYS,
        DAYS.tz_localize("UTC"),
        DAYS.tz_localize("Europe/Berlin"),
        DAYS.as_unit("s"),
        DAYS[:2],
        DAYS._with_freq(None),
    ],
    [
        pd.Series(DAYS),
        pd.Series(DAYS.tz_localize("UTC")),
        pd.Series(DAYS).astype("M8[s]"),
        pd.Series(DAYS.astype(object), dtype=object),
    ],
    [DAYS.tz_localize("UTC"), DAYS.tz_localize("UTC").tz_convert("Europe/Berlin"), DAYS.to_period(), DAYS - DAYS[0]],
    [
        pd.RangeIndex(3),
        pd.Index([0, 1, 2]),
        pd.RangeIndex(3, name="i"),
        pd.RangeIndex(0, 6, 2),
        pd.Index(["0", "1", "2"]),
    ],
    [pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=each) for each in (None, ["x", "y"], ["y", "x"])],
    [
        pd.MultiIndex.from_tuples(each)
        for each in ([(1, "a"), (2, "b")], [(2, "a"), (1, "b")], [(1.0, "a"), (2.0, "b")])
    ],
    [
        pd.interval_range(0, 2),
        pd.interval_range(0, 2, closed="left"),
        pd.interval_range(0.0, 2.0),
        pd.interval_range(0, 3),
    ],
    [pd.period_range("2024", periods=2, freq="Y"), pd.period_range("2024", periods=2, freq="M")],
    [pd.arrays.SparseArray([0, 0, 1]), pd.arrays.SparseArray([0, 1, 0]), pd.arrays.SparseArray([0, 0, 1, 0])],
    [
        pd.arrays.SparseArray([0, 0, 1]),
        pd.arrays.SparseArray([0, 0, 1], fill_value=1),
        pd.arrays.SparseArray([0.0, 0, 1]),
    ],
    [MOMENT, MOMENT.tz_localize("UTC"), MOMENT.as_unit("ns"), MOMENT.to_pydatetime(), MOMENT + pd.Timedelta("1us")],
    [MOMENT.tz_localize("Europe/Berlin", ambiguous=True), MOMENT.tz_localize("Europe/Berlin", ambiguous=False)],
    [pd.Timedelta("1D"), pd.Timedelta("1D").as_unit("ms"), pd.Timedelta("2D"), datetime.timedelta(days=1)],
    [pd.NaT, pd.NA, None, math.nan, np.datetime64("NaT", "s"), "NaT"],
    [pd.Interval(0, 1), pd.Interval(0, 1, "left"), pd.Interval(0, 2), pd.Interval(0.0, 1.0)],
    [pd.Period("2024", "Y"), pd.Period("2024", "M"), pd.Period("2025", "Y")],
    [
        pd.DateOffset(months=1),
        pd.DateOffset(months=2),
        pd.DateOffset(days=1),
        pd.offsets.Day(1),
        pd.offsets.MonthEnd(1),
    ],
    [pd.Int64Dtype(), pd.UInt8Dtype(), pd.StringDtype(), pd.CategoricalDtype(["a"]), pd.CategoricalDtype(["a"], True)],
    [TABLE, TABLE.select(["b", "a", "c"]), TABLE.rename_columns(["x", "b", "c"]), TABLE.slice(1), TABLE.drop(["c"])],
    [TABLE, TABLE.to_batches()[0], TABLE.replace_schema_metadata({"k": "v"}), TABLE.schema, TABLE.to_pylist()],
    [
        pa.array([1, None]),
        pa.array([1, 0]),
        pa.array([None, 1]),
        pa.array([1, None], "i4"),
        pa.chunked_array([[1, None]]),
    ],
    [pa.array(["a", "bc"]), pa.array(["ab", "c"]), pa.array(["a", "bc"], pa.large_string()), pa.array([b"a", b"bc"])],
    [
        pa.array(["a", "bc"]),
        pa.array(["a", "bc"], pa.string_view()),
        pa.array(["a", "bc"]).dictionary_encode(),
        pa.array(["", "abc"]),
    ],
    [
        pa.array([[1], [2, 3]]),
        pa.array([[1, 2], [3]]),
        pa.array([[1, 2, 3]]),
        pa.array([[], [1, 2, 3]]),
        pa.array([None, []]),
    ],
    [pa.array([{"a": 1, "b": 2}]), pa.array([{"b": 2, "a": 1}]), pa.array([{"a": 1, "b": None}]), pa.array([{"a": 1}])],
    [
        pa.DictionaryArray.from_arrays([0, 1], ["a", "b"], ordered=True),
        pa.DictionaryArray.from_arrays([1, 0], ["b", "a"], ordered=True),
        pa.DictionaryArray.from_arrays([0, 1], ["a", "b"]),
        pa.array(["a", "b"]),
    ],
    [pa.array([True, False]), pa.array([False, True]), pa.array([True, None]), pa.array([1, 0], pa.uint8())],
    [pa.nulls(2), pa.nulls(3), pa.array([None, None], pa.int64()), pa.array([None, None], pa.string())],
    [pa.scalar(1), pa.scalar(1, pa.int32()), pa.scalar(None, pa.int64()), pa.scalar("1"), pa.scalar(1.0), 1],
    [pa.array([[("a", 1)]], pa.map_("string", "int64")), pa.array([[("a", 2)]], pa.map_("string", "int64"))],
    [
        pa.timestamp("s"),
        pa.timestamp("ms"),
        pa.timestamp("s", "UTC"),
        pa.date32(),
        pa.date64(),
        pa.int64(),
        pa.string(),
    ],
    [pa.list_(pa.int64()), pa.list_(pa.int64(), 2), pa.large_list(pa.int64()), pa.list_(pa.field("x", pa.int64()))],
    [
        pa.schema([("a", pa.int64())]),
        pa.schema([pa.field("a", pa.int64(), nullable=False)]),
        pa.schema([("b", pa.int64())]),
    ],
    [POLARS, POLARS.select("b", "a", "c"), POLARS.rename({"a": "x"}), POLARS[1:], POLARS.drop("c"), TABLE, FRAME],
    [
        POLARS,
        POLARS.with_columns(pl.col("a").cast(pl.Int32)),
        POLARS.with_columns(pl.col("a").fill_null(0)),
        POLARS["a"],
    ],
    [pl.Series("a", [1, 2]), pl.Series("b", [1, 2]), pl.Series("a", [2, 1]), pl.Series("a", [1.0, 2.0]), [1, 2]],
    [pl.DataFrame(), pl.DataFrame({"a": []}), pl.DataFrame({"a": []}, {"a": pl.Int64}), pl.DataFrame({"b": []})],
    [
        pl.Series(["a", "b"]),
        pl.Series(["a", "b"], dtype=pl.Categorical),
        pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])),
    ],
    [pl.Series(["a", "b"]), pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])), pl.Series([b"a", b"b"])],
    [pl.Series([MOMENT.to_pydatetime()], dtype=pl.Datetime(*each)) for each in (["us"], ["ms"], ["us", "UTC"])],
    [pl.Int64, pl.Int32, pl.Int64(), pl.Datetime("us"), pl.Datetime("ms"), pl.List(pl.Int64), pl.List(pl.Int32)],
]


def garbage(fill: int) -> pd.Series:
    """A nullable series with something under its missing value."""
    return pd.Series(pd.arrays.IntegerArray(np.array([1, fill]), np.array([False, True])))


def nulls_over(*items: float) -> pa.Array:
    """An Arrow array whose second item is null, with something under it."""
    return pa.Array.from_buffers(pa.float64(), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(np.array(items, float))])


SAME: list[tuple[Any, Any]] = [
    (FRAME, FRAME.copy()),
    (FRAME, pd.concat([FRAME.iloc[:1], FRAME.iloc[1:]])),
    (FRAME, FRAME[["c", "b", "a"]][["a", "b", "c"]]),
    (FRAME.iloc[1:], FRAME.drop(0)),
    (pd.DataFrame(np.arange(6).reshape(3, 2)), pd.DataFrame({0: [0, 2, 4], 1: [1, 3, 5]}, columns=pd.RangeIndex(2))),
    (pd.DataFrame(np.asfortranarray(np.arange(6).reshape(3, 2))), pd.DataFrame(np.arange(6).reshape(3, 2))),
    (attributed(FRAME, a=1, b=2), attributed(FRAME, b=2, a=1)),
    (measured("m"), measured("m")),
    (FRAME["a"], pd.Series([1, 2, 3], name="a")),
    (pd.Series([1.0, math.nan]), pd.Series([1.0, -math.nan])),
    (garbage(0), garbage(77)),
    (pd.Series(["a", None], dtype=STR), pd.Series(["a", math.nan], dtype=STR)),
    (pd.Series(["a", "b", "c"], dtype=STR).iloc[1:], pd.Series(["b", "c"], index=pd.RangeIndex(1, 3), dtype=STR)),
    (pd.Categorical(["a", "b"]), pd.Categorical.from_codes([0, 1], ["a", "b"])),
    (DAYS, pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-03"], freq="D").as_unit(DAYS.unit)),
    (pd.Series(DAYS), pd.Series(DAYS._with_freq(None))),
    (pd.MultiIndex.from_tuples([(1, "a"), (2, "b")]), pd.MultiIndex.from_product([[2, 1], ["b", "a"]])[[3, 0]]),
    (pd.Index([1, 2]), pd.Index(np.array([1, 9, 2])[::2])),
    (pd.interval_range(0, 2), pd.IntervalIndex.from_tuples([(0, 1), (1, 2)])),
    (pd.arrays.SparseArray([0, 0, 1]), pd.arrays.SparseArray(np.array([0, 0, 1]))),
    (pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-01").tz_localize("UTC")),
    (pd.Timedelta("1D"), pd.Timedelta("24h")),
    (pd.Period("2024", "Y"), pd.Period("2024-06-01", "Y")),
    (pd.DateOffset(months=1), pd.DateOffset(months=1)),
    (
        pd.Series([1, 2], dtype="int64[pyarrow]"),
        pd.concat([pd.Series([i], dtype="int64[pyarrow]") for i in (1, 2)], ignore_index=True),
    ),
    (TABLE, pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])),
    (TABLE.slice(1), pa.table({"a": [None, 3], "b": ["", None], "c": [None, [2, 3]]})),
    (TABLE, pa.Table.from_pylist(TABLE.to_pylist(), TABLE.schema)),
    (TABLE.to_batches()[0], pa.RecordBatch.from_pylist(TABLE.to_pylist(), TABLE.schema)),
    (pa.chunked_array([[1], [2, 3]]), pa.chunked_array([[1, 2], [], [3]])),
    (pa.chunked_array([], pa.int64()), pa.chunked_array([[]], pa.int64())),
    (pa.array([1, 2, 3])[1:], pa.array([2, 3])),
    (pa.array([True, False, None, True])[1:], pa.array([False, None, True])),
    (pa.array(["a", "bc", None, "d"])[1:], pa.array(["bc", None, "d"])),
    (pa.array(["a", "bc", None], pa.string_view())[1:], pa.array(["bc", None], pa.string_view())),
    (pa.array([[1], [2, 3], None])[1:], pa.array([[2, 3], None])),
    (pa.array([{"a": 1}, {"a": 2}, None])[1:], pa.array([{"a": 2}, None])),
    (
        pa.array([[("a", 1)], [("b", 2)]], pa.map_("string", "int8"))[1:],
        pa.array([[("b", 2)]], pa.map_("string", "int8")),
    ),
    (pa.array([[1, 2], [3, 4], None], pa.list_(pa.int8(), 2))[1:], pa.array([[3, 4], None], pa.list_(pa.int8(), 2))),
    (nulls_over(1, 7, 3), nulls_over(1, math.nan, 3)),
    (pa.array([math.nan, None]), pa.array([-math.nan, None])),
    (
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([1, 0, 1], "i4"), ["b", "a"]),
    ),
    (pa.chunked_array([["a"], ["b"]]).dictionary_encode(), pa.chunked_array([["a", "b"]]).dictionary_encode()),
    (pa.RunEndEncodedArray.from_arrays([2, 3], [1, 2]), pa.RunEndEncodedArray.from_arrays([1, 2, 3], [1, 1, 2])),
    (pa.scalar("a"), pa.array(["x", "a"])[1]),
    (POLARS, POLARS.clone()),
    (POLARS, pl.concat([POLARS[:1], POLARS[1:]], rechunk=False)),
    (POLARS[1:], pl.DataFrame({"a": [None, 3], "b": ["", None], "c": [None, [2, 3]]})),
    (pl.Series([1, 2]).set(pl.Series([False, True]), None), pl.Series([1, 3]).set(pl.Series([False, True]), None)),
    (pl.Series(["b", "a"], dtype=pl.Categorical), pl.Series(["x", "b", "a"], dtype=pl.Categorical)[1:]),
    (pl.Series([math.nan]), pl.Series([-math.nan])),
    (pl.Series([{"a": 1}]), pl.Series([{"a": 0}, {"a": 1}])[1:]),
]


@pytest.mark.parametrize("number", range(len(DIFFERENT)))
def test_different_frames_have_different_fingerprints(number):
    for one, other in itertools.combinations(DIFFERENT[number], 2):
        assert fingerprint(one) != fingerprint(other), f"{one!r:.300} and {other!r:.300}"


@pytest.mark.parametrize(("one", "other"), SAME, ids=range(len(SAME)))
def test_equal_frames_have_one_fingerprint(one, other):
    assert fingerprint(one) == fingerprint(other)


ROWS = st.lists(st.none() | st.lists(st.none() | st.text("ab", max_size=2), max_size=3), max_size=6)


@given(rows=ROWS, cuts=st.lists(st.integers(0, 6), max_size=3))
def test_chunks_and_offsets_of_arrow_arrays_have_no_influence(rows, cuts):
    kind = pa.list_(pa.string())
    whole = pa.array(rows, kind)
    ends = sorted({min(cut, len(rows)) for cut in cuts} | {0, len(rows)})
    chunks = [whole[start:end] for start, end in itertools.pairwise(ends)]

    assert fingerprint(pa.chunked_array(chunks, kind)) == fingerprint(pa.chunked_array([rows], kind))


@given(one=ROWS, other=ROWS)
def test_two_arrow_arrays_have_one_fingerprint_only_if_they_are_equal(one, other):
    first, second = (fingerprint(pa.array(rows, pa.list_(pa.string()))) for rows in (one, other))

    assert (first == second) == (one == other)


@given(one=ROWS, other=ROWS)
def test_two_polars_series_have_one_fingerprint_only_if_they_are_equal(one, other):
    first, second = (fingerprint(pl.Series(rows, dtype=pl.List(pl.String))) for rows in (one, other))

    assert (first == second) == (one == other)


def test_a_lazy_frame_is_refused_with_what_to_do():
    with pytest.raises(UnhashableArgument, match=r"`value` is a query that has not run; pass its \.collect\(\)"):
        fingerprint(POLARS.lazy())


def test_polars_objects_are_refused():
    with pytest.raises(UnhashableArgument, match="polars series of Python objects"):
        fingerprint(pl.Series([object()], dtype=pl.Object))


def test_arrow_unions_are_refused():
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])

    with pytest.raises(UnhashableArgument, match=r"`value\['u'\]` is an Arrow array of type sparse_union"):
        fingerprint(pa.table({"u": union}))


def test_what_has_no_fingerprint_in_a_frame_is_named_with_its_column():
    with pytest.raises(UnhashableArgument, match=r"`value\.iloc\[:, 1\]\[0\]` is of type object"):
        fingerprint(pd.DataFrame({"a": [1], "b": [object()]}))
