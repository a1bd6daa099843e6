"""A key that nobody has loaded yet, with a trivial getter, against a bare Ray task; then a thousand of each."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.harness import Measurement, at_most, faster
from benchmarks.setting import Setting
from raycache.edge.bench import COLD, COLD_MANY, TASK, TASKS, cold, cold_many, text_of

GOALS = (
    at_most(COLD, TASK, 1.5, row="cold key"),
    faster(COLD_MANY, TASKS, 20, row="1000 cold keys in one `get_many`, trivial getter"),
)


def run(setting: Setting) -> Iterator[Measurement]:
    group = setting.cache.group("cold", text_of)
    done = Measurement(
        case="cold",
        operation="a str of 100 bytes from a trivial getter, one at a time, 3 ms apart; tasks have num_cpus=0",
        samples=cold(group, setting.rounds(300, 75), warm_up=50),
        ours=COLD,
    )
    done.judge(GOALS[0])
    yield done
    done = Measurement(
        case="cold-many",
        operation="1000 strs of 100 bytes from a trivial getter; tasks have the default num_cpus, as that is faster",
        samples=cold_many(group, setting.rounds(15, 4)),
        ours=COLD_MANY,
    )
    done.judge(GOALS[1])
    yield done
