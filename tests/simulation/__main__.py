"""The command: `python tests/simulation --seeds 0:2000`, `--off RULE`, `--seeds 7:8 --trace`, `--rules`."""

from __future__ import annotations

import argparse
import sys

import rules
from faults import KINDS, RARE_KINDS
from seeds import Total, run_block, run_seeds, workers
from simulation import Scenario


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/simulation", description=__doc__)
    parser.add_argument("--seeds", default="0:200", metavar="FROM:TO")
    parser.add_argument("--off", default="", metavar="RULE", help="switch a rule of the protocol off, see --rules")
    parser.add_argument("--kinds", default="", help=f"only these kinds of faults: {', '.join(KINDS + RARE_KINDS)}")
    parser.add_argument("--calm", action="store_true", help="no faults")
    parser.add_argument("--all", action="store_true", help="go on after the first problem")
    parser.add_argument("--trace", action="store_true", help="print what happened in each seed")
    parser.add_argument("--jobs", type=int, help="processes; by default one per core")
    parser.add_argument("--rules", action="store_true", help="list the rules that can be switched off")
    args = parser.parse_args()
    if args.rules:
        print("\n".join(f"{name:16} {rule.says}" for name, rule in rules.RULES.items()))
        return 0
    low, _, high = args.seeds.partition(":")
    seeds = range(int(low), int(high or int(low) + 1))
    scenario = Scenario(kinds=tuple(filter(None, args.kinds.split(","))), calm=args.calm)
    if args.off and not args.kinds:
        scenario = rules.RULES[args.off].scenario
    if args.trace:
        runs = run_block(seeds, scenario, args.off, trace=True)
        print("\n".join(line for each in runs for line in each.trace))
        return int(any(each.problem for each in runs))
    with workers(args.jobs) as pool:
        total = run_seeds(pool, seeds, scenario, args.off, args.all)
    for each in total.problems:
        print(f"seed {each.seed}: {each.problem.strip().splitlines()[-1]}")
    if total.problems and not args.all:
        first = total.problems[0].seed
        print("\n".join(run_block([first], scenario, args.off, trace=True)[0].trace))
    print(_summary(total))
    return int(bool(total.problems))


def _summary(total: Total) -> str:
    longest = ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in sorted(total.longest.items()))
    counts = ", ".join(f"{name} {count:,}" for name, count in sorted(total.stats.items()))
    return (
        f"{total.seeds} seeds, {len(total.problems)} problems, in {total.seconds:.0f} s\n"
        f"longest after all was healed: {longest}\n{counts}"
    )


if __name__ == "__main__":
    sys.exit(main())
