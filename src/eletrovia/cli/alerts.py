"""``eletrovia alerts``: what you should hear of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import typer

from eletrovia.base.errors import Unavailable
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

_STYLES: Final = {1: "cyan", 2: "yellow", 3: "bold red"}
_LOOK_S: Final = 2.0


@client_verb
def alerts(
    terminal: Terminal,
    everything: Annotated[
        bool, typer.Option("--all", metavar="", help="Also what is over or was acknowledged.")
    ] = False,
    seen: Annotated[
        str | None, typer.Option("--seen", metavar="ID", help="Acknowledge one: it is no longer open.")
    ] = None,
    staff: Annotated[
        bool, typer.Option("--staff", metavar="", help="As the utility's staff: everybody's.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", metavar="", help="Go on and tell what comes; Ctrl-C ends it.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many, newest first.")] = 20,
) -> None:
    """Your alerts: too much electricity, a bill that will be another, a supply cut off.

    [bold]Examples[/]

      eletrovia alerts

      eletrovia alerts --follow

      eletrovia alerts --seen alert_06f1r3v0x8c2m4q9t7n5

      eletrovia alerts --staff --all --json
    """
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import Server, segment

    server: Server = reach(terminal, role="staff" if staff else "driver")
    if seen is not None:
        told = server.ask("POST", f"/alerts/{segment(seen)}/acknowledge").read(dict[str, Any])
        if terminal.json:
            terminal.answer(told)
        else:
            _show(terminal, told)
        return
    news_id = _newest(server) if follow else 0
    query = {"limit": limit, "open": None if everything else "true"}
    page = server.get("/alerts", dict[str, Any], signed_in=True, **query)
    if terminal.json and not follow:
        terminal.answer(page)
        return
    for alert in reversed(page["alerts"]):
        _tell(terminal, alert)
    if not page["alerts"]:
        terminal.say("alerts.none")
    if follow:
        _follow(terminal, server, news_id)


def _newest(server: Any) -> int:
    """The number of the newest news there is."""
    newest = 0
    while news := server.get("/alerts/news", list[dict[str, Any]], signed_in=True, after=newest):
        newest = int(news[-1]["id"])
    return newest


def _follow(terminal: Terminal, server: Any, newest: int) -> None:
    from eletrovia.cli.server import pause

    terminal.say("alerts.following")
    while True:
        pause(_LOOK_S)
        try:
            news = server.get("/alerts/news", list[dict[str, Any]], signed_in=True, after=newest)
        except Unavailable:
            continue  # a server that starts again is no reason to stop following it
        for one in news:
            newest = int(one["id"])
            _tell(terminal, one["alert"])


def _tell(terminal: Terminal, alert: dict[str, Any]) -> None:
    """With --json one line for each, for programs that read along."""
    if not terminal.json:
        _show(terminal, alert)
        return
    import msgspec

    print(msgspec.json.encode(alert).decode(), flush=True)


def _show(terminal: Terminal, alert: dict[str, Any]) -> None:
    raised = datetime.fromisoformat(alert["raised_at"]).astimezone(terminal.zone)
    over = alert["cleared_at"] is not None or alert["acknowledged_at"] is not None
    style = "dim" if over else _STYLES.get(int(alert["level"]), "")
    terminal.out.print(f"{raised:%Y-%m-%d %H:%M}  {alert['title']}", style=style, markup=False)
    for line in str(alert["text"]).splitlines():
        terminal.out.print(f"  {line}", markup=False, style="dim" if over else None)
    terminal.out.print(f"  {alert['id']}", style="dim", markup=False)
