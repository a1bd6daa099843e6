"""Results of classes that a script defines are instances of the script's own classes, in every run of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from script_files import Scripts

import raycache

SCRIPT = """
    import dataclasses, enum, os, sys
    import raycache

    @dataclasses.dataclass(frozen=True)
    class Point:
        x: int

    class Color(enum.Enum):
        RED = 1

    @raycache.memoize(cache=sys.argv[1])
    def make(x):
        return Point(x), Color.RED

    @raycache.memoize(cache=sys.argv[1])
    def known(x, point):
        return isinstance(point, Point)

    hit = make.explain(1).hit
    point, color = make(1)
    with open(os.environ["ANSWERS"], "w") as answers:
        print(hit, type(point) is Point, point == Point(1), color is Color.RED, known(sys.argv[2], point), file=answers)
"""


def test_hits_of_a_second_run_are_instances_of_its_own_classes(
    cache: raycache.Cache, cluster_ray: Any, tmp_path: Path
) -> None:
    """Also what a task is given that was sent by the first run: there, too, an instance is one of the function's."""
    scripts = Scripts(tmp_path / "scripts", cluster_ray.address)
    scripts.write("script.py", SCRIPT)
    lines = [scripts.run("script.py", cache.name, number) for number in (1, 2)]

    assert lines == [["False True True True True"], ["True True True True True"]]
