"""Memoized functions that a script defines work wherever its code runs: in tasks, actors, threads and event loops."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import ray
from cluster_ray import ClusterRay
from marks import Barrier, Marks
from peers import results
from script_files import Scripts

import raycache

#: Calls one function of each kind from everywhere, and answers with what came.
SCRIPT = """
    import asyncio, json, os, sys
    from concurrent.futures import ThreadPoolExecutor

    import ray
    import raycache

    from beside import whisper

    CACHE, RUNS = sys.argv[1:]
    MARK = "!"


    def note(run):
        with open(RUNS, "a") as runs:
            runs.write(f"{run}\\n")


    @raycache.memoize(cache=CACHE)
    def shout(word):
        note(f"shout {word}")
        return word.upper() + MARK


    @raycache.memoize(cache=CACHE)
    async def ashout(word):
        note(f"ashout {word}")
        return word.upper() + MARK


    @raycache.memoize(cache=CACHE, where="caller")
    def twice(word):
        note(f"twice {word}")
        return shout(word) * 2


    class Speaker:
        def __init__(self, mark):
            self.mark = mark

        @raycache.memoize(cache=CACHE)
        def say(self, word):
            note(f"say {word} {self.mark}")
            return word + self.mark

        @classmethod
        @raycache.memoize(cache=CACHE)
        def name(cls, word):
            note(f"name {word}")
            return cls.__name__ + word

        @staticmethod
        @raycache.memoize(cache=CACHE)
        def plain(word):
            note(f"plain {word}")
            return word


    def everything(word):
        return [shout(word), twice(word), whisper(word, RUNS), *methods(word)]


    def methods(word):
        return [Speaker("?").say(word), Speaker.name(word), Speaker.plain(word)]


    async def everything_async(word):
        return [*await asyncio.gather(*(ashout(word) for _ in range(3))), *everything(word)]


    @ray.remote
    class Actor:
        def __init__(self, function):
            self.function = function

        def method(self, word):
            return self.function(word)

        def threads(self, word):
            with ThreadPoolExecutor(4) as pool:
                return list(pool.map(everything, [word] * 4))[-1]


    @ray.remote
    class AsyncActor:
        async def method(self, word):
            return await everything_async(word)


    if __name__ == "__main__":
        ray.init(log_to_driver=False)
        task, actor, async_actor = ray.remote(everything), Actor.remote(everything), AsyncActor.remote()
        with ThreadPoolExecutor(4) as pool:
            in_threads = list(pool.map(everything, ["alice"] * 4))[-1]
        elsewhere = {
            "tasks": task.remote("alice"),
            "actors": actor.method.remote("alice"),
            "threads of an actor": actor.threads.remote("alice"),
            "an async actor": async_actor.method.remote("alice"),
            "methods in tasks": ray.remote(methods).remote("bob"),
            "a bound method in tasks": ray.remote(lambda say, word: say(word)).remote(Speaker("?").say, "alice"),
        }
        answer = {
            "the script": everything("alice"),
            "threads": in_threads,
            "an event loop": asyncio.run(everything_async("alice")),
            **{place: ray.get(call, timeout=60) for place, call in elsewhere.items()},
        }
        with open(os.environ["ANSWERS"], "w") as answers:
            json.dump(answer, answers)
"""

#: A module in the folder of the script.
BESIDE = """
    import raycache
    from quietly import quiet


    @raycache.memoize
    def whisper(word, runs):
        with open(runs, "a") as file:
            file.write(f"whisper {word}\\n")
        return quiet(word)
"""

EVERYTHING = ["ALICE!", "ALICE!ALICE!", "(alice)", "alice?", "Speakeralice", "alice"]


class Said:
    """What the script has answered, and which functions ran."""

    def __init__(self, lines: list[str], runs: list[str]) -> None:
        (answer,) = lines
        self.by_place: dict[str, Any] = json.loads(answer)
        self.runs = Counter(runs)


@pytest.fixture(scope="module")
def said(cluster_ray: ClusterRay, cache: raycache.Cache, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """One run of the script, for all tests."""
    folder = tmp_path_factory.mktemp("script")
    scripts, runs = Scripts(folder, cluster_ray.address), Marks(folder / "runs")
    scripts.write("main.py", SCRIPT)
    scripts.write("beside.py", BESIDE.replace("@raycache.memoize", f"@raycache.memoize(cache={cache.name!r})"))
    scripts.write("quietly.py", 'def quiet(word):\n    return f"({word})"\n')
    return Said(scripts.run("main.py", cache.name, runs.path), runs.lines())


@pytest.mark.parametrize("place", ["the script", "threads", "tasks", "actors", "threads of an actor"])
def test_memoized_functions_of_a_script_work_in(place: str, said: Said) -> None:
    """Plain ones, nested ones, methods, and those of a module beside the script."""
    assert said.by_place[place] == EVERYTHING


@pytest.mark.parametrize("place", ["an event loop", "an async actor"])
def test_async_memoized_functions_of_a_script_work_in(place: str, said: Said) -> None:
    """Several calls at once, and plain functions beside them."""
    assert said.by_place[place] == ["ALICE!"] * 3 + EVERYTHING


def test_memoized_methods_of_a_script_work_in_tasks(said: Said) -> None:
    """Called there for the first time; and bound here, and called there."""
    assert said.by_place["methods in tasks"] == ["bob?", "Speakerbob", "bob"]
    assert said.by_place["a bound method in tasks"] == "alice?"


def test_all_places_of_a_script_share_one_computation(said: Said) -> None:
    """Of each call: in all its processes, threads and event loops."""
    names = ["shout", "ashout", "twice", "whisper", "name", "plain"]
    expected = Counter({f"{name} alice": 1 for name in names})

    assert said.runs == expected + Counter(["say alice ?", "say bob ?", "name bob", "plain bob"])


def make_nested(cache: str, marks: Marks) -> Any:
    """A memoized function that calls another one, with an argument of its own and with one that all share."""

    @raycache.memoize(cache=cache)
    def inner(number: int) -> int:
        marks.add(f"inner {number}")
        return number * 10

    @raycache.memoize(cache=cache)
    def outer(number: int) -> int:
        marks.add(f"outer {number}")
        both: list[int] = [inner(number), inner(0)]
        return sum(both)

    return outer


def call_all(function: Any, numbers: list[int], barrier: Barrier) -> list[int]:
    barrier.wait()
    return [function(number) for number in numbers]


def test_nested_calls_in_tasks_that_hold_all_cpus_end(cache: raycache.Cache, tmp_path: Path) -> None:
    """Though the cache runs two tasks at a time, and both of them wait for what they have called."""
    marks, cpus = Marks(tmp_path / "runs"), int(ray.cluster_resources()["CPU"])
    outer, barrier = make_nested(cache.name, marks), Barrier(tmp_path / "barrier", cpus)
    task = ray.remote(call_all).options(num_cpus=1)
    calls = [task.remote(outer, [number, 9], barrier) for number in range(1, cpus + 1)]

    assert results(calls) == [[number * 10, 90] for number in range(1, cpus + 1)]
    numbers = [*range(1, cpus + 1), 9]
    assert Counter(marks.lines()) == Counter([f"{name} {n}" for name in ("outer", "inner") for n in numbers]) + Counter(
        ["inner 0"]
    )


def test_a_function_that_calls_itself_computes_each_argument_once(cache: raycache.Cache, tmp_path: Path) -> None:
    """Deeper than there are tasks; in a closure, where it reads its own name."""
    marks = Marks(tmp_path / "runs")

    @raycache.memoize(cache=cache.name)
    def fibonacci(n: int) -> int:
        marks.add(str(n))
        parts: list[int] = [n] if n < 2 else [fibonacci(n - 1), fibonacci(n - 2)]
        return sum(parts)

    assert fibonacci(6) == 8
    assert sorted(marks.lines()) == [*"0123456"]
