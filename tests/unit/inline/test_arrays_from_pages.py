"""Arrays that are read from the pages lie in memory as numpy wants them."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize("dtype", ["float64", "int32", "complex128"])
def test_an_array_from_the_pages_is_aligned(inline, dtype):
    """Else numpy copies it for many operations, and compiled extensions may refuse it."""
    group = inline(capacity="8 MiB").group("arrays", getter=lambda key: np.arange(key, dtype=dtype))
    group.get_many(range(1, 20))
    group.forget()
    arrays = group.get_many(range(1, 20)).values()

    assert group.stats().page_hits == 19
    assert all(array.flags.aligned and array.ctypes.data % array.itemsize == 0 for array in arrays)
