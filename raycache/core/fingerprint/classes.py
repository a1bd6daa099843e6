"""What makes a class what it is: the attributes that it defines, and the fields that were declared in its body.

Methods that were generated from the fields are left out, and so is what Python and frameworks keep in a class for
themselves: all of it follows from what is counted.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Iterator
from typing import Any

from raycache.core.fingerprint.immutable import is_immutable

_DESCRIBED = (types.FunctionType, staticmethod, classmethod, property)
_SKIPPED = frozenset(
    {"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__"}
    | {"__annotations__", "__match_args__", "__abstractmethods__", "_abc_impl", "__annotate__", "__annotate_func__"}
    | {"_field_defaults", "_field_types", "__orig_bases__", "__parameters__", "__signature__", "__class_vars__"}
    | {"__private_attributes__", "__protocol_attrs__", "__non_callable_proto_members__", "__annotations_cache__"}
    | {"__slotnames__", "__type_params__"}  # the first is put there when an instance is pickled
)
_FRAMEWORKS = ("__dataclass_", "__attrs_", "__pydantic_")
_FIELD = ("init", "repr", "hash", "compare", "kw_only")
_PARAMETERS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_ATTRS_FIELD = ("default", "validator", "converter", "init", "eq", "order", "hash", "kw_only", "on_setattr")


def attributes(kind: type) -> Iterator[tuple[str, Any]]:
    """The attributes that count, by name."""
    members = getattr(kind, "__members__", {}) if issubclass(kind, enum.Enum) else {}
    for name, value in sorted(vars(kind).items(), key=lambda item: str(item[0])):
        if name in _SKIPPED or not isinstance(name, str) or name in members or _generated(kind, name, value):
            continue
        if issubclass(kind, enum.Enum) and name[:1] == name[-1:] == "_" and not isinstance(value, _DESCRIBED):
            continue
        if name.startswith(_FRAMEWORKS) and not isinstance(value, _DESCRIBED) and not is_immutable(value):
            continue
        yield name, value


def _generated(kind: type, name: str, value: Any) -> bool:
    """Whether a dataclass or attrs has made this method."""
    function = getattr(value, "__wrapped__", value)
    if not isinstance(function, types.FunctionType):
        return False
    code = function.__code__
    namespace = function.__globals__.get("__name__")
    if hasattr(kind, "_fields") and namespace in ("collections", f"namedtuple_{kind.__name__}"):
        return True
    if code.co_filename.startswith("<attrs generated"):
        return True
    made = getattr(code, "co_qualname", "__create_fn__" if code.co_firstlineno == 2 else "")
    return "__dataclass_fields__" in vars(kind) and code.co_filename == "<string>" and made.startswith("__create_fn__")


def declared(kind: type) -> Iterator[tuple[str, Any]]:
    """Fields, members and annotated names with what was said about them, in the order of the class's body."""
    own = vars(kind)
    annotations = own.get("__annotations__")
    if annotations is None and "__annotate_func__" in own:  # since 3.14
        annotations = kind.__annotations__
    for name, annotation in (annotations or {}).items():
        yield f"annotation {name}", plain(annotation)
    if issubclass(kind, enum.Enum):
        for name, member in kind.__members__.items():
            yield f"member {name}", member._value_ if type(member._value_) is not object else None
    if isinstance(own.get("_field_defaults"), dict):
        yield "defaults", own["_field_defaults"]
    if "__dataclass_fields__" in own:
        yield from _dataclass(kind)
    for field in own.get("__attrs_attrs__", ()):
        yield f"field {field.name}", [_attrs_value(getattr(field, each, None)) for each in _ATTRS_FIELD]
    for name, info in (own.get("__pydantic_fields__") or {}).items():
        yield f"field {name}", _pydantic(info)
    for name, private in (own.get("__private_attributes__") or {}).items():
        yield f"private {name}", [_default(private), private.default_factory]


def _dataclass(kind: Any) -> Iterator[tuple[str, Any]]:
    yield "dataclass", [bool(getattr(kind.__dataclass_params__, each)) for each in _PARAMETERS]
    for name, field in kind.__dataclass_fields__.items():
        given = [None if _missing(each) else [each] for each in (field.default, field.default_factory)]
        flags = [None if _missing(each) else each for each in (getattr(field, flag) for flag in _FIELD)]
        yield f"field {name}", [given, flags, field._field_type.name, dict(field.metadata)]


def _missing(value: Any) -> bool:
    # By type: in a class that was pickled by value, dataclasses.MISSING has become another object.
    return type(value) is type(dataclasses.MISSING)


def _attrs_value(value: Any) -> Any:
    factory = getattr(value, "factory", None)
    return ("factory", factory, value.takes_self) if factory is not None else value


def _pydantic(info: Any) -> list[Any]:
    said = [info.alias, info.validate_default, info.frozen, info.init, info.kw_only, info.exclude]
    said += [info.validation_alias, info.serialization_alias]
    return [plain(info.annotation), _default(info), info.default_factory, list(info.metadata), said]


def _default(field: Any) -> list[Any] | None:
    return None if type(field.default).__name__ == "PydanticUndefinedType" else [field.default]


def plain(annotation: Any) -> Any:
    """An annotation as values that have fingerprints: classes, texts, and tuples of them."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return ("Annotated", plain(annotation.__origin__), *annotation.__metadata__)
    if origin is typing.Literal:
        return ("Literal", *arguments)
    if origin is not None:
        return (plain(origin), *map(plain, arguments))
    if isinstance(annotation, (list, tuple)):
        return tuple(map(plain, annotation))
    if isinstance(annotation, typing.ForwardRef):
        return annotation.__forward_arg__
    if isinstance(annotation, dataclasses.InitVar):
        return ("InitVar", plain(annotation.type))
    if type(annotation).__module__ in ("typing", "typing_extensions"):  # Any, TypeVar, Union, ...
        return (
            f"typing.{getattr(annotation, '_name', None) or getattr(annotation, '__name__', type(annotation).__name__)}"
        )
    return annotation
