"""pyarrow: arrays, tables and schemas, by type and items; imported when the first value of pyarrow's turns up.

How the items lie in memory has no influence: chunks, offsets, what is behind a null, the order of a dictionary whose
type is not ordered. All NaNs are one.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.refusal import Refused
from raycache.core.fingerprint.registry import Registry


def _array(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"arrow array")
    _type(value.type, encoder)
    items(value, encoder)


def _chunked(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"arrow chunked array")
    _type(value.type, encoder)
    items(value, encoder)


def _table(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"arrow table" if isinstance(value, pa.Table) else b"arrow record batch")
    _schema(value.schema, encoder)
    encoder.value(value.num_rows)
    for number, name in enumerate(value.schema.names):
        _column(value.column(number), name, encoder)


def _column(array: Any, name: str, encoder: Encoder) -> None:
    try:
        items(array, encoder)
    except Refused as refused:
        refused.step(f"[{name!r}]")
        raise


def _scalar(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"arrow scalar")
    _type(value.type, encoder)
    items(pa.array([value], value.type), encoder)


def _schema(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"arrow schema")
    encoder.value(value.metadata)
    encoder.value(len(value))
    for field in value:
        _field(field, encoder)


def _field(field: Any, encoder: Encoder) -> None:
    encoder.tag(b"arrow field")
    encoder.value((field.name, field.nullable))
    encoder.value(field.metadata)
    _type(field.type, encoder)


def _type(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"arrow type")
    if isinstance(value, pa.BaseExtensionType):
        encoder.value((value.extension_name, value.__arrow_ext_serialize__() if _in_python(value) else str(value)))
        _type(value.storage_type, encoder)
    elif pa.types.is_dictionary(value):
        encoder.value(("dictionary", value.ordered))
        _type(value.index_type, encoder)
        _type(value.value_type, encoder)
    elif value.num_fields:
        sizes = [getattr(value, name, None) for name in ("list_size", "keys_sorted", "mode", "type_codes")]
        encoder.value((value.id, value.num_fields, *sizes))
        for number in range(value.num_fields):
            _field(value.field(number), encoder)
    else:
        encoder.value(str(value))


def _in_python(value: Any) -> bool:
    return isinstance(value, pa.ExtensionType)


def items(array: Any, encoder: Encoder) -> None:
    """Writes the items of an array or a chunked array, for a type that has been written."""
    if isinstance(array, pa.ChunkedArray):
        array = _one_chunk(array)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        if array.type.ordered:
            items(array.dictionary, encoder)
        array = array.dictionary_decode()
    if _is_view(array.type):  # many functions know nothing of views
        array = array.cast(pa.large_string() if pa.types.is_string_view(array.type) else pa.large_binary())
    encoder.value((len(array), array.null_count))
    if array.null_count and not pa.types.is_null(array.type):
        encoder.data(_bits(array.is_valid()))
        array = array.drop_null()
    _valid(array, encoder)


def _one_chunk(array: Any) -> Any:
    if array.num_chunks == 1:
        return array.chunk(0)
    if pa.types.is_dictionary(array.type):
        array = array.unify_dictionaries()
    array = array.combine_chunks()
    return _one_chunk(array) if isinstance(array, pa.ChunkedArray) else array


def _valid(array: Any, encoder: Encoder) -> None:
    """Writes the items of an array without nulls."""
    kind, types = array.type, pa.types
    if types.is_null(kind):
        return
    if types.is_boolean(kind):
        encoder.data(_bits(array))
    elif _is_binary(kind):
        _binary(array, encoder)
    elif types.is_map(kind):
        _map(array, encoder)
    elif _is_list(kind):
        encoder.data(_fixed(pc.list_value_length(array).cast(pa.int64())))
        items(array.flatten(), encoder)
    elif types.is_struct(kind):
        for field in array.flatten():
            items(field, encoder)
    elif types.is_run_end_encoded(kind):
        items(pc.run_end_decode(array), encoder)
    elif types.is_union(kind):
        raise Refused(array, f"is an Arrow array of type {kind}", "pass a struct instead of the union")
    else:
        encoder.data(_fixed(_one_nan(array)))


def _one_nan(array: Any) -> Any:
    if not (pa.types.is_float32(array.type) or pa.types.is_float64(array.type)):
        return array
    nan = pc.is_nan(array)
    return pc.if_else(nan, pa.scalar(float("nan"), array.type), array) if pc.any(nan).as_py() else array


def _is_binary(kind: Any) -> bool:
    types = pa.types
    return any(is_a(kind) for is_a in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary))


def _is_view(kind: Any) -> bool:
    names = ("is_string_view", "is_binary_view")
    return any(is_a(kind) for is_a in (getattr(pa.types, name, None) for name in names) if is_a)


def _is_list(kind: Any) -> bool:
    names = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(is_a(kind) for is_a in (getattr(pa.types, name, None) for name in names) if is_a)


def _binary(array: Any, encoder: Encoder) -> None:
    encoder.data(_fixed(pc.binary_length(array).cast(pa.int64())))
    _, offsets, data = array.buffers()
    if offsets is None or data is None or not len(array):
        encoder.data(b"")
        return
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    width = 8 if large else 4
    ends = memoryview(offsets).cast("B")[array.offset * width : (array.offset + len(array) + 1) * width]
    ends = ends.cast("q" if large else "i")
    encoder.data(memoryview(data).cast("B")[ends[0] : ends[-1]])


def _map(array: Any, encoder: Encoder) -> None:
    # Keys and items are those of all the memory, a slice's offsets are its own.
    offsets = array.offsets
    start, stop = (offsets[0].as_py(), offsets[-1].as_py()) if len(array) else (0, 0)
    encoder.data(_fixed(pc.subtract(offsets, offsets[0]).cast(pa.int64())) if len(array) else b"")
    items(array.keys[start:stop], encoder)
    items(array.items[start:stop], encoder)


def _bits(array: Any) -> Any:
    """One byte for each boolean: bits may start anywhere in a byte."""
    return _fixed(array.cast(pa.uint8()))


def _fixed(array: Any) -> Any:
    """The memory of items that are all of one size."""
    width = array.type.bit_width // 8
    data = array.buffers()[1]
    return memoryview(data).cast("B")[array.offset * width : (array.offset + len(array)) * width] if data else b""


def register(registry: Registry) -> None:
    """Adds the handlers for pyarrow."""
    registry.add(pa.Array, _array)
    registry.add(pa.ChunkedArray, _chunked)
    registry.add(pa.Table, _table)
    registry.add(pa.RecordBatch, _table)
    registry.add(pa.Scalar, _scalar)
    registry.add(pa.Schema, _schema)
    registry.add(pa.Field, _field)
    registry.add(pa.DataType, _type)
