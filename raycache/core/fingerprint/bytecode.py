"""Canonical bytecode: what compiled code does, without where it stood and how it was stored.

Two code objects have one digest if they have the same instructions with the same operands. File names, line numbers,
docstrings, the order of constants and names, and instructions that do nothing have no influence, nor has the hash seed.
Digests are of one version of Python: another one compiles to other instructions.
"""

from __future__ import annotations

import bisect
import dis
import inspect
import struct
import types
from collections.abc import Iterator
from typing import Any

from blake3 import blake3

#: Instructions that do nothing by themselves. NOP, too: where it stays depends on line numbers.
_IDLE = frozenset({"NOP", "CACHE", "EXTENDED_ARG", "RESUME", "PRECALL", "GEN_START", "NOT_TAKEN"})
_NAMED = frozenset({*dis.hasname, *dis.haslocal, *dis.hasfree})
_JUMPS = frozenset({*dis.hasjrel, *dis.hasjabs})
_CONSTANTS, _COMPARISONS = frozenset(dis.hasconst), frozenset(dis.hascompare)
_FLAGS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | inspect.CO_COROUTINE
_FLAGS |= inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR
#: What the body of a class stores about itself: text for people and the line it stands on.
_ABOUT = frozenset({"__doc__", "__firstlineno__"})


def digest(code: types.CodeType) -> bytes:
    """32 bytes that tell what the code does."""
    return blake3(encode_constant(code)).digest()


def encode_constant(value: Any) -> bytes:
    """A constant of compiled code, or code itself, as bytes that are its type's and its own."""
    kind = type(value)
    if kind is types.CodeType:
        return _framed(b"code", *_code(value))
    if kind is tuple or kind is slice:
        items = value if kind is tuple else (value.start, value.stop, value.step)
        return _framed(kind.__name__.encode(), *map(encode_constant, items))
    if kind is frozenset:
        return _framed(b"frozenset", *sorted(map(encode_constant, value)))
    if kind is str:
        return _framed(b"str", value.encode("utf-8", "surrogatepass"))
    if kind is bytes:
        return _framed(b"bytes", value)
    if kind is int:
        return _framed(b"int", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if kind is float:
        return _framed(b"float", struct.pack(">d", value))
    if kind is complex:
        return _framed(b"complex", struct.pack(">dd", value.real, value.imag))
    if value is None or value is Ellipsis or kind is bool:
        return _framed(str(value).encode())
    raise TypeError(f"a constant of type {kind.__qualname__} in compiled code; no compiler makes such a thing")


def _framed(*pieces: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(piece)) + piece for piece in (struct.pack(">I", len(pieces)), *pieces))


def _code(code: types.CodeType) -> Iterator[bytes]:
    arguments = code.co_argcount + code.co_kwonlyargcount
    arguments += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _FLAGS)
    yield struct.pack(">4I", *counts)
    yield _framed(*(name.encode() for name in (*code.co_varnames[:arguments], "", *code.co_freevars)))
    instructions = [each for each in dis.get_instructions(code) if each.opname not in _IDLE]
    instructions = list(_without_texts(instructions))
    offsets = [each.offset for each in instructions]
    for each in instructions:
        yield _framed(each.opname.encode(), _operand(each, code.co_consts, offsets))
    # Since 3.11 the blocks of `try` are in a table beside the instructions.
    for entry in getattr(dis.Bytecode(code), "exception_entries", ()):
        bounds = (_number(offsets, at) for at in (entry.start, entry.end, entry.target))
        yield struct.pack(">5I", *bounds, entry.depth, entry.lasti)


def _without_texts(instructions: list[dis.Instruction]) -> Iterator[dis.Instruction]:
    """Leaves out where the body of a class stores its docstring and its line."""
    skip = False
    for each, following in zip(instructions, [*instructions[1:], None], strict=True):
        if skip:
            skip = False
        elif (
            following and following.opname == "STORE_NAME" and following.argval in _ABOUT and each.opcode in _CONSTANTS
        ):
            skip = True
        else:
            yield each


def _operand(each: dis.Instruction, constants: tuple[Any, ...], offsets: list[int]) -> bytes:
    if each.opcode in _JUMPS:
        return str(_number(offsets, each.argval)).encode()
    if each.opcode in _CONSTANTS:
        assert each.arg is not None
        return encode_constant(constants[each.arg])  # argval has only those that LOAD_CONST loads
    if each.opcode in _NAMED:  # newer versions load or store two variables at once
        return encode_constant(each.argval)
    if each.opcode in _COMPARISONS:
        return str(each.argval).encode()
    return b"" if each.arg is None else str(each.arg).encode()


def _number(offsets: list[int], offset: int) -> int:
    """The number of the first instruction at or behind an offset: what stood there may have been left out."""
    return bisect.bisect_left(offsets, offset)
