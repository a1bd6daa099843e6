"""Values of the standard library: which are told apart, and which are one."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import fractions
import itertools
import math
import pathlib
import re
import struct
import time
import types
import uuid
import zoneinfo
from typing import Any

import pytest

from raycache.core.fingerprint.values import fingerprint

DAY = datetime.datetime(2024, 10, 27, 2, 30)
BERLIN, LONDON = zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo("Europe/London")
HOUR = datetime.timedelta(hours=1)


class Text(str):
    """A str with attributes."""


class Label(str):
    """Another one."""


class Listing(list):
    """A list with attributes."""


class Table(dict):
    """A dict with attributes."""


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Shade(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Tone(str, enum.Enum):
    LOW = "low"


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


Point = collections.namedtuple("Point", "x y")
Place = collections.namedtuple("Place", "x y")


def with_attributes(value: Any, **attributes: Any) -> Any:
    vars(value).update(attributes)
    return value


#: In each row, all are different from each other.
DIFFERENT: list[list[Any]] = [
    [None, False, 0, 0.0, -0.0, 0j, "", b"", (), [], {}, set(), frozenset(), bytearray(), Ellipsis, NotImplemented],
    [1, 1.0, True, "1", b"1", 1 + 0j, decimal.Decimal(1), fractions.Fraction(1), (1,), [1], {1}, frozenset({1})],
    ["a", b"a", bytearray(b"a"), memoryview(b"a"), ["a"], ("a",), Text("a"), Label("a"), pathlib.PurePosixPath("a")],
    [[1, 23], [12, 3], [123], [1, 2, 3], [[1], 23], [1, [23]]],
    [{1: 2}, {"1": 2}, {1: "2"}, {2: 1}, {1: 2.0}, {True: 2}, [(1, 2)], {(1, 2)}, collections.OrderedDict({1: 2})],
    [["a-b", "c"], ["a", "b-c"], ["a-b-c"], ["ab", "c"], ["a", "bc"], ["", "abc"], ["abc", ""]],
    [(), ((),), ((), ()), (((),),), [()], ([],), [[]], [[], []], [[[]]]],
    [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e308, 1.0, math.nextafter(1.0, 2.0)],
    [complex(0, 0), complex(-0.0, 0), complex(0, -0.0), complex(0, 1), complex(1, 0), complex(math.nan, 0)],
    [0, -1, 1, 127, 128, -128, -129, 255, 256, 2**63, 2**64, -(2**63), 10**100, -(10**100)],
    ["\ud800", "�", "\U0001f600", "\ud83d\ude00", "\x00", "\x00\x00", "é", "e\u0301", "ﬁ", "fi"],
    [b"\xff", b"\xed\xa0\x80", b"\0", b"\0\0", b"s\x01\0\0\0a"],
    [decimal.Decimal(each) for each in ("1", "1.0", "1.00", "-1", "0", "-0", "1E+1", "10", "NaN", "sNaN", "Infinity")],
    [fractions.Fraction(1, 3), fractions.Fraction(-1, 3), fractions.Fraction(3), (1, 3)],
    [range(0, 3, 2), range(0, 4, 2)],  # equal as sequences, and another `stop`
    [range(0), range(5, 5), range(0, 0, 7)],
    [range(3), range(1, 3), range(0, 6, 2), range(0), [0, 1, 2], (0, 1, 2), range(2, -1, -1)],
    [slice(3), slice(0, 3), slice(0, 3, 1), slice(None), (None, 3, None)],
    [datetime.date(2024, 10, 27), datetime.datetime(2024, 10, 27), "2024-10-27", datetime.date(2024, 10, 28)],
    [DAY, DAY.replace(fold=1), DAY.replace(microsecond=1), DAY.replace(tzinfo=BERLIN, fold=1)],
    [DAY, *(DAY.replace(tzinfo=zone) for zone in (BERLIN, LONDON, datetime.timezone.utc, datetime.timezone(HOUR)))],
    [DAY.astimezone(BERLIN), DAY.astimezone(LONDON), DAY.astimezone(datetime.timezone.utc)],
    [datetime.time(2, 30), datetime.time(2, 30, fold=1), datetime.time(2, 30, tzinfo=BERLIN), datetime.time(2, 31)],
    [
        HOUR,
        2 * HOUR,
        -HOUR,
        datetime.timedelta(0),
        datetime.timedelta(days=1),
        datetime.timedelta(microseconds=1),
        3600,
    ],
    [datetime.timezone.utc, zoneinfo.ZoneInfo("UTC"), BERLIN, datetime.timezone(HOUR), datetime.timezone(HOUR, "x")],
    [uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=1).bytes, str(uuid.UUID(int=1)), 1],
    [pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("a/b"), pathlib.PosixPath("a/b"), pathlib.Path("a"), "a/b"],
    [re.compile("a"), re.compile("b"), re.compile(b"a"), re.compile("a", re.IGNORECASE), "a"],
    [Color.RED, Color.BLUE, Shade.RED, Level.LOW, 1, "RED", Mode.READ, Mode.WRITE, Mode.READ | Mode.WRITE, Mode(0)],
    [Level.LOW, Level.HIGH, Tone.LOW, 1, "low"],
    [time.gmtime(0), time.gmtime(1), tuple(time.gmtime(0)), time.struct_time((*time.gmtime(0), "CET", 3600))],
    [Point(1, 2), Point(2, 1), Place(1, 2), (1, 2), [1, 2]],
    [Listing([1]), [1], with_attributes(Listing([1]), name="x"), with_attributes(Listing([1]), name="y"), Listing()],
    [Table(a=1), {"a": 1}, Table(a=2), with_attributes(Table(), a=1), collections.Counter(a=1)],
    [with_attributes(Text("a"), b=1), with_attributes(Text("a"), b=2), with_attributes(Text("b"), a=1), Text("a")],
    [collections.deque([1]), collections.deque([1], 1), collections.deque([1], 2), [1], collections.deque([2])],
    [collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1), {"a": 1, "b": 2}],
    [
        collections.defaultdict(list, a=1),
        collections.defaultdict(set, a=1),
        collections.defaultdict(None, a=1),
        {"a": 1},
    ],
    [collections.Counter("aab"), collections.Counter("ab"), {"a": 2, "b": 1}, ["a", "a", "b"]],
    [types.MappingProxyType({"a": 1}), {"a": 1}, types.SimpleNamespace(a=1), types.SimpleNamespace(b=1)],
    [{1, 2}, frozenset({1, 2}), {1, 2.5}, {1, "2"}, {(1, 2)}, [1, 2], {1: 2}, {1: None, 2: None}],
    [{"a": {"b": 1}}, {"a": {}, "b": 1}, {"a": ("b", 1)}, {"b": {"a": 1}}, {"a": {"b": {1}}}],
    [{"a": 1, "b": 2}, {"a": 2, "b": 1}, {"ab": 12}, {"a": 1}, {"b": 2}],
    [[{"a": 1}, {"b": 2}], [{"b": 2}, {"a": 1}], [{"a": 1, "b": 2}], [{"a": 1}, {"b": 2}, {}]],
    [array.array("i", [1]), array.array("I", [1]), array.array("b", [1]), array.array("i", [1, 0]), [1]],
    [memoryview(b"abcd"), memoryview(b"abcd").cast("b"), memoryview(b"abcd").cast("B", (2, 2)), b"abcd"],
    [memoryview(b"abcd")[::2], memoryview(b"abcd")[1::2], memoryview(b"ab")],
    ["x" * 70_000, "x" * 70_001, b"x" * 70_000, bytearray(b"x" * 70_000), ["x" * 70_000]],
    [[0] * 5000, [0] * 5001, (0,) * 5000, [0] * 4999 + [1], [1] + [0] * 4999, [[0] * 2500, [0] * 2500]],
    [list(range(30_000)), list(range(1, 30_001)), list(range(30_001)), list(reversed(range(30_000)))],
    [{str(i): i for i in range(2000)}, {str(i): i + (i == 7) for i in range(2000)}, {str(i): i for i in range(2001)}],
]


def pairs() -> list[tuple[Any, Any]]:
    return [pair for row in DIFFERENT for pair in itertools.combinations(row, 2)]


def shared(item: Any) -> tuple[Any, Any]:
    """The same object in two places, and two equal ones."""
    return [item, item, (item,)], [item, eval(repr(item)), (eval(repr(item)),)]


#: The two of each row are made differently and are the same.
SAME: list[tuple[Any, Any]] = [
    *[shared(item) for item in ([1, 2], {"a": [1]}, (1, (2, 3)), {1, 2}, b"ab", 10**30, list(range(1000)), {"a": {}})],
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": {"x": 1, "y": [2]}, "b": 2}, {"b": 2, "a": {"y": [2], "x": 1}}),
    ({1: "a", "1": "b", 1.5: "c", None: "d"}, {None: "d", 1.5: "c", "1": "b", 1: "a"}),
    ({str(i): i for i in range(500)}, {str(i): i for i in reversed(range(500))}),
    ({1, "a", None, 2.5, (1,), b"b"}, {b"b", (1,), 2.5, None, "a", 1}),
    ({8, 0}, {0, 8}),
    (frozenset({8, 16, 0}), frozenset([0, 16, 8])),
    ({frozenset({1, 2}), frozenset({3})}, {frozenset({3}), frozenset({2, 1})}),
    (set("abcdef"), set("fedcba")),
    (set(range(3000)), {*range(2999, -1, -1)}),
    (math.nan, -math.nan),
    (math.nan, math.inf - math.inf),
    (math.nan, struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0001))[0]),
    (complex(math.nan, 1), complex(-math.nan, 1)),
    ([math.nan], [float("nan")]),
    (0.1 + 0.2, 0.30000000000000004),
    (10**30, 10**15 * 10**15),
    ("".join(["a", "bc"]), "abc"),
    (b"abc", bytes(bytearray(b"abc"))),
    (bytearray(b"abc"), bytearray([97, 98, 99])),
    ("x" * 70_000, "".join(["x" * 35_000] * 2)),
    (b"x" * 70_000, b"x" * 35_000 * 2),
    (memoryview(b"xabcx")[1:4], memoryview(b"abc")),
    (memoryview(b"abcd")[::2], memoryview(b"ac")),
    (memoryview(b"abcd")[::-1], memoryview(b"dcba")),
    (memoryview(bytearray(b"abc")), memoryview(b"abc")),
    (array.array("d", [1, 2]), array.array("d", iter([1.0, 2.0]))),
    (slice(1, 2), slice(1, 2, None)),
    (decimal.Decimal("1.50"), decimal.Decimal((0, (1, 5, 0), -2))),
    (fractions.Fraction(2, 6), fractions.Fraction("1/3")),
    (datetime.timedelta(hours=24), datetime.timedelta(days=1)),
    (datetime.timedelta(seconds=-1), datetime.timedelta(days=-1, seconds=86399)),
    (datetime.timezone(datetime.timedelta(0)), datetime.timezone.utc),
    (zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo.no_cache("Europe/Berlin")),
    (DAY.replace(tzinfo=BERLIN), DAY.replace(tzinfo=zoneinfo.ZoneInfo.no_cache("Europe/Berlin"))),
    (DAY, datetime.datetime.fromisoformat("2024-10-27T02:30:00")),
    (datetime.date(2024, 10, 27), DAY.date()),
    (datetime.time(2, 30), DAY.time()),
    (uuid.UUID(int=1), uuid.UUID("00000000-0000-0000-0000-000000000001")),
    (pathlib.Path("a//b/./c"), pathlib.Path("a") / "b" / "c"),
    (re.compile("a", re.IGNORECASE), re.compile("a", re.I | re.U)),
    (Color.RED, Color(1)),
    (Mode.READ | Mode.WRITE, Mode(3)),
    (Point(1, 2), Point(y=2, x=1)),
    (collections.deque([1, 2]), collections.deque(iter([1, 2]))),
    (collections.Counter("aab"), collections.Counter("baa")),
    (collections.defaultdict(list, a=[1]), collections.defaultdict(list, {"a": [1]})),
    (collections.OrderedDict(a=1), collections.OrderedDict([("a", 1)])),
    (types.MappingProxyType({"a": 1, "b": 2}), types.MappingProxyType({"b": 2, "a": 1})),
    (types.SimpleNamespace(a=1, b=2), types.SimpleNamespace(b=2, a=1)),
    (with_attributes(Listing([1]), a=1, b=2), with_attributes(Listing([1]), b=2, a=1)),
    (Table(a=1, b=2), Table(b=2, a=1)),
    (Text("a"), Text(b"a", "ascii")),
    ([0] * 5000, [0 for _ in range(5000)]),
]


@pytest.mark.parametrize("number", range(len(DIFFERENT)))
def test_different_values_have_different_fingerprints(number):
    for one, other in itertools.combinations(DIFFERENT[number], 2):
        assert fingerprint(one) != fingerprint(other), f"{one!r:.200} and {other!r:.200}"


@pytest.mark.parametrize(("one", "other"), SAME, ids=[type(one).__name__ for one, _ in SAME])
def test_equal_values_have_one_fingerprint(one, other):
    assert fingerprint(one) == fingerprint(other)


def test_all_different_values_are_told_apart_inside_others_too():
    """In a list, as a dict's value and in a tuple."""
    for row in DIFFERENT:
        for one, other in itertools.combinations(row, 2):
            assert fingerprint([one]) != fingerprint([other]), f"{one!r:.200} and {other!r:.200}"
            assert fingerprint({"a": (one, 1)}) != fingerprint({"a": (other, 1)}), f"{one!r:.200} and {other!r:.200}"


def test_the_tables_have_enough_rows():
    """So that no edit empties them."""
    assert len(pairs()) >= 150
    assert len(SAME) >= 50
