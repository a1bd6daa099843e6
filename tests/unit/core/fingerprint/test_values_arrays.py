"""numpy and scipy.sparse: what an array holds counts, and not how it lies in memory."""

from __future__ import annotations

import gc
import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from raycache.core.fingerprint import arrays
from raycache.core.fingerprint.values import fingerprint

SQUARE = np.arange(9.0).reshape(3, 3)
BASE = np.arange(12)
LARGE = np.arange(20_000.0)  # 160 KB: hashed where it lies
HUGE = np.arange(1_500_000.0).reshape(1500, 1000)  # 12 MB: in several blocks
PAIR = [("a", "i1"), ("b", "f8")]


def objects(*items: Any) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def with_bits(bits: int) -> np.ndarray:
    return np.array([bits], np.uint64).view(np.float64)


class Tagged(np.ndarray):
    """An array of a class of its own, with attributes."""


def tagged(items: list[int], **attributes: Any) -> Any:
    array = np.array(items).view(Tagged)
    vars(array).update(attributes)
    return array


#: In each row, all are different from each other.
DIFFERENT: list[list[Any]] = [
    [SQUARE, SQUARE.T, SQUARE.ravel(), SQUARE.reshape(1, 9), SQUARE.reshape(9, 1), SQUARE[::-1], SQUARE[:, ::-1]],
    [BASE[0:4], BASE[1:5], BASE[2:6], BASE[0:8:2], BASE[3::-1], BASE[0:5]],
    [np.zeros(3, kind) for kind in ("i1", "u1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16", "?", "O", "S1", "U1")],
    [np.zeros(3, kind) for kind in (">i4", "<i4", "M8[s]", "M8[ns]", "m8[s]", "M8[25s]", "V4", "g", "G", "T")],
    [np.zeros(shape) for shape in (0, (0, 3), (3, 0), (0, 0), (1, 0), (2, 0), ())],
    [np.array(5), np.array([5]), np.int64(5), 5, [5], np.float64(5), np.int32(5)],
    [np.float64(1.5), 1.5, np.float32(1.5), np.array(1.5), np.longdouble(1.5)],
    [np.str_("a"), "a", np.bytes_(b"a"), b"a", np.array("a"), np.array(["a"])],
    [np.bool_(True), True, np.array(True), np.uint8(1)],
    [np.datetime64("2024-01-01"), np.datetime64("2024-01-01", "s"), np.datetime64("NaT", "s"), np.timedelta64(1, "D")],
    [objects("a-b", "c"), objects("a", "b-c"), objects("ab", "c"), np.array(["a-b", "c"]), np.array(["a", "b-c"])],
    [objects(1, 2), objects(1.0, 2), objects(True, 2), objects("1", 2), np.array([1, 2]), objects([1], [2])],
    [objects(None, 1), objects(math.nan, 1), objects(0, 1), objects(np.int64(0), 1)],
    [np.array(["a", "b"]), np.array([b"a", b"b"]), np.array(["a", "b"], "U2"), np.array(["b", "a"])],
    [np.array(["a", "b"], "T"), np.array(["ab", ""], "T"), np.array(["a", "b"])],
    [np.array([0.0]), np.array([-0.0]), np.array([math.nan]), np.array([math.inf]), np.array([-math.inf])],
    [np.array([1 + 1j]), np.array([complex(math.nan, 1)]), np.array([complex(1, math.nan)]), np.array([1 - 1j])],
    [np.array([(1, 2)], PAIR), np.array([(2, 1)], PAIR), np.array([(1, 2)], [("x", "i1"), ("b", "f8")])],
    [
        np.array([(1, 2)], PAIR),
        np.array([(1, 2)], [("a", "i2"), ("b", "f8")]),
        np.array([(1, 2)], np.dtype(PAIR, align=True)),
    ],
    [np.zeros(1, [("a", "i4", 2)]), np.zeros(1, [("a", "i4"), ("b", "i4")]), np.zeros(1, [("a", "i8")])],
    [np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0]), np.ma.array([1, 2]), np.array([1, 2])],
    [
        np.ma.array([1, 2], mask=[0, 1]),
        np.ma.array([1, 3], mask=[0, 1]),
        np.ma.array([1, 2], mask=[0, 1], fill_value=7),
        np.ma.masked,
    ],
    [tagged([1]), np.array([1]), tagged([2]), tagged([1], unit="m"), tagged([1], unit="s"), np.rec.array([(1,)])],
    [np.dtype("i4"), np.dtype(">i4"), np.dtype(PAIR), np.dtype(PAIR, align=True), np.dtype("M8[s]"), np.dtype("O")],
    [LARGE, LARGE + 0.5, LARGE[:-1], LARGE.astype("f4"), LARGE.reshape(2, -1), LARGE[::-1], LARGE.tolist()],
    [HUGE, HUGE.T, HUGE.reshape(1000, 1500), HUGE[:, ::-1], HUGE[::-1], HUGE + 1],
    [sp.csr_array(SQUARE), sp.csr_matrix(SQUARE), sp.csc_array(SQUARE), sp.coo_array(SQUARE), SQUARE],
    [
        sp.csr_array(SQUARE),
        sp.csr_array(SQUARE.T),
        sp.csr_array(SQUARE.astype("f4")),
        sp.csr_array((3, 3)),
        sp.csr_array((3, 4)),
    ],
    [sp.bsr_array(np.eye(4), blocksize=(1, 1)), sp.bsr_array(np.eye(4), blocksize=(2, 2)), sp.dia_array(np.eye(4))],
    [
        sp.dia_array(np.eye(4)),
        sp.lil_array(np.eye(4)),
        sp.dok_array(np.eye(4)),
        sp.coo_array(np.eye(4)),
        sp.coo_array(2 * np.eye(4)),
    ],
]


def padded(fill: int) -> np.ndarray:
    """An aligned structured array, whose padding bytes have been set."""
    array = np.full(3 * np.dtype(PAIR, align=True).itemsize, fill, np.uint8).view(np.dtype(PAIR, align=True))
    array["a"], array["b"] = [1, 2, 3], [1.5, 2.5, 3.5]
    return array


def extended(fill: int) -> np.ndarray:
    """A long double whose unused bytes have been set."""
    array = np.full(np.dtype(np.longdouble).itemsize, fill, np.uint8).view(np.longdouble)
    array.view(np.uint8)[:10] = np.array([1.5], np.longdouble).view(np.uint8)[:10]
    return array


def spare(matrix: Any) -> Any:
    """The matrix with a zero stored in it."""
    matrix = matrix.copy()
    matrix.data[0] = 0
    return matrix


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


SAME: list[tuple[Any, Any]] = [
    (SQUARE, np.asfortranarray(SQUARE)),
    (SQUARE.T, np.ascontiguousarray(SQUARE.T)),
    (SQUARE, SQUARE[::-1][::-1]),
    (SQUARE, read_only(SQUARE)),
    (BASE[1:5], np.array([1, 2, 3, 4])),
    (BASE[::2], np.array([0, 2, 4, 6, 8, 10])),
    (BASE[::-1], np.array(range(11, -1, -1))),
    (BASE.reshape(3, 4)[:, 1], np.array([1, 5, 9])),
    (BASE.reshape(2, 3, 2).transpose(2, 0, 1), np.ascontiguousarray(BASE.reshape(2, 3, 2).transpose(2, 0, 1))),
    (np.broadcast_to(np.array([1, 2]), (3, 2)), np.array([[1, 2]] * 3)),
    (np.zeros((0, 3)), np.ones((0, 3))),
    (np.array([1, 2], "l"), np.array([1, 2], "q")),
    (np.array([1, 2], "=i4"), np.array([1, 2], "<i4")),
    (np.array([math.nan, 1]), np.array([-math.nan, 1])),
    (with_bits(0x7FF8_0000_0000_0000), with_bits(0xFFF8_0000_DEAD_BEEF)),
    (np.array([math.nan], "f4"), -np.array([math.nan], "f4")),
    (np.array([complex(math.nan, 1)]), np.array([complex(-math.nan, 1)])),
    (np.array([1, math.nan], ">f8"), np.array([1, -math.nan], ">f8")),
    (extended(0), extended(255)),
    (padded(0), padded(255)),
    (padded(0)[::2], padded(7)[::2].copy()),
    (np.array(["a", "b"]), np.array(["a", "b", "c"])[:2]),
    (np.array(["a", "b"], "T"), np.array(["a", "x", "b"], "T")[::2]),
    (objects("a", [1]), objects("".join("a"), [1])),
    (objects(1, "x", None)[::-1], objects(None, "x", 1)),
    (objects(*range(5)).reshape(1, 5), np.asfortranarray(objects(*range(5)).reshape(1, 5))),
    (np.array("2024-01-01", "M8[s]")[()], np.datetime64("2024-01-01", "s")),
    (np.float64(1.5), np.array([1.5])[0]),
    (np.float64("nan"), -np.float64("nan")),
    (np.ma.array([1, 2]), np.ma.array([1, 2], mask=[0, 0])),
    (np.ma.array([[1, 2]], mask=[[0, 1]]), np.ma.array([[1, 9, 2]], mask=[[0, 1, 1]])[:, ::2]),
    (tagged([1], a=1, b=2), tagged([1], b=2, a=1)),
    (LARGE, LARGE[::-1].copy()[::-1]),
    (LARGE.reshape(200, 100), np.asfortranarray(LARGE.reshape(200, 100))),
    (LARGE, np.frombuffer(LARGE.tobytes())),
    (HUGE, np.asfortranarray(HUGE)),
    (HUGE.T, HUGE.T.copy()),
    (HUGE.reshape(1, -1), HUGE.reshape(1, -1).copy()),
    (HUGE.reshape(-1)[::3], HUGE.reshape(-1)[::3].copy()),
    (HUGE.reshape(1, 1500, 1000).T, HUGE.reshape(1, 1500, 1000).T.copy()),
    (np.where(HUGE == 7, math.nan, HUGE), np.where(HUGE == 7, -math.nan, HUGE)),
    (sp.csr_array(SQUARE), sp.csr_array(sp.csc_array(SQUARE))),
    (sp.csr_array(([1.0, 2.0], ([0, 0], [1, 1])), (2, 2)), sp.csr_array(np.array([[0, 3.0], [0, 0]]))),
    (sp.csr_array(([1, 2], [1, 0], [0, 2]), (1, 2)), sp.csr_array(([2, 1], [0, 1], [0, 2]), (1, 2))),
    (spare(sp.csr_array(np.eye(3))), sp.csr_array(np.diag([0.0, 1.0, 1.0]))),
    (sp.coo_array(([1, 2], ([1, 0], [0, 1])), (2, 2)), sp.coo_array(([2, 1], ([0, 1], [1, 0])), (2, 2))),
    (sp.coo_array(([1, 2], ([0, 0], [0, 0])), (2, 2)), sp.coo_array(([3, 0], ([0, 1], [0, 0])), (2, 2))),
    (sp.dok_array(np.eye(3)), sp.dok_array(sp.lil_array(np.eye(3)))),
    (sp.dia_array(np.eye(3)), sp.dia_array((np.array([[1.0, 1, 1], [0, 0, 0]]), [0, 1]), (3, 3))),
]


@pytest.mark.parametrize("number", range(len(DIFFERENT)))
def test_different_arrays_have_different_fingerprints(number):
    for one, other in itertools.combinations(DIFFERENT[number], 2):
        assert fingerprint(one) != fingerprint(other), f"{one!r:.200} and {other!r:.200}"


@pytest.mark.parametrize(("one", "other"), SAME, ids=range(len(SAME)))
def test_equal_arrays_have_one_fingerprint(one, other):
    assert fingerprint(one) == fingerprint(other)


def test_a_memory_mapped_array_counts_by_its_items(tmp_path):
    for name, items in (("a", [1, 2]), ("b", [1, 2]), ("c", [1, 3])):
        np.array(items, "i4").tofile(tmp_path / name)
    one, same, other = (np.memmap(tmp_path / name, "i4", "r") for name in "abc")

    assert fingerprint(one) == fingerprint(same)
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) != fingerprint(np.array([1, 2], "i4"))


LAYOUTS = st.sampled_from([np.ascontiguousarray, np.asfortranarray, lambda a: np.repeat(a, 2, 0)[::2]])


@given(
    array=npst.arrays(npst.scalar_dtypes() | npst.array_dtypes(), npst.array_shapes(max_dims=3, max_side=4)),
    layout=LAYOUTS,
)
def test_the_layout_of_any_array_has_no_influence(array, layout):
    assert fingerprint(layout(array)) == fingerprint(array)


@given(data=st.data(), dtype=npst.integer_dtypes() | npst.boolean_dtypes() | npst.unicode_string_dtypes())
def test_two_arrays_have_one_fingerprint_only_if_they_are_equal(data, dtype):
    one, other = (data.draw(npst.arrays(dtype, npst.array_shapes(max_dims=2, max_side=3))) for _ in "ab")

    assert (fingerprint(one) == fingerprint(other)) == (one.shape == other.shape and bool((one == other).all()))


@pytest.fixture
def digested(monkeypatch) -> list[int]:
    """The sizes of the arrays that are hashed."""
    sizes: list[int] = []
    real = arrays._digest
    monkeypatch.setattr(arrays, "_digest", lambda array: sizes.append(array.size) or real(array))
    return sizes


def test_an_array_over_bytes_is_hashed_once(digested):
    array = np.frombuffer(LARGE.tobytes())

    assert fingerprint(array) == fingerprint({"x": array}["x"]) == fingerprint(LARGE)
    assert digested == [array.size, LARGE.size]


@pytest.mark.parametrize(
    "make",
    [
        lambda base: base,
        lambda base: read_only(base),  # its owner can make it writable again
        lambda base: np.frombuffer(memoryview(base).toreadonly()),
        lambda base: np.frombuffer(bytearray(base.tobytes())),
        lambda base: np.frombuffer(memoryview(bytearray(base.tobytes())).toreadonly()),
    ],
)
def test_an_array_that_can_change_is_hashed_every_time(digested, make):
    array = make(LARGE.copy())
    fingerprint(array)
    fingerprint(array)

    assert digested == [array.size] * 2


def test_a_change_through_the_base_of_a_read_only_view_is_seen():
    base = LARGE.copy()
    view = base[:]
    view.flags.writeable = False
    before = fingerprint(view)
    base[7] += 1

    assert fingerprint(view) != before


def test_an_immutable_array_that_gets_another_shape_has_another_fingerprint():
    array = np.frombuffer(LARGE.tobytes())
    before = fingerprint(array.reshape(100, 200))
    fingerprint(array)
    view = array.reshape(200, 100)

    assert fingerprint(view) != before
    assert fingerprint(view.reshape(100, 200)) == before


def test_remembered_digests_end_with_their_arrays():
    gc.collect()
    known = len(arrays.REMEMBERED)
    array = np.frombuffer(LARGE.tobytes())
    fingerprint(array)

    assert len(arrays.REMEMBERED) == known + 1

    del array
    gc.collect()

    assert len(arrays.REMEMBERED) == known


def test_a_forked_child_hashes_large_arrays(python):
    """The hashing threads of the parent are not there in the child."""
    program = """
import os, numpy as np
from raycache.core.fingerprint.values import fingerprint
array = np.arange(4_000_000.0)
digest = fingerprint(array)
child = os.fork()
if not child:
    os._exit(0 if fingerprint(array) == digest else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert python(program) == "0"


def test_the_tables_have_enough_rows():
    assert sum(len(row) * (len(row) - 1) // 2 for row in DIFFERENT) >= 120
    assert len(SAME) >= 40
