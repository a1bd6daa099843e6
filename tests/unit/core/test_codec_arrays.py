"""Arrays: their bytes travel beside the pickle, and what is decoded cannot be written to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from raycache.core.codec import FRAMES, PICKLE, Codec, decode, shareable

DTYPES = arrays.integer_dtypes() | arrays.floating_dtypes() | arrays.boolean_dtypes() | arrays.byte_string_dtypes()
ARRAYS = arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
GRID = np.arange(24.0).reshape(4, 6)

LAYOUTS = {
    "contiguous": GRID,
    "fortran": np.asfortranarray(GRID),
    "strided": GRID[::2, 1::2],
    "reversed": GRID[::-1],
    "empty": GRID[:0],
    "scalar": np.array(3.0),
    "broadcast": np.broadcast_to(np.arange(3), (4, 3)),
    "structured": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
}


def stored(value):
    """The value as it comes out of the pages."""
    tag, data = Codec().encode(value).packed()
    return decode(tag, (data,))


@given(array=ARRAYS)
def test_an_array_comes_back_as_it_was(array):
    back = stored(array)

    np.testing.assert_array_equal(back, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)


@pytest.mark.parametrize("array", LAYOUTS.values(), ids=LAYOUTS)
def test_the_layout_of_an_array_does_not_matter(array):
    back = stored(array)

    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


def test_an_array_of_objects_comes_back():
    array = np.array([{"a": 1}, [2], None], dtype=object)

    assert stored(array).tolist() == array.tolist()


@given(some=st.lists(ARRAYS, max_size=4))
def test_arrays_inside_other_values_come_back(some):
    back = stored({"arrays": some, "count": len(some)})

    assert back["count"] == len(some)
    for one, other in zip(back["arrays"], some, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_bytes_of_an_array_are_not_copied_into_the_pickle():
    array = np.zeros(1000)
    blob = Codec().encode(array)

    assert blob.tag == PICKLE
    assert np.shares_memory(np.frombuffer(blob.parts[1]), array)


def test_an_array_from_the_pages_uses_their_memory():
    tag, data = Codec().encode(np.zeros(1000)).packed()
    back = decode(tag, (data,))

    assert tag == FRAMES
    assert np.shares_memory(back, np.frombuffer(data, np.uint8))
    assert back.ctypes.data % 8 == 0


def test_an_array_from_the_pages_cannot_be_written_to():
    back = stored(np.zeros(1000))
    with pytest.raises(ValueError, match="read-only"):
        back[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        back.setflags(write=True)

    assert shareable(back)


def _view_of_writable() -> np.ndarray:
    view = np.zeros(3)[:]
    view.setflags(write=False)
    return view


def _object_array() -> np.ndarray:
    array = np.array([[]], dtype=object)
    array.setflags(write=False)
    return array


MUTABLE = {
    "writable": np.zeros(3),
    "read-only, but its owner can make it writable again": np.frombuffer(np.zeros(3)),
    "read-only view of a writable array": _view_of_writable(),
    "array of objects": _object_array(),
    "over a bytearray": np.frombuffer(bytearray(8)),
    "subclass": np.frombuffer(bytes(8)).view(np.recarray),
    "in a tuple": (np.zeros(3),),
}


@pytest.mark.parametrize("array", MUTABLE.values(), ids=MUTABLE)
def test_an_array_that_somebody_can_write_to_is_not_shared(array):
    assert not shareable(array)


@given(array=ARRAYS)
def test_an_array_that_is_shared_can_never_be_made_writable(array):
    back = stored(array)
    if shareable(back):
        with pytest.raises(ValueError, match="WRITEABLE"):
            back.setflags(write=True)
    else:
        assert back.flags.writeable or back.size == 0 or back.dtype.hasobject or back.ndim == 0
