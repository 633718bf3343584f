"""``eletrovia trip``: plan a way, and book every stop of it or none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from eletrovia.base.errors import Conflict, Invalid, Unavailable
from eletrovia.cli.terminal import STILL_PENDING, Terminal
from eletrovia.cli.verb import client_verb

if TYPE_CHECKING:
    from eletrovia.cli.server import Answer, Server

_POINT: Final = re.compile(r"\s*(-?\d{1,2}(?:\.\d+)?)\s*,\s*(-?\d{1,3}(?:\.\d+)?)\s*")
_ASK_S: Final = 10
_REPEATS: Final = 5


@client_verb
def trip(
    terminal: Terminal,
    origin: Annotated[str, typer.Argument(help='A place, "joao pessoa, pb", or "-7.12,-34.86".')],
    destination: Annotated[str, typer.Argument(help="Likewise.")],
    battery: Annotated[
        float, typer.Option("--battery", "-b", metavar="PERCENT", min=0, max=100, help="Charge now.")
    ],
    vehicle: Annotated[
        str, typer.Option("--vehicle", metavar="ID", help="A car model; see `eletrovia vehicles`.")
    ] = "demo-compact",
    depart: Annotated[
        str | None,
        typer.Option(
            "--depart", metavar="WHEN", help='"2026-12-01 08:00" or "08:00" on your clock, or ISO 8601.'
        ),
    ] = None,
    reserve: Annotated[
        float | None,
        typer.Option(
            "--reserve", metavar="PERCENT", min=0, max=99, help="Never arrive with less (default: 20)."
        ),
    ] = None,
    cheapest: Annotated[
        bool, typer.Option("--cheapest", metavar="", help="Lowest price instead of earliest arrival.")
    ] = False,
    book: Annotated[
        bool, typer.Option("--book", metavar="", help="Book every stop, all or nothing.")
    ] = False,
    wait: Annotated[
        int, typer.Option("--wait", metavar="SECONDS", min=0, max=3600, help="Patience for the decision.")
    ] = 60,
    key: Annotated[
        str | None, typer.Option("--key", help="Idempotency key of an earlier try, to repeat it safely.")
    ] = None,
) -> None:
    """Plan a trip, or book it with --book: every stop at every company, or none.

    [bold]Examples[/]

      eletrovia trip "João Pessoa" "Feira de Santana" --battery 60

      eletrovia trip recife aracaju --battery 80 --depart "2026-12-01 08:00" --cheapest --book

      eletrovia trip "-7.12,-34.86" salvador -b 55 --server "BR*MAN" --json
    """
    ask = ask_of(
        terminal,
        origin,
        destination,
        battery=battery,
        vehicle=vehicle,
        depart=depart,
        reserve=reserve,
        cheapest=cheapest,
    )
    if book:
        book_and_show(terminal, ask, wait_s=wait, key=key)
    else:
        _plan(terminal, ask)


def ask_of(
    terminal: Terminal,
    origin: str,
    destination: str,
    *,
    battery: float,
    vehicle: str = "demo-compact",
    depart: str | None = None,
    reserve: float | None = None,
    cheapest: bool = False,
) -> dict[str, Any]:
    """The body of a request. Units: battery and reserve in percent. Raises: Invalid."""
    ask: dict[str, Any] = {
        "origin": _place(origin),
        "destination": _place(destination),
        "vehicle": vehicle,
        "soc": round(battery / 100, 6),
        "objective": "cheapest" if cheapest else "earliest",
    }
    if reserve is not None:
        ask["reserve_soc"] = round(reserve / 100, 6)
    if depart is not None:
        from eletrovia.base.clock import SystemClock
        from eletrovia.cli.zone import departure

        ask["departs_at"] = departure(depart, terminal.zone, SystemClock().now()).isoformat()
    return ask


def book_and_show(
    terminal: Terminal, ask: dict[str, Any], *, wait_s: int = 60, key: str | None = None
) -> None:
    """Books, shows what stands, and ends with 5 or 8 where it is not confirmed."""
    from eletrovia.base.clock import SystemClock
    from eletrovia.base.ids import Ids
    from eletrovia.cli.reach import reach
    from eletrovia.cli.showing import show_trip

    clock = SystemClock()
    server = reach(terminal)
    key = key or Ids(clock).new("ask")
    with terminal.busy("trip.booking"):
        try:
            answer = _book(server, ask, key)
        except Conflict as refused:
            if "trip" not in refused.facts or terminal.json:
                raise
            from eletrovia.cli.showing import show_alternatives

            show_alternatives(terminal, refused.facts.pop("trip"))
            raise
        except Unavailable as silent:
            silent.facts["key"] = key
            raise
        except KeyboardInterrupt:
            terminal.say("trip.broken_off", key=key)
            raise
        told = answer.read(dict[str, Any])
        until = clock.monotonic() + wait_s
        while told.get("state") == "pending" and clock.monotonic() < until:
            _rest()
            told = _follow(server, str(told["id"]))
    if terminal.json:
        terminal.answer(told)
    else:
        show_trip(terminal, told)
    _end(told)


def _end(told: dict[str, Any]) -> None:
    state = told.get("state")
    if state == "pending":
        raise typer.Exit(STILL_PENDING)
    if state == "failed":
        raise typer.Exit(5)


def _book(server: Server, ask: dict[str, Any], key: str) -> Answer:
    """Repeats the very same request where no answer came: the key keeps it from booking twice."""
    for repeat in range(_REPEATS):
        try:
            return server.ask(
                "POST",
                "/trips",
                query={"wait_s": _ASK_S},
                body=ask,
                headers={"Idempotency-Key": key},
                timeout_s=_ASK_S + 20,
            )
        except Unavailable as silent:
            if repeat == _REPEATS - 1 or (
                repeat == 0 and silent.code == "server.no_answer" and not server.answers()
            ):
                raise
        _rest()
    raise AssertionError("the last repeat returns or raises")


def _follow(server: Server, trip_id: str) -> dict[str, Any]:
    """How the trip stands; a server that is away for a moment leaves it pending."""
    from eletrovia.cli.server import segment

    try:
        return server.get(f"/trips/{segment(trip_id)}", dict[str, Any], signed_in=True)
    except Unavailable:
        return {"id": trip_id, "state": "pending"}


def _rest() -> None:
    from eletrovia.cli.server import pause

    pause(0.5)


def _plan(terminal: Terminal, ask: dict[str, Any]) -> None:
    from eletrovia.cli.reach import reach
    from eletrovia.cli.showing import show_plans

    server = reach(terminal)
    with terminal.busy("trip.planning"):
        told = server.post("/trips/plan", dict[str, Any], ask)
    if terminal.json:
        terminal.answer(told)
    else:
        show_plans(terminal, told["itineraries"])


def _place(written: str) -> str | dict[str, float]:
    if (point := _POINT.fullmatch(written)) is not None:
        return {"lat": float(point.group(1)), "lon": float(point.group(2))}
    if not written.strip():
        raise Invalid("place.empty")
    return written.strip()
