"""scipy.sparse: matrices and arrays by class, shape, dtype and entries; imported when the first one turns up.

The format counts, since it decides what can be done with a matrix. The order of the entries, entries that are given
twice and zeros that are stored have no influence.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import scipy.sparse

from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.registry import Registry

_LAYOUTS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")


def _sparse(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"sparse")
    encoder.value(type(value).__name__)
    encoder.value(tuple(map(int, value.shape)))
    encoder.value(value.dtype)
    if value.format == "bsr":
        encoder.value(tuple(map(int, value.blocksize)))
    for part in _compressed(value) if value.format in ("csr", "csc") else _coordinates(value):
        encoder.made(part)


def _compressed(value: Any) -> tuple[Any, ...]:
    """Row by row (or column by column), which takes no copy if it is in order already."""
    if not value.has_canonical_format or np.count_nonzero(value.data) != value.data.size:
        value = value.copy()
        value.sum_duplicates()
        value.eliminate_zeros()
    size = int(value.indptr[-1])  # what lies behind is spare room
    return _wide(value.indptr), _wide(value.indices[:size]), value.data[:size]


def _coordinates(value: Any) -> tuple[Any, ...]:
    value = value.tocoo(copy=True)
    value.sum_duplicates()
    value.eliminate_zeros()
    coordinates = value.coords if hasattr(value, "coords") else (value.row, value.col)
    return (*map(_wide, coordinates), value.data)


def _wide(indices: Any) -> Any:
    """Indices of one type: scipy takes 32 or 64 bits, whatever happens to do."""
    return indices.astype(np.int64, copy=False)


def register(registry: Registry) -> None:
    """Adds the handler for scipy."""
    # One by one, since some of them are dicts in the first place.
    for layout, family in itertools.product(_LAYOUTS, ("array", "matrix")):
        registry.add(getattr(scipy.sparse, f"{layout}_{family}"), _sparse)
