"""numpy: arrays by dtype, shape and items in logical order; imported when the first value of numpy's turns up.

How an array lies in memory has no influence: strides, offset, order, the bytes between the fields of a structured
array. All NaNs are one, as they are in Python. A large read-only array over bytes that cannot change is hashed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from blake3 import blake3

from raycache.core.fingerprint.atoms import DIGEST_BYTES, LARGE_BYTES, threads
from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.refusal import Refused
from raycache.core.fingerprint.registry import Registry
from raycache.core.fingerprint.remembered import RememberedDigests

_BLOCK_BYTES = 4 << 20  # large enough for threads, small enough to be in the cache when it is hashed
_EXTENDED_BYTES = 10  # of a long double on x86: the rest, up to 12 or 16, is never written

REMEMBERED = RememberedDigests()


def _array(value: Any, encoder: Encoder) -> None:
    array = value if type(value) is np.ndarray else np.asarray(value)
    encoder.tag(b"array")
    _dtype(array.dtype, encoder)
    encoder.value(array.shape)
    _items(array, encoder)


def _scalar(value: Any, encoder: Encoder) -> None:
    array = np.asarray(value)
    encoder.tag(b"scalar")
    _dtype(array.dtype, encoder)
    _items(array, encoder)


def _dtype(dtype: Any, encoder: Encoder) -> None:
    encoder.tag(b"dtype")
    encoder.value(dtype.str)
    if dtype.names is not None:
        encoder.value(dtype.itemsize)
        for name in dtype.names:
            each, offset, *title = dtype.fields[name]
            encoder.value((name, offset, *title))
            _dtype(each, encoder)
        encoder.value(None)
    elif dtype.subdtype is not None:
        encoder.value(dtype.shape)
        _dtype(dtype.base, encoder)
    elif dtype.kind == "T":
        encoder.value(getattr(dtype, "na_object", None))
        encoder.value(dtype.coerce)
    elif dtype.isbuiltin == 2:  # of another library, which may have named its bytes as it liked
        encoder.value(f"{dtype.type.__module__}.{dtype.type.__qualname__}")


def _items(array: Any, encoder: Encoder) -> None:
    dtype = array.dtype
    if dtype.names is not None:
        for name in dtype.names:
            _items(array[name], encoder)
    elif dtype.kind in "OT":
        _objects(array, encoder)
    elif array.nbytes < LARGE_BYTES:
        encoder.data(b"".join(map(memoryview, _blocks(array))))
    elif _unchangeable(array):
        form = (dtype, array.shape, array.strides, array.__array_interface__["data"])
        encoder.digested(REMEMBERED.digest(array, form, _digest))
    else:
        encoder.digested(_digest(array))


def _objects(array: Any, encoder: Encoder) -> None:
    try:
        encoder.items(array.ravel().tolist(), array.size)
    except Refused as refused:
        if array.ndim != 1:
            refused.step(".flat")
        raise


def _digest(array: Any) -> bytes:
    """Of all items in logical order, block by block: it is the digest of the bytes of a C-contiguous copy."""
    hasher = blake3(max_threads=threads(array.nbytes))
    for block in _blocks(array):
        hasher.update(block)
    return hasher.digest(DIGEST_BYTES)


def _blocks(array: Any) -> Iterator[Any]:
    """The bytes of all items in logical order, in blocks that fit into a processor's cache."""
    if array.nbytes <= _BLOCK_BYTES:
        yield _bytes(np.ascontiguousarray(array).reshape(-1))
        return
    if array.flags.c_contiguous:
        array = array.reshape(-1)
    rows = max(1, _BLOCK_BYTES * len(array) // array.nbytes)
    for start in range(0, len(array), rows):
        yield from _blocks(array[start : start + rows] if rows > 1 or array.ndim == 1 else array[start])


def _bytes(items: Any) -> Any:
    if items.dtype.kind in "fc":
        items = _plain_floats(items)
    return items.view(np.uint8).reshape(-1)


def _plain_floats(items: Any) -> Any:
    """Floats whose bytes are equal where they are; numpy makes NaNs of either sign, as 0/0 and as -(0/0)."""
    nan = np.isnan(items)
    if nan.any():
        items = items.copy()
        parts = (
            items.view(np.dtype(f"{items.dtype.byteorder}f{items.itemsize // 2}")) if items.dtype.kind == "c" else items
        )
        parts[np.isnan(parts)] = np.nan
    if items.dtype.type in (np.longdouble, np.clongdouble) and np.finfo(np.longdouble).nmant == 63:
        size = np.dtype(np.longdouble).itemsize
        return np.ascontiguousarray(items.view(np.uint8).reshape(-1, size)[:, :_EXTENDED_BYTES])
    return items


def _unchangeable(array: Any) -> bool:
    """Whether the array is read-only all the way down to bytes that nobody can write to."""
    while type(array) is np.ndarray:
        if array.flags.writeable:
            return False
        array = array.base
    holder = array.obj if isinstance(array, memoryview) and array.readonly else array
    # Objects in Ray's object store are sealed; a buffer keeps its object there.
    return type(holder) is bytes or type(holder).__module__ == "ray._raylet"


def _masked(value: Any, encoder: Encoder) -> None:
    # What lies under the mask counts: it can be seen, as `data`, and unmasked.
    encoder.tag(b"masked")
    _array(value.data, encoder)
    _array(np.ma.getmaskarray(value), encoder)
    encoder.value(value.fill_value, ".fill_value")
    encoder.value(value.hardmask)


def _memmap(value: Any, encoder: Encoder) -> None:
    # Where the bytes lie does not count: two files with the same bytes are the same.
    encoder.tag(b"memmap")
    _array(value, encoder)


def register(registry: Registry) -> None:
    """Adds the handlers for numpy."""
    registry.add(np.ndarray, _array, content=True)
    registry.add(np.memmap, _memmap)
    registry.add(np.ma.MaskedArray, _masked, content=True)
    registry.add(type(np.ma.masked), _masked_constant)
    for kind in (np.generic, np.str_, np.bytes_):  # the latter are a str and bytes in the first place
        registry.add(kind, _scalar)
    registry.add(np.dtype, _dtype)


def _masked_constant(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"numpy.ma.masked")
