"""torch: tensors in the memory of the CPU, by dtype, shape, `requires_grad` and items in logical order.

Imported when the first value of torch's turns up. Tensors on other devices are refused: their items would have to be
fetched at every call, which the caller should see.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch

from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.refusal import Refused
from raycache.core.fingerprint.registry import Registry

_WITH_NAN = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


def _tensor(value: Any, encoder: Encoder) -> None:
    if value.device.type != "cpu":
        raise Refused(value, f"is a tensor on {value.device}, whose items are not at hand", "pass its .cpu()")
    if value.layout is not torch.strided or value.is_quantized or value.is_nested:
        raise Refused(value, f"is a tensor of layout {value.layout}, quantized or nested", "pass a dense one")
    encoder.tag(b"tensor")
    encoder.value(str(value.dtype))
    encoder.value(tuple(map(int, value.shape)))
    encoder.value(bool(value.requires_grad))
    dense = _dense(value)
    size = dense.numel() * dense.element_size()
    # Through the address, since numpy, which could give a buffer, may not be there.
    encoder.data(memoryview((ctypes.c_ubyte * size).from_address(dense.data_ptr())).cast("B") if size else b"")


def _dense(value: Any) -> Any:
    """The items one after the other, with one NaN."""
    with torch.no_grad():
        value = value.detach().as_subclass(torch.Tensor).resolve_conj().resolve_neg().contiguous()
        value = torch.view_as_real(value) if value.is_complex() else value
        if value.dtype in _WITH_NAN and value.isnan().any():
            value = torch.where(value.isnan(), torch.full_like(value, torch.nan), value)
        return value


def _named(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"torch")
    encoder.value(type(value).__name__)
    encoder.value(str(value))


def _size(value: Any, encoder: Encoder) -> None:
    encoder.tag(b"torch.Size")
    encoder.value(tuple(map(int, value)))


def register(registry: Registry) -> None:
    """Adds the handlers for torch."""
    registry.add(torch.Tensor, _tensor, content=True)
    registry.add(torch.Size, _size)
    for kind in (torch.dtype, torch.device, torch.layout, torch.memory_format):
        registry.add(kind, _named)
