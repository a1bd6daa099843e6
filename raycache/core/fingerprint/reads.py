"""What compiled code reads from outside: global names, captured variables and modules it imports, with attributes.

`helpers.text.clean(x)` reads the global `helpers` and of it `text.clean`. Functions, comprehensions and classes inside
the code are part of it. Names that are only assigned are not read. A name counts as read if any instruction reads it,
whether or not that instruction is ever reached.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

#: What loads a variable: one of the function's own, or of a function around it.
_LOCAL = frozenset(
    {"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
)
_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_STORE = frozenset({"STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
#: What changes a container in place.
_CHANGE = frozenset({"STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE"})
_CHANGERS = frozenset(
    {"setdefault", "update", "pop", "popitem", "clear", "append", "extend", "insert", "add", "discard"}
)
_IDLE = frozenset({"NOP", "CACHE", "EXTENDED_ARG"})
#: What the body of a class reads and stores about itself.
_ABOUT_CLASS = frozenset({"__module__", "__qualname__"})

Instruction = tuple[str, Any]


class Read(NamedTuple):
    """Something that code reads: where its name is looked up, the name, and attributes of attributes of it."""

    kind: str  #: "global", "captured", or "import"; then the name is a module's, with a dot for each level up
    name: str
    attributes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.attributes))


def reads(code: types.CodeType) -> list[Read]:
    """Everything the code reads, sorted."""
    codes = [(each, list(_instructions(each))) for each in _nested(code)]
    imported: dict[str, set[Read]] = {}
    for _, instructions in codes:
        for variable, read in _imports(instructions):
            imported.setdefault(variable, set()).add(read)
    found: set[Read] = set()
    for each, instructions in codes:
        found.update(_loads(each, instructions, imported, frozenset(code.co_freevars)))
    return sorted(found)


def imports(code: types.CodeType) -> list[tuple[str, Read]]:
    """The variables that a module's own import statements assign, and what to."""
    return list(_imports(list(_instructions(code))))


def stores(code: types.CodeType) -> set[str]:
    """The names that a module's own code assigns."""
    return {name for instruction, name in _instructions(code) if instruction in ("STORE_NAME", "STORE_GLOBAL")}


def writes(code: types.CodeType) -> bool:
    """Whether the code changes containers in place."""
    return any(
        name in _CHANGE or (name in _ATTRIBUTE and operand in _CHANGERS)
        for each in _nested(code)
        for name, operand in _instructions(each)
    )


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _nested(const)


def _instructions(code: types.CodeType) -> Iterator[Instruction]:
    """Names and operands; instructions for two variables, which newer versions have, one after the other."""
    for each in dis.get_instructions(code):
        if each.opname in _IDLE:
            continue
        if isinstance(each.argval, tuple) and each.opcode not in dis.hasconst and each.opname.count("_FAST") == 2:
            first, second = each.opname.split("_FAST_")
            yield f"{first}_FAST", each.argval[0]
            yield second, each.argval[1]
        else:
            yield each.opname, each.argval


def _imports(instructions: list[Instruction]) -> Iterator[tuple[str, Read]]:
    """Variables that import statements assign, and what to: a module, or an attribute of one."""
    module = ""
    names: Any = None
    for at, (name, operand) in enumerate(instructions):
        if name == "IMPORT_NAME":
            (_, level), (_, names) = instructions[at - 2 : at]
            module = "." * level + operand
        following, variable = instructions[at + 1] if at + 1 < len(instructions) else ("", "")
        if following not in _STORE:
            continue
        if name == "IMPORT_NAME":
            yield variable, Read("import", module.partition(".")[0])  # `import a.b` assigns a
        elif name == "IMPORT_FROM":
            yield variable, Read("import", module, (operand,) if names else ())  # `import a.b as c` assigns a.b


def _loads(
    code: types.CodeType, instructions: list[Instruction], imported: dict[str, set[Read]], free: frozenset[str]
) -> Iterator[Read]:
    stored: set[str] = set()  # by the body of a class, which reads its own names first
    for at, (name, operand) in enumerate(instructions):
        if name == "STORE_NAME":
            stored.add(operand)
        elif name in _LOCAL or name in _GLOBAL:
            attributes = tuple(_attributes(instructions, at + 1))
            for read in imported.get(operand, ()):
                yield read._replace(attributes=read.attributes + attributes)
            if name in _LOCAL:
                if operand in free:
                    yield Read("captured", operand, attributes)
            elif name != "LOAD_NAME" or (operand not in stored and not _about_class(instructions, at)):
                yield Read("global", operand, attributes)


def _attributes(instructions: list[Instruction], start: int) -> Iterator[str]:
    for name, operand in instructions[start:]:
        if name not in _ATTRIBUTE:
            return
        yield operand


def _about_class(instructions: list[Instruction], at: int) -> bool:
    following = instructions[at + 1] if at + 1 < len(instructions) else ("", "")
    return following[0] == "STORE_NAME" and following[1] in _ABOUT_CLASS
