"""Runs the real classes of raycache/core in virtual time, under faults, and judges what clients get.

    python tests/simulation --seeds 0:2000            random faults; the first seed that fails prints its history
    python tests/simulation --seeds 7 --trace         the history of one seed
    python tests/simulation --scene cut_off --trace   a history that is written down: tests/simulation/scenes
    python tests/simulation --off pop                 the scene that catches it when this rule is left out
    python tests/simulation --off pop --seeds 0:500 --kinds kill,cut     the same, but by chance
    python tests/simulation --rules                   all rules, and what catches each

A line of a history is a virtual time and what happened then: "n1.0 <- n0.client Get(...) => Answers(...)" is a message
when it is answered, with who asked; "EPOCH" a new ring; CUT, STOPPED, KILLED and HEALED are faults; "begun at" a get
that has returned, with its value, key:version. Read a failure from its last line upwards: who returned the old version,
from which tier or shard (a get without a message of its own was near, or a page), and who was not told of the update.
A seed is one history only as long as the code draws the same random numbers: note the history, not the seed.
"""

from __future__ import annotations

import argparse
import sys

import rules
import scenes
from faults import KINDS, RARE_KINDS
from seeds import Total, run_block, run_seeds, workers
from simulation import Scenario


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python tests/simulation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="0:200", metavar="FROM:TO")
    parser.add_argument("--off", default="", metavar="RULE", help="switch a rule of the protocol off, see --rules")
    parser.add_argument("--kinds", default="", help=f"only these kinds of faults: {', '.join(KINDS + RARE_KINDS)}")
    parser.add_argument("--scene", default="", choices=("", *scenes.SCENES), metavar="NAME", help="play this scene")
    parser.add_argument("--agree", action="store_true", help="at last all clients must see the same")
    parser.add_argument("--calm", action="store_true", help="no faults")
    parser.add_argument("--all", action="store_true", help="go on after the first problem")
    parser.add_argument("--trace", action="store_true", help="print what happened in each seed")
    parser.add_argument("--jobs", type=int, help="processes; by default one per core")
    parser.add_argument("--rules", action="store_true", help="list the rules that can be switched off")
    args = parser.parse_args()
    if args.rules:
        print("\n".join(_told(name, rule) for name, rule in rules.RULES.items()))
        return 0
    low, _, high = args.seeds.partition(":")
    seeds = range(int(low), int(high or int(low) + 1))
    kinds = tuple(filter(None, args.kinds.split(",")))
    scenario = Scenario(kinds=kinds, calm=args.calm, agree=args.agree, scene=args.scene)
    if args.off and not (args.kinds or args.scene):
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


def _told(name: str, rule: rules.Rule) -> str:
    scene = scenes.SCENES[rule.scene].__doc__ if rule.scene else f"no scene: {rule.covered}"
    return (
        f"{name:14} {rule.says}\n{'':14} {rule.scene}: {scene}"
        if rule.scene
        else f"{name:14} {rule.says}\n{'':14} {scene}"
    )


def _summary(total: Total) -> str:
    longest = ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in sorted(total.longest.items()))
    counts = ", ".join(f"{name} {count:,}" for name, count in sorted(total.stats.items()))
    return (
        f"{total.seeds} seeds, {len(total.problems)} problems, in {total.seconds:.0f} s\n"
        f"longest after all was healed: {longest}\n{counts}"
    )


if __name__ == "__main__":
    sys.exit(main())
