"""The plots of a run, as SVG: hits by tier, a zipf load by processes, cold keys and herds, memory.

Drawn on nothing, in greys and colours that can be read on white and on black. A plot is drawn when one of its cases was
run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Run, Told
from benchmarks.peers import install
from raycache.units import measured_text

RATE = "operations per second"
GREY, OURS, PEER = "#7d8590", "#2f81f7", "#a5712b"
LINES = {"raycache": OURS, "Redis": "#d1242f", "memcached": "#2da44e", "Ray actor with a dict": "#a371f7"}
_STYLE = {
    "svg.hashsalt": "raycache",  # the same figures, the same file
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "legend.labelcolor"), GREY
    ),
}


def draw(run: Run, folder: Path) -> list[Path]:
    """Draws what there are figures for; the files. Raises NotRun where matplotlib is not installed."""
    matplotlib = install.package("matplotlib")
    matplotlib.use("Agg")
    pyplot = install.package("matplotlib.pyplot")
    folder.mkdir(parents=True, exist_ok=True)
    by_case = {told["case"]: told for told in run["measurements"]}
    drawn = []
    for name, plot in _PLOTS.items():
        with matplotlib.rc_context(_STYLE):
            if (figure := plot(pyplot, by_case)) is None:
                continue
            path = folder / f"{name}.svg"
            figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})
            pyplot.close(figure)
        drawn.append(path)
    return drawn


def _tiers(pyplot: Any, by_case: dict[str, Told]) -> Any:
    """What a hit takes, from the process itself to another node."""
    bars = list(_bars(by_case, ("near", "pages-str", "remote")))
    return _barh(pyplot, bars, "time of one hit, median (log scale)", measured_text)


def _cold(pyplot: Any, by_case: dict[str, Told]) -> Any:
    """What a key takes that nobody has computed, alone, by the thousand, and when a herd wants it."""
    bars = list(_bars(by_case, ("cold", "cold-many", "herd")))
    return _barh(pyplot, bars, "time until it is there, median (log scale)", measured_text)


def _memory(pyplot: Any, by_case: dict[str, Told]) -> Any:
    """What an entry takes."""
    told = by_case.get("memory")
    if told is None:
        return None
    ((what, by_name),) = told["amounts"].items()
    bars = [(name, amount, OURS if name == told["ours"] else PEER) for name, amount in by_name.items()]
    return _barh(pyplot, bars, f"{what}, values of 100 bytes", lambda number: f"{number:.0f}", log=False)


def _bars(by_case: dict[str, Told], cases: tuple[str, ...]) -> Iterator[tuple[str, float, str]]:
    """Label, seconds and colour of every contender of the cases that were run."""
    for told in (by_case[case] for case in cases if case in by_case):
        for name, figures in told["contenders"].items():
            if name not in told["apart"]:
                label = f"{told['case']}: {name}"
                yield label, figures["median_s"], OURS if name == told["ours"] else PEER


def _barh(
    pyplot: Any, bars: list[tuple[str, float, str]], label: str, shown: Callable[[float], str], *, log: bool = True
) -> Any:
    """Bars to the right, the first on top, each with its figure; raycache's in a colour of their own."""
    if not bars:
        return None
    names, lengths, colours = zip(*bars, strict=True)
    figure, axes = pyplot.subplots(figsize=(8, 0.8 + 0.32 * len(bars)))
    drawn = axes.barh(range(len(bars)), lengths, color=colours)
    axes.bar_label(drawn, [shown(length) for length in lengths], padding=3, color=GREY)
    axes.set_yticks(range(len(bars)), names)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.margins(x=0.15)
    if log:
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda number, _: shown(number))
    return figure


def _zipf(pyplot: Any, by_case: dict[str, Told]) -> Any:
    """Throughput and tail by the number of processes, reading only and with one set in ten."""
    mixes = {"zipf-read": "100 % get", "zipf-mixed": "90 % get, 10 % set"}
    there = {mix: _by_processes(by_case, mix) for mix in mixes}
    if not any(there.values()):
        return None
    figure, grid = pyplot.subplots(2, len(mixes), figsize=(8, 6), sharex=True, squeeze=False)
    for column, (mix, title) in zip(grid.T, mixes.items(), strict=True):
        column[0].set_title(title, color=GREY)
        for axes, what, of in zip(column, (RATE, "p99 of one operation, us"), (_rate, _p99_us), strict=True):
            for name, colour in LINES.items():
                points = [(n, of(told, name)) for n, told in there[mix] if name in told["contenders"]]
                if points:
                    axes.plot(*zip(*points, strict=True), marker="o", label=name, color=colour)
            axes.set_yscale("log")
            axes.set_ylabel(f"{what} (log scale)")
        column[1].set_xlabel("processes")
        column[1].set_xticks([n for n, _ in there[mix]])
    figure.tight_layout()
    labels = grid[0][0].get_legend_handles_labels()
    figure.legend(*labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(LINES), frameon=False)
    return figure


def _by_processes(by_case: dict[str, Told], mix: str) -> list[tuple[int, Told]]:
    return sorted(
        ((int(case.rpartition("-")[2]), told) for case, told in by_case.items() if case.startswith(f"{mix}-")),
        key=lambda pair: pair[0],
    )


def _rate(told: Told, name: str) -> float:
    return float(told["amounts"][RATE][name])


def _p99_us(told: Told, name: str) -> float:
    return float(told["contenders"][name]["p99_s"] * 1e6)


_PLOTS = {"speed-tiers": _tiers, "speed-zipf": _zipf, "speed-cold": _cold, "speed-memory": _memory}
TITLES = {
    "speed-tiers": "Time of one hit: in the process, on the node, from another node, against peers",
    "speed-zipf": "Throughput and tail of a zipf load by the number of processes, against peers",
    "speed-cold": "Time until a cold key is there: alone, by the thousand, and for a herd of 64 callers",
    "speed-memory": "Resident memory per entry, against Redis and memcached",
}
