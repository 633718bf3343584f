"""``eletrovia customer``: who you are to the utility, and what it keeps about you."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eletrovia.base.errors import Denied
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

app = typer.Typer(name="customer", help="Customers: show, export, erase; find and take in, as staff.")

Whose = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="A customer, as staff; yourself if left out.")
]


@app.callback(invoke_without_command=True)
@client_verb
def default(terminal: Terminal) -> None:
    """Customers: show, export, erase; find and take in, as staff."""
    _show(terminal, None)


@app.command("show")
@client_verb
def show(terminal: Terminal, customer_id: Whose = None) -> None:
    """Who you are to the utility, and where you live and lived.

    [bold]Examples[/]

      eletrovia customer show

      eletrovia customer show cust_06f1r3v0x8c2m4q9t7n5 --json
    """
    _show(terminal, customer_id)


@app.command("list")
@client_verb
def listed(
    terminal: Terminal,
    words: Annotated[
        str, typer.Argument(metavar="[WORDS]", help="Words of a name; or a whole e-mail, CPF or CNPJ.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 100,
) -> None:
    """Find customers, as staff.

    [bold]Examples[/]

      eletrovia customer list silva

      eletrovia customer list 529.982.247-25 --json
    """
    from eletrovia.cli.meter_tables import draw_customers
    from eletrovia.cli.reach import reach

    server = reach(terminal, role="staff")
    told = server.get("/customers", dict[str, Any], signed_in=True, q=words, limit=limit)
    if terminal.json:
        terminal.answer(told)
    elif told["customers"]:
        draw_customers(terminal, told["customers"])
    else:
        terminal.say("customer.none")


@app.command("add")
@client_verb
def add(
    terminal: Terminal,
    name: Annotated[str, typer.Argument(help="What they are called.")],
    tax_id: Annotated[str | None, typer.Option("--tax-id", metavar="CPF|CNPJ")] = None,
    mail: Annotated[str | None, typer.Option("--mail", metavar="ADDRESS", help="Where bills go.")] = None,
    address: Annotated[str, typer.Option("--address", help="The postal address.")] = "",
    account: Annotated[
        str | None, typer.Option("--account", metavar="ID", help="The account that may log in as them.")
    ] = None,
    language: Annotated[
        str, typer.Option("--language", metavar="en|pt-BR", help="Of their bills.")
    ] = "pt-BR",
) -> None:
    """Take in a customer, as staff.

    [bold]Examples[/]

      eletrovia customer add "Padaria Exemplo Ltda." --tax-id 12.ABC.345/01DE-35
    """
    from eletrovia.cli.reach import reach

    body = {
        "name": name, "tax_id": tax_id, "email": mail, "address": address, "account_id": account,
        "language": language,
    }  # fmt: skip
    told = reach(terminal, role="staff").post("/customers", dict[str, Any], body)
    if terminal.json:
        terminal.answer(told)
    else:
        terminal.err.print(terminal.text("customer.added", **told), markup=False, soft_wrap=True)


@app.command("export")
@client_verb
def export(
    terminal: Terminal,
    customer_id: Whose = None,
    file: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write it there, for its owner's eyes only.")
    ] = None,
) -> None:
    """Everything that is kept about you, as JSON.

    [bold]Examples[/]

      eletrovia customer export --to me.json

      eletrovia customer export cust_06f1r3v0x8c2m4q9t7n5
    """
    import msgspec

    from eletrovia.base.private import write_private

    server, path = _whose(terminal, customer_id)
    told = server.get(f"{path}/export", dict[str, Any], signed_in=True)
    if file is None:
        terminal.answer(told)
        return
    text = msgspec.json.format(msgspec.json.encode(told), indent=2).decode()
    write_private(file, text + "\n")
    terminal.say("customer.exported", file=file)


@app.command("erase")
@client_verb
def erase(
    terminal: Terminal,
    customer_id: Whose = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")] = False,
) -> None:
    """Erase everything personal; what the law makes us keep is told.

    Your own password is read from ELETROVIA_PASSWORD, or asked for.

    [bold]Examples[/]

      eletrovia customer erase

      eletrovia customer erase cust_06f1r3v0x8c2m4q9t7n5 --yes --json
    """
    from eletrovia.cli.meter_tables import draw_kept

    server, path = _whose(terminal, customer_id)
    if not yes and terminal.interactive:
        name = server.get(path, dict[str, Any], signed_in=True)["customer"]["name"]
        typer.confirm(terminal.text("customer.erase_sure", name=name), abort=True)
    body = {"password": _password(terminal)} if customer_id is None else None
    told = server.ask("DELETE", path, body=body).read(dict[str, Any])
    if terminal.json:
        terminal.answer(told)
        return
    facts = {"customer_id": told["customer_id"], "readings": told["readings_dropped"]}
    terminal.err.print(terminal.text("customer.erased", **facts), markup=False, soft_wrap=True)
    draw_kept(terminal, told["kept"])


def _show(terminal: Terminal, customer_id: str | None) -> None:
    from eletrovia.cli.meter_tables import draw_sheet

    server, path = _whose(terminal, customer_id)
    told = server.get(path, dict[str, Any], signed_in=True)
    if terminal.json:
        terminal.answer(told)
    else:
        draw_sheet(terminal, told)


def _whose(terminal: Terminal, customer_id: str | None) -> tuple[Any, str]:
    """The server, and the path of one's own customer or, as staff, of another."""
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import segment

    if customer_id is None:
        return reach(terminal), "/customers/me"
    return reach(terminal, role="staff"), f"/customers/{segment(customer_id)}"


def _password(terminal: Terminal) -> str:
    import os

    password = os.environ.get("ELETROVIA_PASSWORD")
    if password is None and terminal.interactive:
        import getpass

        password = getpass.getpass(terminal.text("customer.ask_password"))
    if not password:
        raise Denied("login.no_password", email=terminal.options.email or "")
    return password
