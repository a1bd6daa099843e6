"""Modules as a user writes and edits them: written to a file, and imported afresh under the same name."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from raycache.core.fingerprint.code import Code, code_of


class ModuleFiles:
    """Writes modules below a folder; every version has a file of its own, so that no cache serves another."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        self._written = 0

    def __call__(self, source: str, name: str = "pipeline", lines: int = 0, file: str = "") -> types.ModuleType:
        """The module of this source, so many empty lines further down."""
        self._written += 1
        path = self._folder / str(self._written) / (file or f"{name}.py")
        path.parent.mkdir(parents=True)
        path.write_text("\n" * lines + source)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        self._monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    def code(self, source: str, function: str = "load", **where: Any) -> Code:
        """The code of a function in the module of this source."""
        found: Any = self(source, **where)
        for name in function.split("."):
            found = getattr(found, name)
        return code_of(found)
