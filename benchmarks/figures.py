"""Measurements as JSON, and the JSON as a table for the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.harness import Measurement
from raycache.edge.rounds import quantile
from raycache.units import measured_text

#: What is read of a JSON file: a run as `run_as_json` tells it, and one of its measurements.
Run = dict[str, Any]
Told = dict[str, Any]


def run_as_json(about: dict[str, Any], quick: bool, done: list[Measurement], failed: dict[str, str]) -> Run:
    return {**about, "quick": quick, "failed": failed, "measurements": [as_json(each) for each in done]}


def as_json(done: Measurement) -> Told:
    """All figures; times in seconds."""
    return {
        "case": done.case,
        "operation": done.operation,
        "sample": done.sample,
        "ours": done.ours,
        "apart": list(done.apart),
        "contenders": {name: _figures(samples) for name, samples in done.samples.items()},
        "amounts": done.amounts,
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


def write(path: Path, run: Run) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run, indent=1) + "\n")


def ratio(told: Told, name: str) -> float | None:
    """A contender's median in medians of ours; None where there is no such comparison."""
    ours = told["contenders"].get(told["ours"])
    if ours is None or name == told["ours"]:
        return None
    return float(told["contenders"][name]["median_s"] / ours["median_s"])


def number_text(number: float) -> str:
    """Three digits; whole from a thousand on."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def goal_text(goal: dict[str, Any]) -> str:
    """What a figure should be: "at most 3x"."""
    return f"{'at least' if goal['at_least'] else 'at most'} {goal['bound']:,.10g}{goal['unit']}"


def figure_text(goal: dict[str, Any]) -> str:
    return "-" if goal["figure"] is None else number_text(goal["figure"]) + goal["unit"]


def verdict(goal: dict[str, Any]) -> str:
    return "NOT RUN" if goal["figure"] is None else "met" if goal["met"] else "MISSED"


# -------------------------------------------------------------------------------------------- the terminal


def show(run: Run, foot: str) -> None:
    """Prints the table of a run."""
    console = Console()
    if not console.is_terminal:  # a log has no width to keep to
        console = Console(width=150)
    console.print(table(run))
    console.print(foot, style="dim", highlight=False)


def table(run: Run) -> Table:
    """A row for each contender, goal and fact."""
    title = "raycache benchmarks" + (" (quick)" if run["quick"] else "")
    made = Table(title=title, title_justify="left", header_style="bold", expand=False)
    made.add_column("case", style="cyan", no_wrap=True)
    made.add_column("contender or goal")
    for column in ("median", "p99", "samples", "takes, of ours"):
        made.add_column(column, justify="right", no_wrap=True)
    for told in run["measurements"]:
        _add(made, told)
    for case, why in run["failed"].items():
        made.add_section()
        made.add_row(case, f"[bold red]FAILED[/]: {escape(why)}")
    return made


def _add(made: Table, told: Told) -> None:
    made.add_section()
    made.add_row(told["case"], f"[dim]{escape(told['operation'])}[/dim]")
    for name, figures in told["contenders"].items():
        times = ratio(told, name)
        shown = "ours" if name == told["ours"] else "" if times is None else f"{number_text(times)}x"
        median, p99 = (measured_text(figures[each]) for each in ("median_s", "p99_s"))
        made.add_row("", escape(name), median, p99, f"{figures['samples']:,}", shown)
    for what, by_name in told["amounts"].items():
        for name, amount in by_name.items():
            made.add_row("", escape(f"{what}: {name}"), number_text(amount))
    for name, why in told["not_run"].items():
        made.add_row("", f"{escape(name)}: [red]NOT RUN[/], {escape(why)}")
    for name, fact in told["facts"].items():
        made.add_row("", escape(name), number_text(fact) if isinstance(fact, (int, float)) else fact)
    for goal in told["goals"]:
        style = "green" if goal["met"] else "bold red"
        what = f"goal: {goal['what']} {goal_text(goal)}"
        made.add_row("", escape(what), figure_text(goal), "", "", f"[{style}]{verdict(goal)}[/]")
