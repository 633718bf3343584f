"""``eletrovia operators``: who takes part, and making and ending partnerships."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

app = typer.Typer(name="operators", help="Operators: who takes part; invite, join, revoke.")


@app.callback(invoke_without_command=True)
@client_verb
def default(terminal: Terminal) -> None:
    """Operators: who takes part; invite, join, revoke."""
    _list(terminal)


@app.command("list")
@client_verb
def listed(terminal: Terminal) -> None:
    """This operator and its partners, and whether each answers.

    [bold]Examples[/]

      eletrovia operators

      eletrovia operators list --server "BR*MAN" --json
    """
    _list(terminal)


@app.command("invite")
@client_verb
def invite(
    terminal: Terminal,
    operator: Annotated[
        str | None, typer.Option("--for", metavar="ID", help="Good for this operator only.")
    ] = None,
    hours: Annotated[float, typer.Option("--hours", min=0.01, max=720, help="How long it is good.")] = 1.0,
) -> None:
    """Make a registration token for another operator's staff, as staff.

    [bold]Examples[/]

      eletrovia operators invite --for "BR*MAN" --server "BR*CAR"
    """
    from eletrovia.cli.reach import reach

    body: dict[str, Any] = {"valid_s": hours * 3600}
    if operator is not None:
        body["operator_id"] = operator.upper().replace("-", "*")
    told = reach(terminal, role="staff").post("/operators/invitations", dict[str, Any], body)
    if terminal.json:
        terminal.answer(told)
        return
    terminal.say("operators.invited", hours=f"{hours:g}")
    print(f"eletrovia operators join {told['url']}")
    print(told["registration_token"])


@app.command("join")
@client_verb
def join(
    terminal: Terminal,
    url: Annotated[str, typer.Argument(help="Where the inviting operator's server is.")],
    token: Annotated[
        str,
        typer.Option("--token", metavar="TOKEN|-", help="What it gave you; - reads it from standard input."),
    ] = "",
) -> None:
    """Become partners with the operator that invited yours, as staff.

    Without --token it is asked for, so that it stays out of the shell's history.

    [bold]Examples[/]

      eletrovia operators join http://127.0.0.1:8001 --server "BR*MAN"

      echo $TOKEN | eletrovia operators join http://127.0.0.1:8001 --token -
    """
    from eletrovia.cli.reach import reach

    from_input = token == "-"  # noqa: S105 - the sign for standard input
    if from_input or (not token and not sys.stdin.isatty()):
        token = sys.stdin.readline().strip()
    elif not token and terminal.interactive:
        import getpass

        token = getpass.getpass(terminal.text("ask.registration_token")).strip()
    if not token:
        raise Invalid("operators.token_missing")
    body = {"url": url, "registration_token": token}
    told = reach(terminal, role="staff").post("/operators", dict[str, Any], body)
    if terminal.json:
        terminal.answer(told)
    else:
        terminal.say("operators.joined", operator_id=told["operator_id"], name=told["name"])


@app.command("revoke")
@client_verb
def revoke(
    terminal: Terminal,
    operator: Annotated[str, typer.Argument(help="The partner's id, e.g. BR*MAN.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")] = False,
) -> None:
    """End a partnership, as staff: from that moment the operator gets nothing here.

    [bold]Examples[/]

      eletrovia operators revoke "BR*MAN"
    """
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import segment

    server = reach(terminal, role="staff")
    if not yes and terminal.interactive:
        typer.confirm(terminal.text("operators.revoke_sure", operator_id=operator), abort=True)
    server.ask("DELETE", f"/operators/{segment(operator.replace('*', '-'))}")
    if terminal.json:
        terminal.answer({"revoked": operator})
    else:
        terminal.say("operators.revoked", operator_id=operator)


def _list(terminal: Terminal) -> None:
    from eletrovia.cli.reach import reach

    told = reach(terminal).get("/operators", dict[str, Any])
    if terminal.json:
        terminal.answer(told)
        return
    from datetime import datetime

    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("operator", "name", "state", "since"):
        table.add_column(terminal.text(f"column.{name}"))
    for one in told["operators"]:
        state, style = {None: ("untried", "dim"), True: ("up", "green"), False: ("down", "red")}[
            one.get("up")
        ]
        if one.get("ourselves"):
            state, style = "ourselves", "bold"
        since = one.get("up_since")
        shown = f"{datetime.fromisoformat(since).astimezone(terminal.zone):%Y-%m-%d %H:%M}" if since else ""
        table.add_row(
            str(one["operator_id"]),
            str(one["name"]),
            f"[{style}]{terminal.text(f'operators.{state}')}[/]",
            shown,
        )
    terminal.show(table)
