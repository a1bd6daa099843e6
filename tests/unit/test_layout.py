"""The order of the rooms: imports only ever go down, those under TYPE_CHECKING included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import raycache

ROOT = Path(raycache.__file__).parent
ORDER = [
    "errors",
    "options",
    "units",
    "panel",
    "glance",
    "core",
    "report",
    "group",
    "backend",
    "registry",
    "scaling",
    "cache",
    "inline",
    "cluster",
    "connecting",
    "memo",
]
ORDER += ["edge"]
#: What the core may not know, and what a module of it may all the same: damaged pages may crash whoever reads them,
#: which therefore is a child.
OUTSIDE = {"ray", "socket", "socketserver", "ssl", "http", "multiprocessing", "subprocess"}
ALLOWED = {"pages.py": {"subprocess"}}
#: Rooms that do not know each other.
SIBLINGS = {"inline", "cluster"}
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def room(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[tuple[str, bool]]:
    """What a module imports, and whether it does so inside a function."""
    tree = ast.parse((ROOT / module).read_text())
    lazy = {id(each) for node in ast.walk(tree) if _is_function(node) for each in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((name, id(node) in lazy) for name in names)


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def imported_room(name: str) -> str | None:
    """The room of raycache that an import is of: `from raycache import errors` is of errors."""
    parts = name.split(".")
    if parts[0] != "raycache":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in {*ORDER, "_version"} else ""


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_down_only(module):
    here = room(module)
    if here in ("__init__", "_version", "__main__"):
        return
    rooms = {name: imported_room(name) for name, _ in imports(module)}
    ours = {name: there for name, there in rooms.items() if there is not None}
    up = [
        name
        for name, there in ours.items()
        if there not in ("_version", here)
        and (not there or ORDER.index(there) >= ORDER.index(here) or {here, there} == SIBLINGS)
    ]

    assert up == []


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) == "core"], ids=str)
def test_the_core_knows_neither_ray_nor_sockets_nor_processes(module):
    names = {name.split(".")[0] for name, _ in imports(module)}

    assert names & OUTSIDE == ALLOWED.get(module.name, set())


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_only_the_cluster_imports_ray_and_connecting_when_it_needs_it(module):
    of_ray = [lazy for name, lazy in imports(module) if name.split(".")[0] == "ray"]
    if room(module) == "connecting":
        assert all(of_ray)
    elif room(module) not in ("cluster", "edge"):
        assert of_ray == []


def test_there_is_no_room_without_a_place_in_the_order():
    assert {room(module) for module in MODULES} - {"__init__", "_version", "__main__"} <= set(ORDER)


def dotted(module: Path) -> str:
    """The name by which it is imported."""
    return ".".join(("raycache", *module.with_suffix("").parts)).removesuffix(".__init__")


def test_the_modules_of_the_core_import_each_other_without_a_cycle():
    core = {dotted(module): module for module in MODULES if room(module) == "core"}
    needs = {
        name: {there for there, _ in imports(module) for there in (there, there.rpartition(".")[0]) if there in core}
        for name, module in core.items()
    }
    while free := [module for module, needed in needs.items() if not needed & needs.keys()]:
        for module in free:
            del needs[module]

    assert needs == {}
