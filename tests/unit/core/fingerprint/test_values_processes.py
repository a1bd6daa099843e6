"""Fingerprints are the same in every process, whatever its hash seed, and on every version of Python."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raycache.core.fingerprint.values import fingerprint

#: Everything plain, in one expression that any version of Python reads; then its digests.
IMPORTS = """
import array, collections, datetime, decimal, enum, fractions, math, pathlib, re, types, uuid, zoneinfo
"""
GOLDEN = [
    ("None", "34ab8b65c2622b75106dba567a23b032"),
    ("(True, False, ..., NotImplemented)", "9e1cd423cb24ea8f127d356429e236ad"),
    ("[0, 1, -1, 255, 256, 2**64, -10**100]", "e8e2e5924403911467564c65e461f77b"),
    ("[0.0, -0.0, 1.5, math.nan, math.inf, complex(1, -0.0)]", "a0224bd812f5847c824621120a468e6b"),
    ("['', 'a', 'é', '\\ud800', 'x' * 100_000]", "49d3666cf676166ef41abcc7bea7bf73"),
    (
        "[b'', b'a', bytearray(b'a'), memoryview(b'abcd').cast('B', (2, 2)), b'x' * 100_000]",
        "7f4db06ed591d9c18204903e8b1aa970",
    ),
    ("{'a': 1, 'b': {'c': [None]}, 3: (), None: 1}", "79c65cdb5ad8dedfcccb590ca3d89a4b"),
    ("{1, 2.5, 'a', b'b', None, (1, 'x'), frozenset({3, 4})}", "0ae99ada1cc8c1477bb42fce1189f118"),
    ("{str(i): {i} for i in range(3000)}", "acea9755ee3e54f264d4b258efd1cb0e"),
    ("list(range(100_000))", "6fb4f9881696b1d5a125a4af704fdd2f"),
    (
        "[decimal.Decimal('1.50'), decimal.Decimal('-NaN'), fractions.Fraction(1, 3)]",
        "c697dac86efcaa28eaf5b404216b0488",
    ),
    (
        "[datetime.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin'))]",
        "805dca694036b6559b565629c41c5583",
    ),
    (
        "[datetime.date(1, 1, 1), datetime.time(1, 2, 3, 4, datetime.timezone.utc), datetime.timedelta(-1, 2, 3)]",
        "c3c13514c6b6550223c3f4d9d3461d82",
    ),
    (
        "[datetime.timezone(datetime.timedelta(hours=1), 'CET'), datetime.timezone.utc]",
        "f2e3eb9c51289494c86121cde63dcb29",
    ),
    (
        "[uuid.UUID(int=5), pathlib.Path('a/b'), pathlib.PureWindowsPath('a/b'), re.compile('a.', re.I)]",
        "0a4117be85968bbfd5367db64d561ca9",
    ),
    ("[range(1, 10, 2), slice(1, None, 2), array.array('d', [1, 2])]", "c96c3ae76df24d2369aa82b71deb468a"),
    (
        "[collections.OrderedDict(b=1, a=2), collections.Counter('aab'), collections.deque([1], 3)]",
        "cddf83465d756bee2fbdb16ba08ef6d7",
    ),
    (
        "[collections.defaultdict(None, a=1), types.MappingProxyType({'a': 1}), types.SimpleNamespace(a=1)]",
        "183b4c05c5be4bd19800c132012e3615",
    ),
]
VALUES = [value for value, _ in GOLDEN]
PROGRAM = f"""
import sys
{IMPORTS}
from raycache.core.fingerprint.values import fingerprint
for line in sys.argv[1:]:
    print(fingerprint(eval(line)).hex())
"""
CLASSES = """
import dataclasses, enum, collections, sys
from raycache.core.fingerprint.values import fingerprint
@dataclasses.dataclass
class Options:
    names: set
    table: dict
class Color(enum.Flag):
    RED = 1
    BLUE = 2
Pair = collections.namedtuple("Pair", "a b")
names = {"a", "b", "c", ("d", 1), None}
print(fingerprint([Options(names, {name: [name] for name in names}), Color.RED | Color.BLUE, Pair(1, names)]).hex())
"""
LIBRARIES = """
import importlib.util, numpy, pandas, polars, pyarrow, scipy.sparse
from raycache.core.fingerprint.values import fingerprint
names = ["a", "b", None]
objects = numpy.array(["a", {"x", "y", "z"}, None], dtype=object)
frame = pandas.DataFrame({"n": names, "c": pandas.Categorical(names), "i": [1.5, 2, 3], "o": objects})
table = pyarrow.table({"n": names, "i": [1, None, 3]})
series = [polars.Series(["x", "a"], dtype=polars.Categorical), polars.DataFrame({"n": names})]
sparse = scipy.sparse.csr_array(numpy.eye(3))
tensors = []
if importlib.util.find_spec("torch"):
    import torch
    tensors = [torch.arange(3)]
print(fingerprint([objects, frame, table, series, sparse, tensors, numpy.arange(100_000.0)]).hex())
"""
NOTHING_LOADED = """
import sys
from raycache.core.fingerprint import values, arguments
class Array: __module__ = "numpy"
values.fingerprint([1, "a", {"b": 2.5}, Array()])
print(*sorted({"numpy", "pandas", "polars", "pyarrow", "scipy", "torch", "pydantic", "attrs"} & set(sys.modules)))
"""


@pytest.mark.parametrize("program", [CLASSES, LIBRARIES], ids=["classes", "libraries"])
def test_the_hash_seed_of_a_process_has_no_influence(python: Callable[..., str], program: str):
    one, other = (python(program, PYTHONHASHSEED=seed) for seed in ("1", "77"))

    assert one == other


def test_other_processes_agree_with_this_one(python: Callable[..., str]):
    namespace: dict[str, object] = {}
    exec(IMPORTS, namespace)
    here = [fingerprint(eval(value, namespace)).hex() for value in VALUES]

    assert python(PROGRAM, *VALUES, PYTHONHASHSEED="5").split() == here


def test_golden_digests_do_not_change():
    """Processes with other versions of Python read the same cache: all of them come to these."""
    namespace: dict[str, object] = {}
    exec(IMPORTS, namespace)

    assert [(value, fingerprint(eval(value, namespace)).hex()) for value in VALUES] == GOLDEN


def test_no_library_is_loaded_for_a_fingerprint(python: Callable[..., str]):
    assert python(NOTHING_LOADED) == ""
