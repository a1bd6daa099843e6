"""What tests of bad input share."""

from __future__ import annotations

import subprocess

import pytest


@pytest.fixture
def small_file_system(tmp_path):
    """A tmpfs of 4 MiB; only root may make one."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", tmp_path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no right to mount; what can be is also tested with pages that fail")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)
