"""`python -m benchmarks.report FILE.json`: puts the tables of a run into README.md and docs/performance.md, and plots.

What is written stands between two markers in each document; everything else there is left as it is.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import machine, plots
from benchmarks.figures import Run, Told, figure_text, goal_text, number_text, ratio, verdict
from raycache.units import measured_text

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
BEGIN, END = "<!-- benchmarks: written by python -m benchmarks.report -->", "<!-- benchmarks: end -->"


def main(path: Path) -> None:
    run = json.loads(path.read_text())
    drawn = plots.draw(run, IMAGES)
    short = f"{goals(run)}\n{_images(drawn)}"
    for document, body in ((ROOT / "README.md", short), (ROOT / "docs" / "performance.md", everything(run))):
        document.write_text(between(document.read_text(), body))
    print(f"README.md, docs/performance.md and {len(drawn)} plots are from {path} now")


def _images(drawn: list[Path]) -> str:
    return "".join(f"![{plots.TITLES[path.stem]}]({path.relative_to(ROOT)})\n" for path in drawn)


def between(text: str, body: str) -> str:
    """The text with the body between its markers."""
    made, found = re.subn(
        f"({re.escape(BEGIN)}\n).*?({re.escape(END)})",
        lambda match: f"{match[1]}{body}{match[2]}",
        text,
        flags=re.DOTALL,
    )
    if found != 1:
        raise ValueError(f"the document has {found} pairs of the markers {BEGIN!r} and {END!r}; it should have one")
    return made


def goals(run: Run) -> str:
    """The goals of docs/design.md with what became of them; then where a peer is ahead."""
    lines = [_about(run), "", "| what | raycache | peer | measured | goal |", "|---|---|---|---|---|"]
    for told in run["measurements"]:
        lines += [_goal_row(told, goal) for goal in told["goals"] if goal["row"]]
    lines += ["", "Where a peer is ahead:", "", *(_ahead(run) or ["* nowhere in this run"])]
    return "\n".join(lines) + "\n"


def _goal_row(told: Told, goal: Told) -> str:
    ours, peer = _sides(told, goal)
    missed = "" if goal["met"] else f" (**{verdict(goal).lower()}**)"
    return f"| {goal['row']} | {ours} | {peer} | {_compared(goal)} | {goal_text(goal)}{missed} |"


def _compared(goal: Told) -> str:
    if goal["figure"] is None or not (goal["of"] and goal["at_least"]):
        return figure_text(goal)
    if goal["figure"] < 1:
        return f"{number_text(1 / goal['figure'])}x slower"
    return f"{figure_text(goal)} faster"


def _sides(told: Told, goal: Told) -> tuple[str, str]:
    """What we take, and who the peer is and what it takes."""
    if goal["of"] is None:
        return "", ""
    peer, ours = goal["of"] if goal["at_least"] else reversed(goal["of"])
    return _taken(told, ours, goal["amount"]), f"{peer}: {_taken(told, peer, goal['amount'])}"


def _taken(told: Told, name: str, amount: str | None) -> str:
    if amount is not None:
        number = told["amounts"].get(amount, {}).get(name)
        return "not run" if number is None else f"{number_text(number)} {amount}"
    figures = told["contenders"].get(name)
    return "not run" if figures is None else measured_text(figures["median_s"])


def _ahead(run: Run) -> list[str]:
    """By case, the peers that take less than we do, or do more in a second."""
    return [line for told in run["measurements"] for line in (*_faster(told), *_better(told))]


def _faster(told: Told) -> Iterator[str]:
    ratios = {name: ratio(told, name) for name in told["contenders"] if name not in told["apart"]}
    peers = {name: times for name, times in ratios.items() if times is not None and times < 1}
    if peers:
        medians = {name: measured_text(figures["median_s"]) for name, figures in told["contenders"].items()}
        shown = (f"{name} {medians[name]} ({1 / times:.2g}x)" for name, times in peers.items())
        yield f"* `{told['case']}`: raycache {medians[told['ours']]}; {', '.join(shown)}"


def _better(told: Told) -> Iterator[str]:
    for what, by_name in told["amounts"].items():
        ours = by_name.get(told["ours"])
        if ours is None:
            continue
        peers = {name: amount for name, amount in by_name.items() if name not in told["apart"]}
        ahead = (peer for peer in peers.items() if (peer[1] > ours if "per second" in what else peer[1] < ours))
        if shown := ", ".join(f"{name} {number_text(amount)}" for name, amount in ahead):
            yield f"* `{told['case']}`, {what}: raycache {number_text(ours)}; {shown}"


def everything(run: Run) -> str:
    """All contenders of all cases."""
    lines = [_about(run), ""]
    for told in run["measurements"]:
        lines += [f"### {told['case']}", "", f"{told['operation']}; a sample is {told['sample']}.", ""]
        lines += [*_contenders(told), *_amounts(told)]
        lines += [f"* {name}: NOT RUN, {why}" for name, why in told["not_run"].items()]
        lines += [
            f"* {name}: {fact:,}" if isinstance(fact, int) else f"* {name}: {fact}"
            for name, fact in told["facts"].items()
        ]
        lines += [
            f"* goal: {each['what']} {goal_text(each)}: {figure_text(each)}, {verdict(each)}" for each in told["goals"]
        ]
        lines += [""]
    lines += [f"* `{case}` broke off: {why}" for case, why in run["failed"].items()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _contenders(told: Told) -> list[str]:
    if not told["contenders"]:
        return []
    rows = ["| contender | median | p99 | samples | takes, of ours |", "|---|---|---|---|---|"]
    for name, figures in told["contenders"].items():
        times = ratio(told, name)
        shown = "" if times is None else f"{number_text(times)}x"
        median, p99 = (measured_text(figures[each]) for each in ("median_s", "p99_s"))
        rows.append(f"| {name} | {median} | {p99} | {figures['samples']:,} | {shown} |")
    return [*rows, ""]


def _amounts(told: Told) -> list[str]:
    if not told["amounts"]:
        return []
    rows = ["| what | contender | figure |", "|---|---|---|"]
    for what, by_name in told["amounts"].items():
        rows += [f"| {what} | {name} | {number_text(amount)} |" for name, amount in by_name.items()]
    return [*rows, ""]


def _about(run: Run) -> str:
    quick = " **A quick run: not for figures.**" if run["quick"] else ""
    return f"Measured on {machine.line(run)}.{quick}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
