"""``eletrovia meters``: the utility's meters, and one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

app = typer.Typer(name="meters", help="Meters: register, claim, cut off, swap.")

_AT_ONCE: Final = 2_000
MeterId = Annotated[str, typer.Argument(metavar="ID", help="The meter's id.")]
Moment = Annotated[
    str | None,
    typer.Option("--at", metavar="MOMENT", help="E.g. 2026-03-01T08:00:00-03:00; now if left out."),
]
Sure = Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")]


@app.callback(invoke_without_command=True)
@client_verb
def default(terminal: Terminal) -> None:
    """Meters: register, claim, cut off, swap."""
    _list(terminal, limit=100)


@app.command("list")
@client_verb
def listed(
    terminal: Terminal,
    area: Annotated[str | None, typer.Option("--area", help="Of one neighbourhood.")] = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="in_service|blocked|removed", help="In this state.")
    ] = None,
    unclaimed: Annotated[
        bool, typer.Option("--unclaimed", metavar="", help="Those that hang where nobody is known to live.")
    ] = False,
    after: Annotated[str | None, typer.Option("--after", metavar="ID", help="After this one.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 100,
) -> None:
    """All meters in order of their ids, as staff.

    [bold]Examples[/]

      eletrovia meters

      eletrovia meters list --area Manaíra --unclaimed

      eletrovia meters list --state blocked --json
    """
    _list(terminal, area=area, state=state, unclaimed=unclaimed or None, after=after, limit=limit)


@app.command("mine")
@client_verb
def mine(terminal: Terminal) -> None:
    """The meters that hang where you live.

    [bold]Examples[/]

      eletrovia meters mine

      eletrovia meters mine --email ana@example.org --json
    """
    from eletrovia.cli.meter_tables import draw_meters
    from eletrovia.cli.reach import reach

    told = reach(terminal).get("/customers/me/meters", list[Any], signed_in=True)
    if terminal.json:
        terminal.answer(told)
    else:
        draw_meters(terminal, told, "meters.none_yours")


@app.command("add")
@client_verb
def add(
    terminal: Terminal,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of the new meters.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Ids, one a line; as many as you like.")
    ] = None,
    area: Annotated[str, typer.Option("--area", help="The neighbourhood.")] = "",
    point: Annotated[
        str | None,
        typer.Option("--point", metavar="ID", help="Its usage point (default: one of its own name)."),
    ] = None,
    via: Annotated[
        str | None, typer.Option("--via", metavar="ID", help="The concentrator that may speak for it.")
    ] = None,
    max_power_w: Annotated[
        int, typer.Option("--max-power", metavar="W", min=1, help="What its fuse lets through.")
    ] = 75_000,
    digits: Annotated[
        int | None, typer.Option("--digits", min=3, max=11, help="Digits of whole kWh its register has.")
    ] = None,
    interval_s: Annotated[
        int, typer.Option("--interval", metavar="S", min=1, help="How often it is expected to be heard.")
    ] = 900,
    start_wh: Annotated[
        int | None, typer.Option("--start", metavar="WH", min=0, help="What its register shows now.")
    ] = None,
    concentrator: Annotated[
        bool, typer.Option("--concentrator", metavar="", help="It speaks for others and counts nothing.")
    ] = False,
    in_stock: Annotated[
        bool, typer.Option("--in-stock", metavar="", help="It hangs nowhere yet; a swap puts it in.")
    ] = False,
) -> None:
    """Register meters, as staff; tells each device's key and claim code, once.

    [bold]Examples[/]

      eletrovia meters add JPA-000123 --area Manaíra --digits 6

      eletrovia meters add JPA-C7 --concentrator

      eletrovia meters add --file ids.txt --via JPA-C7 --json > secrets.json
    """
    from eletrovia.cli.meter_tables import draw_registered
    from eletrovia.cli.reach import reach

    names = [*(ids or []), *(_lines(file) if file else [])]
    if not names:
        raise Invalid("meters.which")
    if point is not None and len(names) > 1:
        raise Invalid("meters.one_a_point")
    shared = {
        "area": area, "usage_point_id": point, "via": via, "max_power_w": max_power_w, "digits": digits,
        "interval_s": interval_s, "start_wh": start_wh, "in_stock": in_stock,
        "kind": "concentrator" if concentrator else "meter",
    }  # fmt: skip
    server = reach(terminal, role="staff")
    told: dict[str, Any] = {"kept": 0, "refused": 0, "items": []}
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        with terminal.busy("meters.adding", done=start, all=len(names)):
            answer = server.post(
                "/meters", dict[str, Any], {"meters": [{"id": name, **shared} for name in some]}
            )
        told["kept"] += answer["kept"]
        told["refused"] += answer["refused"]
        told["items"] += [
            {**item, "index": start + item["index"], "id": name}
            for item, name in zip(answer["items"], some, strict=True)
        ]
    if terminal.json:
        terminal.answer(told)
    else:
        draw_registered(terminal, told["items"])
        terminal.say("meters.added", kept=told["kept"], refused=told["refused"])
    if not told["kept"]:
        raise typer.Exit(2)


@app.command("claim")
@client_verb
def claim(
    terminal: Terminal,
    meter_id: MeterId,
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="The code you were given; asked for if left out.")
    ] = None,
) -> None:
    """Say that a meter is yours, with the code that the utility gave you.

    [bold]Examples[/]

      eletrovia meters claim JPA-000123 7K3M-0QXW-N8T2

      eletrovia meters claim JPA-000123 --email ana@example.org
    """
    from eletrovia.cli.reach import reach

    if code is None:
        if not terminal.interactive:
            raise Invalid("meters.code_missing")
        code = typer.prompt(terminal.text("meters.ask_code", meter_id=meter_id).rstrip(": "), err=True)
    told = reach(terminal).post("/meters/claim", dict[str, Any], {"meter_id": meter_id, "code": code})
    _told(terminal, told, "meters.claimed", meter_id=meter_id)


@app.command("leave")
@client_verb
def leave(terminal: Terminal, meter_id: MeterId) -> None:
    """Say that you have moved out, now.

    [bold]Examples[/]

      eletrovia meters leave JPA-000123
    """
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import segment

    reach(terminal).ask("POST", f"/meters/{segment(meter_id)}/leave")
    _told(terminal, {"left": meter_id}, "meters.left", meter_id=meter_id)


@app.command("block")
@client_verb
def block(terminal: Terminal, meter_id: MeterId) -> None:
    """Cut a meter's customer off, as staff; the meter is told.

    [bold]Examples[/]

      eletrovia meters block JPA-000123
    """
    _told(terminal, _staff(terminal, meter_id, "block"), "meters.blocked", meter_id=meter_id)


@app.command("unblock")
@client_verb
def unblock(terminal: Terminal, meter_id: MeterId) -> None:
    """Connect a meter's customer again, as staff.

    [bold]Examples[/]

      eletrovia meters unblock JPA-000123
    """
    _told(terminal, _staff(terminal, meter_id, "unblock"), "meters.unblocked", meter_id=meter_id)


@app.command("swap")
@client_verb
def swap(
    terminal: Terminal,
    meter_id: MeterId,
    new_id: Annotated[str, typer.Argument(metavar="NEW", help="The meter that is put in.")],
    end_wh: Annotated[
        int, typer.Option("--final", metavar="WH", min=0, help="The old register's last value.")
    ],
    start_wh: Annotated[
        int, typer.Option("--start", metavar="WH", min=0, help="The new register's first value.")
    ] = 0,
    at: Moment = None,
) -> None:
    """Put another meter in the place of one, as staff.

    [bold]Examples[/]

      eletrovia meters swap JPA-000123 JPA-000987 --final 8421337

      eletrovia meters swap JPA-000123 JPA-000987 --final 8421337 --at 2026-03-01T08:00:00-03:00
    """
    body = {"new_id": new_id, "end_wh": end_wh, "start_wh": start_wh, "at": at}
    told = _staff(terminal, meter_id, "swap", body)
    facts = {"meter_id": meter_id, "new_id": new_id, "usage_point_id": told["usage_point_id"]}
    _told(terminal, told, "meters.swapped", **facts)
    if not terminal.json:
        print(told["new"]["device_key"])


@app.command("key")
@client_verb
def key(terminal: Terminal, meter_id: MeterId) -> None:
    """Give a meter's device a new key, as staff; the one before is worthless.

    [bold]Examples[/]

      eletrovia meters key JPA-000123
    """
    told = _staff(terminal, meter_id, "key")
    _told(terminal, told, "meters.key", meter_id=meter_id)
    if not terminal.json:
        print(told["device_key"])


@app.command("code")
@client_verb
def code(terminal: Terminal, meter_id: MeterId) -> None:
    """Make a new claim code for whoever moves in, as staff.

    [bold]Examples[/]

      eletrovia meters code JPA-000123
    """
    told = _staff(terminal, meter_id, "code")
    _told(terminal, told, "meters.code", meter_id=meter_id)
    if not terminal.json:
        print(told["claim_code"])


@app.command("change")
@client_verb
def change(
    terminal: Terminal,
    meter_id: MeterId,
    area: Annotated[str | None, typer.Option("--area", help="The neighbourhood.")] = None,
    max_power_w: Annotated[int | None, typer.Option("--max-power", metavar="W", min=1)] = None,
    interval_s: Annotated[int | None, typer.Option("--interval", metavar="S", min=1)] = None,
    via: Annotated[str | None, typer.Option("--via", metavar="ID", help='"" takes it away.')] = None,
) -> None:
    """Change what is known of a meter, as staff.

    [bold]Examples[/]

      eletrovia meters change JPA-000123 --area Tambaú
    """
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import segment

    body = {"area": area, "max_power_w": max_power_w, "interval_s": interval_s, "via": via}
    answer = reach(terminal, role="staff").ask("PATCH", f"/meters/{segment(meter_id)}", body=body)
    _told(terminal, answer.read(dict[str, Any]), "meters.changed", meter_id=meter_id)


@app.command("remove")
@client_verb
def remove(
    terminal: Terminal,
    meter_id: MeterId,
    end_wh: Annotated[
        int | None,
        typer.Option("--final", metavar="WH", min=0, help="Its last value (default: its latest reading)."),
    ] = None,
    yes: Sure = False,
) -> None:
    """Take a meter out of service for good, as staff; its readings and bills stay.

    [bold]Examples[/]

      eletrovia meters remove JPA-000123 --final 8421337
    """
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import segment

    server = reach(terminal, role="staff")
    if not yes and terminal.interactive:
        typer.confirm(terminal.text("meters.remove_sure", meter_id=meter_id), abort=True)
    answer = server.ask("DELETE", f"/meters/{segment(meter_id)}", query={"end_wh": end_wh})
    _told(terminal, answer.read(dict[str, Any]), "meters.removed", meter_id=meter_id)


@app.command("assign")
@client_verb
def assign(
    terminal: Terminal,
    meter_id: MeterId,
    customer_id: Annotated[
        str | None, typer.Argument(metavar="[CUSTOMER]", help="Who lives there; nobody any more if left out.")
    ] = None,
    at: Moment = None,
    taking_over: Annotated[
        bool, typer.Option("--take-over", metavar="", help="Whoever lives there has left at that moment.")
    ] = False,
) -> None:
    """Say who lives where a meter hangs, without a code, as staff.

    [bold]Examples[/]

      eletrovia meters assign JPA-000123 cust_06f1r3v0x8c2m4q9t7n5 --at 2026-03-01T08:00:00-03:00

      eletrovia meters assign JPA-000123
    """
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import segment

    server = reach(terminal, role="staff")
    path = f"/meters/{segment(meter_id)}/customer"
    if customer_id is None:
        server.ask("DELETE", path, query={"at": at})
        _told(terminal, {"left": meter_id}, "meters.moved_out", meter_id=meter_id)
        return
    body = {"customer_id": customer_id, "from_at": at, "taking_over": taking_over}
    told = server.ask("PUT", path, body=body).read(dict[str, Any])
    facts = {"customer_id": customer_id, "usage_point_id": told["usage_point_id"], "since": told["from_at"]}
    _told(terminal, told, "meters.moved_in", **facts)


def _list(terminal: Terminal, **asked: Any) -> None:
    from eletrovia.cli.meter_tables import draw_meters
    from eletrovia.cli.reach import reach

    if asked.get("unclaimed"):
        asked["unclaimed"] = "true"
    told = reach(terminal, role="staff").get("/meters", dict[str, Any], signed_in=True, **asked)
    if terminal.json:
        terminal.answer(told)
        return
    draw_meters(terminal, told["meters"], "meters.none")
    if told.get("next"):
        terminal.say("meters.more", after=told["next"])


def _staff(terminal: Terminal, meter_id: str, what: str, body: Any = None) -> dict[str, Any]:
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import segment

    server = reach(terminal, role="staff")
    return server.ask("POST", f"/meters/{segment(meter_id)}/{what}", body=body).read(dict[str, Any])


def _told(terminal: Terminal, told: dict[str, Any], key: str, /, **facts: Any) -> None:
    if terminal.json:
        terminal.answer(told)
    else:
        terminal.err.print(terminal.text(key, **facts), markup=False, soft_wrap=True)


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
