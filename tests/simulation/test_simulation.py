"""The real code in virtual time: no history of any seed breaks a promise, and each rule that is left out shows."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Executor
from pathlib import Path

import pytest
from rules import RULES
from scenes import SCENES
from seeds import run_block, run_seeds
from simulation import Scenario

HEALTHY = range(2000)
BLOCK = 100
#: Of a scene, in which nothing but short delays is left to chance.
SEEDS = range(3)


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
    assert total.stats["records served"] > 0
    assert total.stats["CacheUnavailable"] == total.stats["LoaderDied"] == 0


def test_hot_copies_are_made_and_read(simulators: Executor) -> None:
    """Else nothing would be said of them here."""
    total = run_seeds(simulators, range(20), Scenario(calm=True))

    assert not total.problems
    assert total.stats["hot hits"] > 100


def test_clients_that_die_leave_nothing_half_told(simulators: Executor) -> None:
    """The owner finishes what they have begun: at last all see the same."""
    total = run_seeds(simulators, range(60), Scenario(kinds=("kill client", "slow"), agree=True))

    assert not total.problems, f"seed {total.problems[0].seed}: {total.problems[0].problem}"
    assert total.stats["operations finished by an owner"] > 0


@pytest.mark.parametrize("kinds", [("unheard",), ("unheard", "loader", "kill", "slow")], ids=["alone", "among others"])
def test_who_does_not_hear_of_the_end_of_a_load_has_its_value_all_the_same(
    simulators: Executor, kinds: tuple[str, ...]
) -> None:
    """Also of large values, which come after it."""
    total = run_seeds(simulators, range(100), Scenario(kinds=kinds))

    assert not total.problems, f"seed {total.problems[0].seed}: {total.problems[0].problem}"
    assert total.stats["ends of loads that are lost"] > 100


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_ends_well(simulators: Executor, scene: str) -> None:
    """With all rules."""
    total = run_seeds(simulators, SEEDS, Scenario(scene=scene), go_on=True)

    assert [each.problem for each in total.problems] == []


@pytest.mark.parametrize("rule", [name for name, rule in RULES.items() if not rule.covered])
def test_a_rule_that_is_left_out_is_missed(simulators: Executor, rule: str) -> None:
    """Its scene ends with a wrong value then; or, where nothing but time is promised, too late."""
    total = run_seeds(simulators, SEEDS, RULES[rule].scenario, rule, go_on=True)
    caught = total.problems if RULES[rule].late else total.wrong_values

    assert [each.seed for each in caught] == list(SEEDS), f"{RULES[rule].says}: nobody misses that"


def test_a_failing_seed_tells_its_history(simulators: Executor) -> None:
    """All that happened in virtual time, up to what is wrong."""
    rule = RULES["pop"]
    (run,) = simulators.submit(run_block, [0], rule.scenario, "pop", True).result()

    assert any("Delete" in line for line in run.trace)
    assert run.trace[-1].endswith(f"PROBLEM: {run.problem}")


def test_a_seed_is_one_history(tmp_path: Path) -> None:
    """Whatever the order of hashes is in a process."""
    one, other = (simulate("--seeds", "0:3", "--trace", hash_seed=seed) for seed in (1, 2))

    assert len(one.splitlines()) > 1000
    assert one == other
