"""Getters travel to the processes that run them, or the error says what hinders them."""

from __future__ import annotations

import importlib
import sys
import threading
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from peers import Peers, attempt

import raycache


def module(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module in a folder that only this process knows."""
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


@pytest.mark.parametrize("kind", ["lambda", "closure", "partial", "method", "instance"])
def test_getters_of_all_kinds_run_in_other_processes(kind: str, register: Callable[..., raycache.Group]) -> None:
    """With what they have captured."""
    suffix = "!"

    class Shouter:
        def __init__(self, suffix: str) -> None:
            self.suffix = suffix

        def shout(self, key: str) -> str:
            return key.upper() + self.suffix

        __call__ = shout

    def closure(key: str) -> str:
        return key.upper() + suffix

    getters: dict[str, Any] = {
        "lambda": lambda key: key.upper() + suffix,
        "closure": closure,
        "partial": partial(lambda suffix, key: key.upper() + suffix, "!"),
        "method": Shouter("!").shout,
        "instance": Shouter("!"),
    }

    assert register(getters[kind]).get("alice") == "ALICE!"


@pytest.mark.parametrize(
    ("captured", "named"),
    [(threading.Lock(), "lock"), (zlib.compressobj(), "zlib.Compress"), ((n for n in "a"), "generator")],
)
def test_a_getter_that_cannot_be_pickled_is_refused_when_it_is_registered(
    captured: Any, named: str, register: Callable[..., raycache.Group]
) -> None:
    """With its name, and what hinders it."""

    def getter(key: str) -> Any:
        return captured

    with pytest.raises(raycache.UnpicklableGetter, match=rf"(?s)getter\b.*{named}"):
        register(getter)


def test_a_getter_of_a_module_beside_the_program_is_found(
    register: Callable[..., raycache.Group], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder on this process's path alone."""
    beside = module(tmp_path, "beside_the_program", "def shout(key):\n    return key.upper()\n", monkeypatch)

    assert register(beside.shout).get("alice") == "ALICE"


def test_a_getter_whose_module_cannot_be_imported_there_says_so(
    register: Callable[..., raycache.Group], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peers: Peers
) -> None:
    """To whoever asks, here and elsewhere; the key is free."""
    gone = module(tmp_path, "gone_from_the_disk", "def shout(key):\n    return key.upper()\n", monkeypatch)
    (tmp_path / "gone_from_the_disk.py").unlink()
    group = register(gone.shout)
    outcomes = [attempt(group.get, "alice"), peers(1)[0].do(attempt, group.get, "alice")]

    assert [outcome.error for outcome in outcomes] == [ModuleNotFoundError] * 2
    assert all("gone_from_the_disk" in outcome.message for outcome in outcomes)
    assert all("getter gone_from_the_disk.shout" in outcome.notes for outcome in outcomes)
    assert "alice" not in group


def test_what_is_no_function_is_refused(cache: raycache.Cache) -> None:
    """Before anything is registered."""
    with pytest.raises(raycache.InvalidOption, match="not callable"):
        cache.group("wrong", 7)  # type: ignore[arg-type]
    with pytest.raises(raycache.InvalidOption, match="not both"):
        cache.group("wrong", str, batch_getter=list)

    assert "wrong" not in cache.groups()
