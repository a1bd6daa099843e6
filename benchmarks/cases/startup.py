"""What importing raycache takes beside importing ray, each time in a new process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.harness import Goal, Measurement, take_turns
from benchmarks.setting import Setting

RAY, BOTH = "import ray", "import ray, raycache"


def run(setting: Setting) -> Iterator[Measurement]:
    contenders = {name: lambda _, name=name: _seconds(name) for name in (RAY, BOTH)}
    samples = take_turns(contenders, setting.rounds(20, 5), warm_up=1)
    done = Measurement(case="startup", operation="import in a new process", samples=samples)
    more = done.median(BOTH) - done.median(RAY)
    done.goals.append(Goal(what="seconds that raycache adds", figure=more, bound=0.15, unit=" s"))
    yield done


def _seconds(statement: str) -> float:
    program = f"import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)
