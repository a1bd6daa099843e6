"""Classes of scripts: what is decoded is an instance of the class that the process has, as long as that is the same."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from raycache.core.classes import signature
from raycache.core.codec import Codec, decode, shareable

SOURCE = """
import dataclasses, enum

@dataclasses.dataclass
class Point:
    x: int
    y: int = 0
    def far(self):
        return abs(self.x) > 10

class Color(enum.Enum):
    RED = 1
    BLUE = 2
    def shown(self):
        return self.name.lower()
"""


@pytest.fixture
def run_cell(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a cell in `__main__`, and gives what it has defined there."""

    def run(source: str) -> tuple[Any, Any]:
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(source, space)
        for name in ("Point", "Color"):
            monkeypatch.setattr(sys.modules["__main__"], name, space[name], raising=False)
        return space["Point"], space["Color"]

    return run


def test_after_the_cell_has_run_again_a_value_is_of_the_new_class(run_cell):
    point, color = run_cell(SOURCE)
    blob = Codec().encode([point(11), color.BLUE])
    point, color = run_cell(SOURCE)
    decoded = decode(*blob)

    assert decoded == [point(11), color.BLUE]
    assert type(decoded[0]) is point
    assert decoded[1] is color.BLUE


@pytest.mark.parametrize(
    ("old", "new"),
    [("> 10", "> 20"), ("y: int = 0", "y: int = 1"), ("    x: int\n", "    z: int\n"), ("def far", "def near")],
)
def test_after_the_class_was_edited_a_value_is_of_the_old_one(run_cell, old, new):
    point, _ = run_cell(SOURCE)
    blobs = [Codec().encode(point(11, 12)) for _ in range(2)]
    edited, _ = run_cell(SOURCE.replace(old, new))
    one, other = (decode(*blob) for blob in blobs)

    assert edited is not type(one) is type(other)
    assert one.far()


def test_a_copy_has_the_signature_of_the_class(run_cell):
    """The copy is used as a class is: it has its methods, and what it makes is encoded alike."""
    point, color = run_cell(SOURCE)
    blob = Codec().encode([point, color])
    run_cell(SOURCE.replace("> 10", "> 20").replace("BLUE = 2", "BLUE = 3"))
    copies = decode(*blob)

    assert [signature(each) for each in copies] == [signature(point), signature(color)]
    assert (copies[0](11).far(), copies[1].BLUE.shown()) == (True, "blue")


def test_a_member_of_a_scripts_enum_is_decoded_for_each_caller(run_cell):
    """A cell that is run again makes another class of it, and other members."""
    _, color = run_cell(SOURCE)

    assert not shareable(color.RED)
