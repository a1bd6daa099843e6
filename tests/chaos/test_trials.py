"""Seeded trials on real processes: no get is stale or wrong while shards, directory, loaders, clients and nodes die.

They run in a process and a Ray of their own, as `scripts/chaos` does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SEEDS = range(20)
#: A short lease and short trials. What a get may take is measured on a quiet machine, by `scripts/chaos`; here a get
#: only has to come back while the machine does much else.
SHORT = ("--lease", "1", "--seconds", "3", "--slack", "20")
#: Of `--kind "stop shard"`: its plan begins with a stop that outlasts a write.
STOPS_LONG = 6

pytestmark = pytest.mark.timeout(600)


def chaos(answer: Path, *arguments: str) -> dict[str, Any]:
    """What `python -m chaos` finds."""
    command = [sys.executable, "-m", "chaos", *SHORT, *arguments, "--json", str(answer)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=580, check=False)

    assert answer.exists(), done.stderr[-10_000:]
    return json.loads(answer.read_text())


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """By seed; all of them in one Ray."""
    answer = tmp_path_factory.mktemp("chaos") / "trials.json"
    found = chaos(answer, "--seed", str(SEEDS.start), "--trials", str(len(SEEDS)))
    return {trial["seed"]: trial for trial in found["trials"]}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_get_is_stale_or_wrong_or_lost_under_faults(seed: int, trials: dict[int, dict[str, Any]]) -> None:
    """And all serves in full when they are over."""
    trial = trials[seed]

    assert trial["passed"], trial["story"]
    assert trial["gets"] > 12  # those are of before


def test_the_trials_did_much_and_harmed_much(trials: dict[int, dict[str, Any]]) -> None:
    """Else what they show would be worth nothing."""
    harm = sum((Counter(trial["done"]) for trial in trials.values()), Counter())

    assert sum(trial["gets"] for trial in trials.values()) > 2000
    assert sum(trial["writes"] for trial in trials.values()) > 200
    assert min(harm[each] for each in ("kills", "stops", "nodes lost", "nodes added")) > 0


def test_clients_that_take_no_notice_of_leases_are_found(tmp_path: Path) -> None:
    """A shard is stopped, the others go on without it, and a client on its node goes on to use what it had. Whether it
    has something near just then is chance: there are as many trials as it takes, up to twelve."""
    stops = ("--kind", "stop shard", "--seed", str(STOPS_LONG))
    found = chaos(tmp_path / "broken.json", "--broken", "--trials", "12", "--exit-first", *stops)

    assert sum(trial["violations"].get("stale", 0) for trial in found["trials"]) > 0
    assert "STALE" in found["trials"][-1]["story"]
