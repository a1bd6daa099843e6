"""The same code has the same digest in every process: whatever the hash seed, the file's name, or how it got there."""

from __future__ import annotations

import pytest

SOURCE = '''
import collections
import dataclasses
import enum
import functools
import numpy as np

ALLOWED = {"a", "b", "c", "d"}
TABLE = {"x": 1, "y": [2, {"z": 3}], "w": frozenset("abc")}

class Color(enum.Enum):
    RED = 1
    BLUE = 2

@dataclasses.dataclass
class Config:
    """What to do."""
    size: int = 1
    names: set = dataclasses.field(default_factory=set)

    def total(self):
        return self.size + len(self.names)

Point = collections.namedtuple("Point", "x y")

def clean(x, mode={"r", "w"}):
    return x in {"p", "q", "r", 1, 2.5, None} or x in ALLOWED

def load(x, *, config=Config(2, {"a", "b"})):
    # reads
    steps = [lambda y: clean(y), functools.partial(clean, mode={"a", "b"})]
    return [step(each) for each in np.sort(x) for step in steps], TABLE, config.total(), Color.RED, Point(1, 2)

AS_VALUES = [{clean, len}, {Config, Color, Point}, Config(3), functools.partial(load, 1), load, Color.BLUE, np.sort]
'''
ASK = """
from raycache.core.fingerprint.code import code_of
from raycache.core.fingerprint.values import fingerprint
print(code_of(load).digest.hex(), *(fingerprint(each).hex() for each in AS_VALUES))
"""


@pytest.fixture
def run(tmp_path, python):
    """Runs a program file with a hash seed, and gives what it prints."""

    def run(source, *arguments, file="script.py", seed=0):
        path = tmp_path / file
        path.write_text(source)
        return python(path, *arguments, PYTHONHASHSEED=str(seed))

    return run


def test_the_hash_seed_the_files_name_and_the_line_have_no_influence_on_a_script(run):
    told = {run(SOURCE + ASK, seed=1), run(SOURCE + ASK, seed=2, file="other.py"), run("\n\n\n# a\n" + SOURCE + ASK)}

    assert len(told) == 1
    assert run(SOURCE.replace('"y": [2', '"y": [3') + ASK) not in told


def test_the_hash_seed_has_no_influence_on_a_module(run, tmp_path):
    (tmp_path / "steps.py").write_text(SOURCE)
    ask = "from steps import AS_VALUES, load\n" + ASK

    assert run(ask, seed=1) == run(ask, seed=2)


def test_the_hash_seed_has_no_influence_on_code_without_source(python):
    """The constants of `in {...}` are a frozenset, whose order is the hashes'."""
    told = {python(SOURCE + ASK, PYTHONHASHSEED=str(seed)) for seed in (1, 2, 3)}

    assert len(told) == 1


def test_a_function_shipped_by_cloudpickle_has_the_same_digest_there(run, tmp_path):
    """With the script's file at hand, whose source is found, though nothing else of the script is there."""
    data = tmp_path / "load.pickle"
    pickle = f"\nimport cloudpickle\nopen({str(data)!r}, 'wb').write(cloudpickle.dumps((load, AS_VALUES)))\n"
    unpickle = f"import cloudpickle\nload, AS_VALUES = cloudpickle.loads(open({str(data)!r}, 'rb').read())\n"
    here = run(SOURCE + ASK + pickle, seed=1)

    assert run(unpickle + ASK, file="worker.py", seed=2) == here


def test_functions_shipped_without_their_file_agree_with_each_other(run, tmp_path):
    data = tmp_path / "load.pickle"
    pickle = f"\nimport cloudpickle\nopen({str(data)!r}, 'wb').write(cloudpickle.dumps((load, AS_VALUES)))\n"
    unpickle = f"import cloudpickle\nload, AS_VALUES = cloudpickle.loads(open({str(data)!r}, 'rb').read())\n"
    run(SOURCE + pickle)
    (tmp_path / "script.py").unlink()
    there = {run(unpickle + ASK, file="worker.py", seed=seed) for seed in (1, 2)}

    assert len(there) == 1


def test_what_a_function_imports_itself_counts_the_same_whether_or_not_it_was_imported_before(run):
    """The installed module is not imported to find its version."""
    source = "import sys\ndef load(x):\n    import sklearn.svm as svm, torch, yaml\n    return svm.fit(torch.sort(x))\n"
    ask = "from raycache.core.fingerprint.code import code_of\n"
    ask += "print(code_of(load).digest.hex(), 'torch' in sys.modules)\n"
    before = run(source + ask)
    after = run("import sys, types\nsys.modules['yaml'] = types.ModuleType('yaml')\n" + source + ask)

    assert before.endswith("False")
    assert before == after
