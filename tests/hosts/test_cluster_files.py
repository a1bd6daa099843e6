"""The cluster files of the project against Ray's own schema. They need no hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_on_hosts import ROOT, filled_in
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

FILES = {file.name: file for file in (ROOT / "cluster.yaml", ROOT / "docs" / "cluster-aws.yaml")}


def valid(text: str) -> dict[str, Any]:
    """The file as `ray up` reads it: with Ray's defaults filled in, and validated."""
    config: dict[str, Any] = prepare_config(yaml.safe_load(text))
    validate_config(config)
    return config


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_cluster_file_is_what_ray_accepts(file: Path) -> None:
    """As it is shipped, nothing filled in."""
    config = valid(file.read_text())

    assert config["cluster_name"] == "raycache"


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_word_that_ray_does_not_know_is_refused(file: Path) -> None:
    """The schema is one that can fail."""
    with pytest.raises(ValidationError, match="workers"):
        valid(file.read_text() + "\nworkers: 3\n")


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_both_kinds_of_nodes_get_the_token_and_use_it(file: Path) -> None:
    """Mounted with the file's own path, made readable for its user alone, and without it Ray does not start."""
    config = valid(file.read_text())

    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    for kind in ("head", "worker"):
        assert "chmod 700 ~/.ray && chmod 600 ~/.ray/auth_token" in config[f"{kind}_setup_commands"]
        (starts,) = [command for command in config[f"{kind}_start_ray_commands"] if "ray start" in command]
        assert starts.startswith("RAY_AUTH_MODE=token ")


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_the_cache_is_brought_up_last(file: Path) -> None:
    """On the head, when Ray runs there."""
    config = valid(file.read_text())

    assert config["head_start_ray_commands"][-1].startswith("raycache up ")


def test_what_is_to_be_filled_in_is_there_once() -> None:
    """Addresses, user, and the lines for a raycache of one's own."""
    config = valid(filled_in("10.1.1.1", ["10.1.1.2", "10.1.1.3", "10.1.1.4"]))

    assert config["provider"]["head_ip"] == "10.1.1.1"
    assert config["available_node_types"][config["head_node_type"]]["min_workers"] == 3
    assert config["file_mounts"]["~/raycache-wheel"] == "dist"
    assert next(command for command in config["setup_commands"] if "pip install" in command).endswith("*.whl")
