"""The real code in virtual time: no history of any seed breaks a promise, and each rule that is left out shows."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Executor
from pathlib import Path

import pytest
from rules import RULES
from seeds import run_seeds
from simulation import Scenario

HEALTHY = range(600)
BLOCK = 100


def simulate(*arguments: str, hash_seed: int) -> str:
    """What the command prints."""
    done = subprocess.run(
        [sys.executable, os.fspath(Path(__file__).parent), *arguments],
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("first", HEALTHY[::BLOCK])
def test_no_get_is_stale_and_all_operations_end(simulators: Executor, first: int) -> None:
    """Under a random mix of faults in each seed."""
    total = run_seeds(simulators, range(first, first + BLOCK), Scenario())

    assert not total.problems, f"seed {total.problems[0].seed}: {total.problems[0].problem}"
    assert total.seeds == BLOCK


def test_without_faults_most_gets_are_near_or_page_hits(simulators: Executor) -> None:
    """What is simulated is a cache: it loads much less often than it is asked."""
    total = run_seeds(simulators, range(20), Scenario(calm=True, reads=("get",)))

    assert not total.problems
    assert total.stats["loads"] < total.stats["get"] / 2
    assert total.stats["CacheUnavailable"] == total.stats["LoaderDied"] == 0


def test_clients_that_die_leave_nothing_half_told(simulators: Executor) -> None:
    """The owner finishes what they have begun: at last all see the same."""
    total = run_seeds(simulators, range(60), Scenario(kinds=("kill client", "slow"), agree=True))

    assert not total.problems, f"seed {total.problems[0].seed}: {total.problems[0].problem}"
    assert total.stats["operations finished by an owner"] > 0


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_is_left_out_is_missed(simulators: Executor, rule: str) -> None:
    """The simulation finds the history that breaks without it."""
    total = run_seeds(simulators, range(RULES[rule].seeds), RULES[rule].scenario, rule)

    assert total.wrong_values, f"{total.seeds} seeds without the rule {rule!r} ({RULES[rule].says}) show nothing"


def test_a_seed_is_one_history(tmp_path: Path) -> None:
    """Whatever the order of hashes is in a process."""
    one, other = (simulate("--seeds", "0:3", "--trace", hash_seed=seed) for seed in (1, 2))

    assert len(one.splitlines()) > 1000
    assert one == other
