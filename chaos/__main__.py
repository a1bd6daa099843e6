"""`python -m chaos`: the figures of docs/reliability.md, or trials alone. See there.

The exit status is 1 when a bound was missed, a trial failed or a figure could not be measured.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from benchmarks import machine
from chaos import report
from chaos.figures import FIGURES, Figure, Settings
from chaos.plan import KINDS
from chaos.trial import Trial


@click.command()
@click.option("--only", "names", multiple=True, type=click.Choice(list(FIGURES)), help="One figure; may be repeated.")
@click.option("--minutes", type=float, help="Trials for so long, and no other figures.")
@click.option("--trials", type=int, help="So many trials, and no other figures.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the first trial; the next has the next.")
@click.option("--seconds", type=float, default=10.0, show_default=True, help="Clients work so long in a trial.")
@click.option("--lease", "lease_s", type=float, default=3.0, show_default=True, help="Seconds.")
@click.option("--slack", "slack_s", type=float, default=2.0, show_default=True, help="A get may take a lease and this.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Faults of this kind; may be repeated.")
@click.option("--exit-first", is_flag=True, help="No more trials after one that failed.")
@click.option("--broken", is_flag=True, help="Clients take no notice of leases: the checker should find that.")
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Where the figures go as well.")
def main(
    names: tuple[str, ...], minutes: float | None, path: Path | None, kinds: tuple[str, ...], **given: Any
) -> None:
    """Stops and kills the processes of a cache while clients use it, and measures what comes of it.

    Without options all figures: trials for three minutes, kill, node, rerun, warm, leaks. Trials that failed are told
    in full.
    """
    out, told = sys.stdout, list[dict[str, Any]]()

    def tell(trial: Trial) -> None:
        print(report.line(trial), *[report.story(trial)] * (not trial.passed), sep="\n", file=out, flush=True)
        told.append(report.summary(trial))

    settings = Settings(minutes=3.0 if minutes is None else minutes, kinds=kinds or KINDS, tell=tell, **given)
    if not names:
        names = tuple(FIGURES) if minutes is None and settings.trials is None else ("trials",)
    about = machine.describe()
    with contextlib.redirect_stdout(sys.stderr):  # Ray tells its drivers on standard output what it likes
        figures = {name: _measured(name, settings) for name in names}
    report.show(figures.values(), machine.line(about), out)
    if path is not None:
        path.write_text(json.dumps(report.as_json(about, figures, told), indent=1) + "\n")
    missed = [each for some in figures.values() for each in some if each.met is False]
    sys.exit(1 if missed or not all(trial["passed"] for trial in told) else 0)


def _measured(name: str, settings: Settings) -> list[Figure]:
    print(f"{name} ...", file=sys.stderr, flush=True)
    try:
        return list(FIGURES[name](settings))
    except Exception as error:  # the others are still worth measuring
        traceback.print_exc()
        return [Figure(name, f"{type(error).__name__}: {error}".splitlines()[0], "measured", False)]


if __name__ == "__main__":
    main()
