"""The figures as SVG, readable on light and on dark pages: nothing is filled behind them, and text is grey."""

from __future__ import annotations

from pathlib import Path

from benchmarks.hit_ratio.figures import Row

_GREY = "#7f8793"
_COLOURS = {"lru": "#8c95a3", "sieve": "#d9902f", "s3fifo": "#2f8fd9", "gdsf": "#2fa866"}
_NAMES = {"lru": "LRU", "sieve": "SIEVE", "s3fifo": "S3-FIFO", "gdsf": "GDSF"}


def draw(rows: list[Row], path: Path) -> None:
    """One panel of hit ratios; and one of seconds saved where traces have costs."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    style = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _GREY)
    fixed = {"svg.hashsalt": "raycache", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
    costly = [row for row in rows if row.has_costs]
    with pyplot.rc_context(style | fixed):
        widths = [len(rows), max(len(costly), 1)]
        figure, (hits, seconds) = pyplot.subplots(1, 2, figsize=(12, 3.6), width_ratios=widths, layout="constrained")
        _panel(hits, "hit ratio", rows, {name: [row.ours[name].hits for row in rows] for name in _COLOURS})
        for place, row in enumerate(rows):
            label = "optimum" if place == 0 else None
            hits.plot([place - 0.45, place + 0.45], [row.optimum] * 2, color=_GREY, lw=1.2, ls=":", label=label)
        _panel(seconds, "seconds saved", costly, {n: [row.ours[n].seconds for row in costly] for n in _COLOURS})
        hits.legend(frameon=False, ncols=5, loc="lower left", bbox_to_anchor=(0, 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, transparent=True, metadata={"Date": None})
        pyplot.close(figure)


def _panel(axes: object, title: str, rows: list[Row], values: dict[str, list[float]]) -> None:
    """Bars of the policies side by side, for each row."""
    width = 0.8 / len(values)
    for number, (name, heights) in enumerate(values.items()):
        places = [place - 0.4 + (number + 0.5) * width for place in range(len(rows))]
        axes.bar(places, heights, width * 0.9, color=_COLOURS[name], label=_NAMES[name])
    axes.set_xticks(range(len(rows)), [row.label.replace(", ", "\n") for row in rows])
    axes.set_ylabel(title)
    axes.set_ylim(0, 1)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="y", color=_GREY, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
