"""``eletrovia doctor``: is this machine fit, and what to do where it is not."""

from __future__ import annotations

import typer

from eletrovia.cli.terminal import EXIT_CODES, Terminal
from eletrovia.cli.verb import verb


@verb
def doctor(terminal: Terminal) -> None:
    """Check this machine and the settings: each ok, warn or fail, with what to do.

    Ends with 7 when something fails, else with 0.

    [bold]Examples[/]

      eletrovia doctor

      eletrovia doctor --data /srv/city --json
    """
    from eletrovia.cli.checks import Outcome, run_checks

    findings = []
    config = terminal.config
    with terminal.busy("doctor.checking"):
        findings = run_checks(config, terminal.language)
    failed = any(finding.outcome is Outcome.FAIL for finding in findings)
    if terminal.json:
        terminal.answer({"fit": not failed, "checks": findings})
    else:
        from rich.table import Table
        from rich.text import Text

        styles = {Outcome.OK: "green", Outcome.WARN: "yellow", Outcome.FAIL: "bold red"}
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        for one in findings:
            told = Text(one.found)
            if one.outcome is not Outcome.OK:
                told.append(f"\n→ {terminal.text(f'doctor.{one.advice}', **one.facts)}", style="dim")
            table.add_row(
                Text(terminal.text(f"doctor.outcome.{one.outcome}"), style=styles[one.outcome]),
                terminal.text(f"doctor.check.{one.check}"),
                told,
            )
        terminal.show(table)
        terminal.say("doctor.unfit" if failed else "doctor.fit")
    if failed:
        raise typer.Exit(EXIT_CODES["unavailable"])
