"""The standard library's values that may hold others or that people subclass: dates with zones, patterns, enums."""

from __future__ import annotations

import datetime
import enum
import re
from typing import Any

from raycache.core.fingerprint.atoms import ATOMS
from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.refusal import Refused
from raycache.core.fingerprint.registry import Handler, Registry


def _atom(kind: type) -> Handler:
    """Atoms as the content of their subclasses."""
    atom = ATOMS[kind]

    def handler(value: Any, encoder: Encoder) -> None:
        encoder.out += atom(value)

    return handler


def _datetime(value: datetime.datetime, encoder: Encoder) -> None:
    encoder.tag(b"datetime")
    encoder.value(value.toordinal())
    _clock(value, encoder)


def _time(value: datetime.time, encoder: Encoder) -> None:
    encoder.tag(b"time")
    _clock(value, encoder)


def _clock(value: Any, encoder: Encoder) -> None:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    encoder.value((seconds * 1_000_000 + value.microsecond) * 2 + value.fold)
    encoder.value(value.tzinfo, ".tzinfo")


def _zone_info(value: Any, encoder: Encoder) -> None:
    if value.key is None:
        raise Refused(value, "is a time zone without a key", "make it with ZoneInfo(key)")
    encoder.tag(b"zoneinfo")
    encoder.value(value.key)


def _pytz(value: Any, encoder: Encoder) -> None:
    # One object for each offset that a zone has had, and all of them refer to each other.
    encoder.tag(b"pytz")
    encoder.value(value.zone)
    encoder.value([getattr(value, name, None) for name in ("_utcoffset", "_dst", "_tzname", "_minutes")])


def _pattern(value: re.Pattern[Any], encoder: Encoder) -> None:
    encoder.tag(b"pattern")
    encoder.value(value.pattern)
    encoder.value(value.flags)


def _member(value: enum.Enum, encoder: Encoder) -> None:
    encoder.tag(b"enum")
    encoder.value(type(value))
    if not isinstance(value, enum.Flag):  # what a combination of flags is called depends on Python's version
        encoder.value(value._name_)
    if type(value._value_) is not object:  # a bare object stands for nothing but the name
        encoder.value(value._value_, ".value")


def _object_ref(value: Any, encoder: Encoder) -> None:
    # What it refers to never changes, and is not fetched for this.
    encoder.tag(b"ObjectRef")
    encoder.value(value.hex())


def _class(value: type, encoder: Encoder) -> None:
    """By name, as long as nobody has registered something that looks into classes."""
    encoder.tag(b"class")
    encoder.value(value.__module__)
    encoder.value(value.__qualname__)


def register(registry: Registry) -> None:
    """Adds the handlers of this module."""
    for kind in ATOMS:
        registry.add(kind, _atom(kind), content=True)
    registry.add(datetime.datetime, _datetime, content=True)
    registry.add(datetime.time, _time, content=True)
    registry.add("zoneinfo.ZoneInfo", _zone_info, content=True)
    registry.add("pytz.tzinfo.BaseTzInfo", _pytz)
    registry.add("ray._raylet.ObjectRef", _object_ref)
    registry.add(re.Pattern, _pattern)
    registry.add(enum.Enum, _member)
    registry.add(type, _class)
