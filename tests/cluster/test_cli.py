"""The command `raycache` as users run it: a process of its own, on a real Ray."""

from __future__ import annotations

import glob
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import TIMEOUT_S, errors
from waiting import until

FILES = 20


@pytest.fixture
def on_cache(command, cluster_ray, cache) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command on the module's cache."""
    return lambda *arguments: command.run(*arguments, "--address", cluster_ray.address, "--name", cache.name)


def demo_folders(pid: int) -> list[str]:
    """What a demo of this process keeps in shared memory, and its Ray elsewhere."""
    return glob.glob(f"/dev/shm/raycache-*-demo-{pid}-*") + glob.glob(f"/tmp/raycache-*-demo-{pid}-*")


@pytest.fixture
def sources(tmp_path) -> Path:
    """Files, the last of which is broken."""
    for number in range(FILES - 1):
        (tmp_path / f"module{number:02}.py").write_text("def f(x):\n    return x or 1\n" * (number + 1))
    (tmp_path / "broken.py").write_text("def (\n")
    return tmp_path


@pytest.mark.parametrize("nodes", [1, 3])
def test_the_demo_loads_every_file_once(command, sources, nodes):
    """... whatever the workers' overlap, on one node and on three, and it counts every get."""
    ran = command.run("demo", os.fspath(sources), "--nodes", str(nodes), "--json")

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    stats = told["stats"]
    assert told["files"] == stats["loads"] == FILES
    assert stats["gets"] == 4 * 2 * FILES
    assert stats["hits"] + stats["loads_started"] + stats["loads_joined"] == stats["gets"]
    assert len({shard["node"] for shard in told["shards"]}) == len(told["shards"]) == nodes
    assert sum(shard["entries"] for shard in told["shards"]) == FILES
    assert told["unparsed"] == [{"path": "broken.py", "error": "SyntaxError: invalid syntax, line 1"}]


def test_the_demo_shows_tables_and_nothing_of_ray(command, sources):
    ran = command.run("demo", os.fspath(sources), "--workers", "2")

    assert ran.returncode == 0, ran.stderr
    assert "each file was parsed once" in ran.stdout
    assert "module18.py" in ran.stdout
    assert "broken.py" in ran.stdout
    (bar,) = errors(ran)
    assert "2 workers ask for 20 files" in bar


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_leaves_nothing(command, number):
    before = set(glob.glob("/tmp/raydemo-*"))
    with command.start("demo", "--nodes", "2") as process:
        until(lambda: demo_folders(process.pid), "the demo's shards are up")
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        _, err = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 1
    assert "Traceback" not in err
    assert "Aborted!" in err
    assert demo_folders(process.pid) == []
    assert set(glob.glob("/tmp/raydemo-*")) <= before


# ----------------------------------------------------------------------------------------------- a cache that is up


def test_status_tells_what_the_cache_tells(on_cache, cache, register):
    group = register(str.upper)
    group.get_many(["a", "b"])
    group.report()
    ran = on_cache("status", "--json")

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    (shard,) = told["shards"]
    (known,) = cache.shards()
    assert (shard["id"], shard["pid"], shard["node"]) == (known.id, known.pid, known.node)
    assert told["groups"][group.name] == group.stats().as_dict()
    assert errors(ran) == []


def test_values_go_in_and_out(on_cache, register):
    group = register(str.upper)
    commands = [("get", group.name, "a"), ("set", group.name, "a", "[1]", "--json"), ("get", group.name, "a")]

    assert [on_cache(*each).stdout for each in commands] == ["A\n", "", "[1]\n"]
    assert group.get("a") == [1]
    assert on_cache("rm", group.name, "a", "b").stdout == "removed 1 of 2 keys\n"
    assert group.get("a") == "A"


def test_no_cache_is_one_line_with_the_remedy_and_none_is_made(command, cluster_ray):
    for _ in range(2):  # the second time, too
        ran = command.run("status", "--address", cluster_ray.address, "--name", "nobody")

        assert ran.returncode == 1
        assert ran.stdout == ""
        (error,) = errors(ran)
        assert error.startswith("Error: no cache 'nobody' is up in this Ray; raycache.connect('nobody')")


def test_no_ray_is_one_line_with_the_remedy(command):
    ran = command.run("status", "--address", "127.0.0.1:1")

    assert ran.returncode == 1
    (error,) = errors(ran)
    assert error.startswith("Error: nothing answers at address='127.0.0.1:1'")
    assert "ray start --head" in error
