"""`raycache bench`: how fast a cache is on the cluster at hand, measured on a cache of its own that is gone afterwards.

Near hits, page hits, batches, cold keys and a herd of callers. What is compared needs no installation:
functools.lru_cache and bare Ray tasks. `benchmarks/` measures with the same functions, and adds the peers.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import click

from raycache.cache import Cache
from raycache.connecting import connect
from raycache.edge import command, tables, text
from raycache.edge.rounds import Samples, each, on_new_items, once, quantile, take_turns
from raycache.group import Group

T = TypeVar("T")
#: Opens, in the process that is measured, what is called with a key, or with a list of keys.
Opener = Callable[[], Callable[[Any], Any]]

CAPACITY = "256 MiB"
#: Keys of a loop, of a round of page hits, and of a batch.
KEYS, PER_ROUND, BATCH = 1000, 100, 1000
NEAR, LRU = "near hit", "functools.lru_cache hit"
PAGE, MANY = "page hit", f"get_many of {BATCH} page hits"
COLD, TASK = "get of a cold key", "one bare Ray task"
COLD_MANY, TASKS = f"get_many of {BATCH} cold keys", f"{BATCH} bare Ray tasks, then ray.get of all"
#: Callers of a herd: so many processes, each with so many threads.
HERD_PROCESSES, HERD_THREADS = 8, 8
#: How long the processes of a herd have to get ready.
_READY_S = 0.1


def text_of(key: str) -> str:
    """The value of the key "NAME-NUMBER": 100 characters, no two alike. A trivial getter."""
    return f"{int(key.rpartition('-')[2]):020d}" * 5


def keys_of(name: str, first: int, count: int) -> list[str]:
    """The keys of these numbers."""
    return [f"{name}-{number}" for number in range(first, first + count)]


# -------------------------------------------------------------------------------------------- processes


def in_new_process(work: Callable[..., T], *arguments: Any, node: str | None = None) -> T:
    """Runs a function in a Ray worker that has done nothing before and does nothing after.

    `node`: Ray's id of where; by default this one.
    """
    import ray

    # Ray gives a worker to tasks with the same environment only.
    environment = {"env_vars": {"RAYCACHE_BENCH_PROCESS": str(time.monotonic_ns())}}
    task = ray.remote(num_cpus=0, max_calls=1, max_retries=0, runtime_env=environment, **_there(node))(work)
    result: T = ray.get(task.remote(*arguments))
    return result


def _there(node: str | None) -> dict[str, Any]:
    """Options of a task or an actor that is to be on a node, by default on this one."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    where = node or ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(where, soft=False)}


class _Process:
    """What runs in a process of a `Crew`: keeps what it has opened."""

    def __init__(self, openers: Mapping[str, Opener]) -> None:
        self._opened = {name: opener() for name, opener in openers.items()}

    def run(self, name: str, work: Callable[..., Any], begin: float, *arguments: Any) -> Any:
        """Calls `work` with what was opened under the name, when the machine's monotonic clock says so."""
        time.sleep(max(begin - time.monotonic(), 0.0))
        return work(self._opened[name], *arguments)


class Crew:
    """Processes of this node that do the same work at the same time; a context manager that ends them."""

    def __init__(self, size: int, openers: Mapping[str, Opener]) -> None:
        import ray

        actor = ray.remote(_Process).options(num_cpus=0, **_there(None))
        self._actors = [actor.remote(openers) for _ in range(size)]

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        for actor in self._actors:
            ray.kill(actor)

    def work(self, name: str, work: Callable[..., T], *arguments: Any) -> list[T]:
        """What `work` gives in every process; it gets what is opened there, the arguments, and the process's number."""
        import ray

        begin = time.monotonic() + _READY_S
        answers: list[T] = ray.get(
            [actor.run.remote(name, work, begin, *arguments, n) for n, actor in enumerate(self._actors)]
        )
        return answers


# ------------------------------------------------------------------------------------------------ cases


def near(group: Group, others: Mapping[str, Callable[[str], Any]], rounds: int) -> Samples:
    """Gets of keys that this process has got before, against hits of functools.lru_cache and of others."""
    keys = keys_of("near", 0, KEYS)
    # Bounded, as raycache is, and with room for all keys, as raycache has.
    cached = functools.lru_cache(maxsize=2 * KEYS)(text_of)
    group.get_many(keys)
    hits: dict[str, Callable[[Any], Any]] = {NEAR: group.get, LRU: cached, **others}
    contenders = {name: functools.partial(_over, hit, keys) for name, hit in hits.items()}
    before = group.stats().near_hits
    samples = take_turns(contenders, rounds, warm_up=20)
    _check(group.stats().near_hits - before >= rounds * KEYS, "these were no near hits")
    return samples


def _over(call: Callable[[Any], Any], items: list[Any], _: int) -> float:
    return each(call, items)


def first_gets(
    group: Group, keys: list[str], others: Mapping[str, Opener], slow: Mapping[str, Opener], warm_up: int
) -> Samples:
    """Gets of keys that this process has not had, against others that are asked for the same, the slow for some."""
    calls = {PAGE: group.get} | {name: opener() for name, opener in others.items()}
    contenders = {name: on_new_items(call, keys, PER_ROUND) for name, call in calls.items()}
    contenders |= {name: on_new_items(opener(), keys, PER_ROUND, PER_ROUND // 20) for name, opener in slow.items()}
    return _first(group, contenders, len(keys), len(keys) // PER_ROUND, warm_up)


def first_batches(group: Group, keys: list[str], others: Mapping[str, Opener], warm_up: int) -> Samples:
    """The same with `get_many`."""
    batches = [keys[at : at + BATCH] for at in range(0, len(keys), BATCH)]
    calls = {MANY: group.get_many} | {name: opener() for name, opener in others.items()}
    contenders = {name: on_new_items(call, batches, 1) for name, call in calls.items()}
    return _first(group, contenders, len(keys), len(batches), warm_up)


def _first(group: Group, contenders: Mapping[str, Any], gets: int, rounds: int, warm_up: int) -> Samples:
    before = group.stats().page_hits
    samples = take_turns(contenders, rounds - warm_up, warm_up=warm_up)
    _check(group.stats().page_hits - before == gets, "these were no page hits")
    return samples


def cold(group: Group, rounds: int, *, warm_up: int) -> Samples:
    """A key that nobody has loaded, one at a time, against a Ray task of the getter, which takes no CPU either."""
    import ray

    task = ray.remote(num_cpus=0)(text_of)
    keys = keys_of("cold", 0, warm_up + rounds)
    contenders = {
        COLD: lambda number: once(lambda: group.get(keys[number])),
        TASK: lambda number: once(lambda: ray.get(task.remote(keys[number]))),
    }
    return take_turns(contenders, rounds, warm_up=warm_up, pause_s=0.003)


def cold_many(group: Group, rounds: int) -> Samples:
    """A thousand such keys at once, against a thousand tasks as Ray does them fastest.

    With num_cpus=0 it starts dozens of processes for them, takes twice as long, and slows down whatever comes next.
    """
    import ray

    task = ray.remote(text_of)
    batches = [keys_of("cold-many", number * BATCH, BATCH) for number in range(rounds + 1)]
    contenders = {
        COLD_MANY: lambda number: once(lambda: group.get_many(batches[number])),
        TASKS: lambda number: once(lambda: ray.get([task.remote(key) for key in batches[number]])),
    }
    return take_turns(contenders, rounds, warm_up=1, pause_s=0.2)


def herd(crew: Crew, names: list[str], rounds: int) -> Samples:
    """From the first caller's question for a cold key to the last one's answer; of what the crew has opened."""

    def run(name: str, number: int) -> float:
        times = crew.work(name, _ask_at_once, f"herd-{number}")
        return max(ended for _, ended in times) - min(began for began, _ in times)

    return take_turns({name: functools.partial(run, name) for name in names}, rounds, warm_up=1)


def _ask_at_once(call: Callable[[str], Any], key: str, _: int) -> tuple[float, float]:
    """Asks from all threads for one key; when that began and ended, on the machine's monotonic clock."""
    with ThreadPoolExecutor(HERD_THREADS) as threads:
        began = time.monotonic()
        answers = list(threads.map(call, [key] * HERD_THREADS))
        ended = time.monotonic()
    _check(len(set(answers)) == 1, "callers got different answers")
    return began, ended


def spin(key: str) -> str:
    """A getter that takes 20 ms of a processor."""
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        pass
    return text_of(key)


def _check(fact: bool, otherwise: str) -> None:
    """Figures of something else than was meant are none."""
    if not fact:
        raise RuntimeError(f"{otherwise}; was the cache changed or the machine out of memory meanwhile?")


# ---------------------------------------------------------------------------------------------- command


@click.command()
@command.address_option
@click.option("--quick", is_flag=True, help="A tenth of the rounds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def bench(address: str | None, quick: bool, as_json: bool) -> None:
    """Measure how fast a cache is on the Ray that runs here.

    Makes a cache of its own there, of 256 MiB a shard, and ends it. Other caches are left alone.
    """
    where = command.running(address)
    command.quiet_ray()
    with connect(f"bench-{os.getpid()}", address=where, capacity=CAPACITY) as cache, command.busy("measuring"):
        samples = measure(cache, share=0.1 if quick else 1.0)
    told = {name: {"median_s": quantile(taken, 0.5), "p99_s": quantile(taken, 0.99)} for name, taken in samples.items()}
    if as_json:
        command.echo(text.to_json(told))
    else:
        command.console().print(tables.bench_table(told))


def measure(cache: Cache, *, share: float) -> Samples:
    """All cases, with this share of the rounds that figures to rely on take."""

    def rounds(full: int) -> int:
        return max(int(full * share), 1)

    group = cache.group("bench", text_of)
    samples = near(group, {}, rounds(500))
    keys = keys_of("page", 0, PER_ROUND * (rounds(10) + rounds(300)))
    group.get_many(keys)
    samples |= in_new_process(first_gets, group, keys, {}, {}, rounds(10))
    keys = keys_of("many", 0, BATCH * (rounds(5) + rounds(50)))
    group.get_many(keys)
    samples |= in_new_process(first_batches, group, keys, {}, rounds(5))
    samples |= cold(group, rounds(200), warm_up=rounds(50)) | cold_many(group, rounds(10))
    spinning = cache.group("herd", spin)
    name = f"{HERD_PROCESSES * HERD_THREADS} callers of a cold key that takes 20 ms"
    with Crew(HERD_PROCESSES, {name: lambda: spinning.get}) as crew:
        samples |= herd(crew, [name], rounds(10))
    return samples
