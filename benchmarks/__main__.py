"""`python -m benchmarks [CASE ...] [--quick] [--json PATH]`.

The exit status is 1 when a goal was missed or could not be measured, or a case broke off.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import click

from benchmarks import machine, report
from benchmarks.cases import CASES
from benchmarks.harness import Measurement
from benchmarks.setting import Setting

RESULTS = Path(__file__).parent / "results"


@click.command()
@click.argument("cases", metavar="[CASE]...", nargs=-1, type=click.Choice(list(CASES)))
@click.option("--quick", is_flag=True, help="Fewer rounds, fewer entries: to see that it works, not for figures.")
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Where the figures go.")
def main(cases: tuple[str, ...], quick: bool, path: Path | None) -> None:
    """Measures raycache against its peers. Without CASE all of: near, pages, batch, cold, large, growth."""
    about = machine.describe()
    if about["machine"]["load_average_before"] > 0.5:
        load = about["machine"]["load_average_before"]
        print(f"the machine is busy (load {load:.1f}): times will be longer and noisier", file=sys.stderr)
    done, failed = _run(cases or tuple(CASES), quick)
    about["versions"] = machine.versions()  # a Redis may have been installed meanwhile

    made = report.table("raycache benchmarks" + (" (quick)" if quick else ""))
    for each in done:
        report.add(made, each)
    for case, why in failed.items():
        made.add_section()
        made.add_row(case, f"[bold red]FAILED[/]: {why}")
    report.show(made, machine.line(about))
    path = path or RESULTS / f"{about['date'].replace(':', '')}-{about['commit'][:12]}.json"
    report.write(path, about, quick, done, failed)
    missed = [goal for each in done for goal in each.goals if not goal.met]
    goals = sum(len(each.goals) for each in done)
    print(f"{goals} goals, {len(missed)} not met; {len(failed)} cases broke off; figures in {path}")
    sys.exit(1 if missed or failed else 0)


def _run(cases: tuple[str, ...], quick: bool) -> tuple[list[Measurement], dict[str, str]]:
    """What the cases gave, and the errors of those that broke off."""
    done: list[Measurement] = []
    failed: dict[str, str] = {}
    with Setting(quick=quick) as setting:
        for case in cases:
            print(f"{case} ...", file=sys.stderr, flush=True)
            try:
                done += CASES[case](setting)
            except Exception as error:  # the others are still worth running
                traceback.print_exc()
                failed[case] = f"{type(error).__name__}: {error}".splitlines()[0]
    return done, failed


if __name__ == "__main__":
    main()
