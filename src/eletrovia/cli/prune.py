"""``eletrovia readings prune``: readings old enough to go, by metering.keep_readings_months."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb


@client_verb
def prune(
    terminal: Terminal,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Only say what would be dropped.")
    ] = False,
) -> None:
    """Drop readings that are old enough, as staff. The server does it by itself once a day.

    How old is the setting metering.keep_readings_months; 0 keeps them for good. What they add up to by hour,
    day and month stays.

    [bold]Examples[/]

      eletrovia readings prune --dry-run

      eletrovia readings prune
    """
    from eletrovia.cli.reach import reach

    server = reach(terminal, role="staff")
    if dry_run:
        told = server.get("/retention", dict[str, Any], signed_in=True)
    else:
        with terminal.busy("prune.at_work"):
            told = server.ask("POST", "/retention", timeout_s=600.0).read(dict[str, Any])
    if terminal.json:
        terminal.answer(told)
        return
    if told["keep_from"] is None:
        terminal.say("prune.kept_for_good")
        return
    for part in told["dropped"]:
        key = "prune.would_go" if dry_run else "prune.gone"
        terminal.out.print(
            terminal.text(
                key,
                first=part["starts_at"][:10],
                end=part["ends_at"][:10],
                megabytes=part["octets"] // 1_000_000,
                readings=part["readings"],
            ),
            markup=False,
        )
    if not told["dropped"]:
        terminal.say("prune.nothing", day=told["keep_from"][:10])
    if told["waits_for"]:
        terminal.say(f"prune.waits.{told['waits_for']}", tables=len(told["stay"]))
