"""What tests of fingerprints share."""

from __future__ import annotations

from pathlib import Path

import pytest
from module_files import ModuleFiles


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleFiles:
    """Writes and imports modules."""
    return ModuleFiles(tmp_path, monkeypatch)
