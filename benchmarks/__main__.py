"""`python -m benchmarks [CASE ...] [--quick] [--json PATH] [--plots]`.

The exit status is 1 when a goal was missed or could not be measured, or a case broke off.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import click

from benchmarks import figures, machine, plots, report
from benchmarks.cases import CASES, Case
from benchmarks.harness import Measurement
from benchmarks.setting import Setting

RESULTS = Path(__file__).parent / "results"


@click.command()
@click.argument("cases", metavar="[CASE]...", nargs=-1, type=click.Choice(list(CASES)))
@click.option("--quick", is_flag=True, help="Fewer rounds, fewer entries: to see that it works, not for figures.")
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Where the figures go.")
@click.option("--plots", "plotted", is_flag=True, help="Draw the README's plots, in docs/images.")
def main(cases: tuple[str, ...], quick: bool, path: Path | None, plotted: bool) -> None:
    """Measures raycache against its peers. Without CASE all of them: benchmarks/README.md says what they are."""
    about = machine.describe()
    if about["machine"]["load_average_before"] > 0.5:
        load = about["machine"]["load_average_before"]
        print(f"the machine is busy (load {load:.1f}): times will be longer and noisier", file=sys.stderr)
    done, failed = _run(cases or tuple(CASES), quick)
    about["versions"] = machine.versions()  # peers may have been installed meanwhile

    run = figures.run_as_json(about, quick, done, failed)
    figures.show(run, machine.line(about))
    path = path or RESULTS / f"{about['date'].replace(':', '')}-{about['commit'][:12]}.json"
    figures.write(path, run)
    drawn = plots.draw(run, report.IMAGES if plotted else path.with_suffix(""))
    goals = [goal for each in done for goal in each.goals]
    missed = [goal for goal in goals if not goal.met]
    print(f"{len(goals)} goals, {len(missed)} not met; {len(failed)} cases broke off; figures in {path}")
    print(f"plots: {', '.join(map(str, drawn)) or 'none of these cases has one'}")
    sys.exit(1 if missed or failed else 0)


def _run(cases: tuple[str, ...], quick: bool) -> tuple[list[Measurement], dict[str, str]]:
    """What the cases gave, and the errors of those that broke off."""
    done: list[Measurement] = []
    failed: dict[str, str] = {}
    with Setting(quick=quick) as setting:
        for case in cases:
            print(f"{case} ...", file=sys.stderr, flush=True)
            try:
                done += _measured(CASES[case], setting)
            except Exception as error:  # the others are still worth running
                traceback.print_exc()
                failed[case] = f"{type(error).__name__}: {error}".splitlines()[0]
    return done, failed


def _measured(case: Case, setting: Setting) -> list[Measurement]:
    """What a case gives; it must have judged the goals that it has of the design."""
    measurements = list(case.run(setting))
    left = {goal.what for goal in case.GOALS} - {goal.what for each in measurements for goal in each.goals}
    if left:
        raise RuntimeError(f"the case has not judged its goals: {', '.join(sorted(left))}")
    return measurements


if __name__ == "__main__":
    main()
