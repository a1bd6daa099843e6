"""`raycache doctor`: collects the facts, and shows what the checks find in them."""

from __future__ import annotations

import click

from raycache.edge import command, facts, tables, text
from raycache.edge.command import busy, echo
from raycache.edge.doctor import ERROR, as_dict, diagnose


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
@command.name_option
@command.address_option
@click.pass_context
def doctor(ctx: click.Context, name: str, address: str | None, as_json: bool) -> None:
    """Find out what is wrong, and say the remedy.

    Looks at Ray, its nodes, their shared memory, versions, tokens and clocks, and at the cache; it works without a
    cache or a Ray, too. Ends with status 1 if there is an error.
    """
    command.quiet_ray()
    with busy("looking at everything"):
        known = facts.collect(name, address)
    findings = diagnose(known)
    if as_json:
        echo(text.to_json(as_dict(known, findings)))
    else:
        command.console().print(tables.findings_table(findings))
    if any(finding.state == ERROR for finding in findings):
        ctx.exit(1)
