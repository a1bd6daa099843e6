"""Trials and figures as text for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from math import inf
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from chaos.figures import Figure
from chaos.history import Operation, Violation, around
from chaos.trial import Trial

#: Violations of one trial whose history is told; more are only counted.
MOST = 3


def line(trial: Trial) -> str:
    """A trial in one line."""
    verdict = trial.verdict
    faults = ", ".join(f"{number} {what}" for what, number in sorted(trial.counts.items()) if what)
    kinds = [f"{verdict.count(kind)} {kind}" for kind in ("stale", "wrong", "stall", "raised") if verdict.count(kind)]
    return (
        f"seed {trial.seed}: {verdict.gets:,} gets, {verdict.writes:,} writes, {verdict.unknown:,} unknown; "
        f"{faults or 'no process harmed'}; longest get {verdict.longest_s:.2f} s; "
        f"{', '.join(kinds + ['TROUBLE'] * bool(trial.trouble)) or 'all right'}"
    )


def story(trial: Trial) -> str:
    """The plan of a trial that failed, what was done, and the histories around what is wrong."""
    zero = min((operation.began for operation in trial.operations), default=0.0)
    lines = [f"SEED {trial.seed}", "plan:", *(f"  {fault}" for fault in trial.plan)]
    lines += ["done:", *(f"  {event.at - zero:8.4f}  {event.what}" for event in trial.events)]
    for violation in trial.verdict.violations[:MOST]:
        lines += ["", f"{violation.kind.upper()}: {_told(violation.operation, zero)}", f"  {violation.why}"]
        lines += [f"  {_told(each, zero)}{_mark(each, violation)}" for each in around(violation, trial.operations)]
    lines += ["", trial.trouble] * bool(trial.trouble)
    left = len(trial.verdict.violations) - MOST
    return "\n".join(lines + [f"\nand {left} more"] * (left > 0))


def _told(operation: Operation, zero: float) -> str:
    versions = " ".join(f"{key}={version}" for key, version in operation.versions.items())
    ended = "never ended" if operation.ended == inf else f"{operation.ended - zero:8.4f}"
    error = f"  {operation.error}" if operation.error else ""
    return f"{operation.began - zero:8.4f} .. {ended}  {operation.client:12} {operation.kind:6} {versions}{error}"


def _mark(operation: Operation, violation: Violation) -> str:
    return "   <--" if operation in (violation.operation, violation.write) else ""


def summary(trial: Trial) -> dict[str, Any]:
    """A trial for JSON; its story only if it failed."""
    verdict = trial.verdict
    kinds = Counter(violation.kind for violation in verdict.violations)
    told: dict[str, Any] = {"seed": trial.seed, "passed": trial.passed, "gets": verdict.gets, "writes": verdict.writes}
    told |= {"unknown": verdict.unknown, "longest_s": verdict.longest_s, "done": dict(trial.counts)}
    return told | {"violations": dict(kinds), "story": "" if trial.passed else story(trial)}


def show(figures: Iterable[Iterable[Figure]], foot: str, out: TextIO) -> None:
    """Prints figures as a table of Markdown, as it is kept in docs/reliability.md."""
    made = Table(box=box.MARKDOWN)
    made.add_column("what", no_wrap=True)
    for column in ("figure", "bound", ""):
        made.add_column(column, justify="right", no_wrap=True)
    for figure in (figure for some in figures for figure in some):
        made.add_row(figure.what, figure.figure, figure.bound, {None: "", True: "kept", False: "MISSED"}[figure.met])
    console = Console(file=out)
    if not console.is_terminal:  # a log has no width to keep to
        console = Console(file=out, width=240)
    console.print(made)
    console.print(foot, style="dim", highlight=False)


def as_json(about: dict[str, Any], figures: dict[str, list[Figure]], trials: list[dict[str, Any]]) -> dict[str, Any]:
    told = {name: [asdict(figure) for figure in some] for name, some in figures.items()}
    return {**about, "figures": told, "trials": trials}
