"""Measurements as a table for people and as JSON for later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Goal, Measurement, quantile


def table(title: str) -> Table:
    made = Table(title=title, title_justify="left", header_style="bold", expand=False)
    made.add_column("case", style="cyan", no_wrap=True)
    made.add_column("contender or goal")
    for column in ("median", "p99", "samples", "to the peer"):
        made.add_column(column, justify="right", no_wrap=True)
    return made


def add(made: Table, done: Measurement) -> None:
    """A row for each contender, goal and fact."""
    made.add_section()
    made.add_row(done.case, f"[dim]{done.operation}[/dim]")
    for name, samples in done.samples.items():
        ratio = "" if done.peer not in done.samples else f"{done.ratio(name, done.peer):.3g}x"
        shown = "peer" if name == done.peer else ratio
        made.add_row("", name, duration(done.median(name)), duration(done.p99(name)), f"{len(samples):,}", shown)
    for name, why in done.not_run.items():
        made.add_row("", f"{name}: [red]not run[/red], {why}")
    for name, fact in done.facts.items():
        made.add_row("", name, f"{fact:,}" if isinstance(fact, int) else str(fact))
    for goal in done.goals:
        made.add_row("", *_goal(goal))


def _goal(goal: Goal) -> tuple[str, str, str, str, str]:
    bound = f"{'at least' if goal.at_least else 'at most'} {goal.bound:,.10g}{goal.unit}"
    if goal.figure is None:
        verdict, figure = "[bold red]NOT RUN[/]", "-"
    else:
        verdict = "[green]met[/]" if goal.met else "[bold red]MISSED[/]"
        figure = f"{goal.figure:,.0f}" if goal.figure >= 1000 else f"{goal.figure:.3g}{goal.unit}"
    return f"goal: {goal.what} {bound}", figure, "", "", verdict


def duration(seconds: float) -> str:
    """Three digits with their unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def as_json(done: Measurement) -> dict[str, Any]:
    """All figures; times in seconds."""
    return {
        "case": done.case,
        "operation": done.operation,
        "sample": done.sample,
        "peer": done.peer,
        "contenders": {name: _figures(samples) for name, samples in done.samples.items()},
        "to_the_peer": {name: done.ratio(name, done.peer) for name in done.samples} if done.peer else {},
        "goals": [vars(goal) | {"met": goal.met} for goal in done.goals],
        "facts": done.facts,
        "not_run": done.not_run,
    }


def _figures(samples: list[float]) -> dict[str, float]:
    shares = {"p1": 0.01, "p10": 0.1, "median": 0.5, "p90": 0.9, "p99": 0.99}
    return {
        "samples": len(samples),
        "mean_s": sum(samples) / len(samples),
        "least_s": min(samples),
        **{f"{name}_s": quantile(samples, share) for name, share in shares.items()},
        "most_s": max(samples),
    }


def write(path: Path, about: dict[str, Any], quick: bool, done: list[Measurement], failed: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {**about, "quick": quick, "failed": failed, "measurements": [as_json(each) for each in done]}
    path.write_text(json.dumps(told, indent=1) + "\n")


def show(made: Table, foot: str) -> None:
    console = Console()
    if not console.is_terminal:  # a log has no width to keep to
        console = Console(width=150)
    console.print(made)
    console.print(foot, style="dim", highlight=False)
