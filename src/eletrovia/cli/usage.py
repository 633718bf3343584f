"""``eletrovia usage``: what a meter, a neighbourhood or the city used, drawn in bars."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

if TYPE_CHECKING:
    from eletrovia.cli.server import Server

_LASTS: Final = {"reading": 1, "hour": 1, "day": 31, "month": 366}
"""Days that are shown where nothing else is said."""


@client_verb
def usage(
    terminal: Terminal,
    meter: Annotated[
        str | None, typer.Argument(metavar="[METER]", help="A meter's id (default: your only one).")
    ] = None,
    area: Annotated[
        str | None, typer.Option("--area", metavar="NAME", help="A neighbourhood instead of a meter.")
    ] = None,
    city: Annotated[bool, typer.Option("--city", metavar="", help="All meters together.")] = False,
    since: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="A day like 2026-03-01, or a moment.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY", help="Not included (default: now).")
    ] = None,
    by: Annotated[
        Literal["reading", "hour", "day", "month"],
        typer.Option("--by", help="How fine; neighbourhoods by hour or day."),
    ] = "hour",
    staff: Annotated[
        bool,
        typer.Option("--staff", metavar="", help="As the utility's staff: any meter, any neighbourhood."),
    ] = False,
) -> None:
    """What was used, hour by hour, day by day or month by month.

    [bold]Examples[/]

      eletrovia usage

      eletrovia usage JPA-000123 --by day --from 2026-03-01 --until 2026-04-01

      eletrovia usage --area Manaíra --json

      eletrovia usage --city --by day --staff
    """
    from eletrovia.base.clock import SystemClock
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import segment
    from eletrovia.cli.usage_chart import draw_usage

    asked_for = (meter is not None) + (area is not None) + city
    if asked_for > 1 or (staff and not asked_for):
        raise Invalid("usage.which")
    server = reach(terminal, role="staff" if staff else "driver")
    if not asked_for:
        meter = _own(server)
    if meter is not None:
        path = f"/meters/{segment(meter)}/usage"
    else:
        path = "/usage" if area is None else f"/areas/{segment(area)}/usage"
    asked = {"from": since, "until": until, "resolution": by}
    if since is None and until is None:
        asked["from"] = (SystemClock().now() - timedelta(days=_LASTS[by])).isoformat(timespec="seconds")
    told = server.get(path, dict[str, Any], signed_in=True, **asked)
    if terminal.json:
        terminal.answer(told)
    else:
        draw_usage(terminal, told, meter or area or terminal.text("usage.city"))


def _own(server: Server) -> str:
    """Whoever lives with one meter need not name it. Raises: Invalid for all others."""
    mine = server.get("/customers/me/meters", list[dict[str, Any]], signed_in=True)
    if not mine:
        raise Invalid("usage.which")
    if len(mine) > 1:
        raise Invalid("usage.which_of_yours", yours=[one["id"] for one in mine])
    return str(mine[0]["id"])
