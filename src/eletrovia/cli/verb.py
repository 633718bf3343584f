"""What every verb of the command line has in common: the options, and the terminal it speaks to."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec, get_type_hints

import typer

from eletrovia.cli.terminal import Options, Terminal

P = ParamSpec("P")
_PANEL: Final = "Every verb takes"
_SERVER_PANEL: Final = "Which server, and who you are"
_KEYWORD: Final = inspect.Parameter.KEYWORD_ONLY

_COMMON: Final[dict[str, Any]] = {
    "data": Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Data folder (default: var).", rich_help_panel=_PANEL),
    ],
    "config": Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            envvar="ELETROVIA_CONFIG",
            show_envvar=False,
            help="Settings file.",
            rich_help_panel=_PANEL,
        ),
    ],
    "values": Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="One setting, e.g. http.port=9001.", rich_help_panel=_PANEL
        ),
    ],
    "lang": Annotated[
        str | None,
        typer.Option(
            "--lang",
            metavar="en|pt-BR",
            envvar="ELETROVIA_LANG",
            show_envvar=False,
            help="Language of what is said (default: your locale's).",
            rich_help_panel=_PANEL,
        ),
    ],
    "as_json": Annotated[
        bool, typer.Option("--json", metavar="", help="Answer in JSON, errors too.", rich_help_panel=_PANEL)
    ],
    "debug": Annotated[
        bool,
        typer.Option("--debug", metavar="", help="Show the traceback of an error.", rich_help_panel=_PANEL),
    ],
}
_SERVER: Final[dict[str, Any]] = {
    "server": Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL|ID",
            envvar="ELETROVIA_SERVER",
            show_envvar=False,
            help="Address or operator id, e.g. BR*MAN (default: the first of the running city).",
            rich_help_panel=_SERVER_PANEL,
        ),
    ],
    "email": Annotated[
        str | None,
        typer.Option(
            "--email",
            envvar="ELETROVIA_EMAIL",
            show_envvar=False,
            help="Your account; the password is read from ELETROVIA_PASSWORD or asked for.",
            rich_help_panel=_SERVER_PANEL,
        ),
    ],
}


def verb(function: Callable[Concatenate[Terminal, P], None]) -> Callable[..., None]:
    """``function`` with the options of every verb; they may stand before the verb's name too."""
    return _with(function, _COMMON)


def client_verb(function: Callable[Concatenate[Terminal, P], None]) -> Callable[..., None]:
    """A verb that speaks to a running server."""
    return _with(function, _SERVER | _COMMON)


def _with(function: Callable[Concatenate[Terminal, P], None], shared: dict[str, Any]) -> Callable[..., None]:
    @functools.wraps(function)
    def run(ctx: typer.Context, **given: Any) -> None:
        told = {name: given.pop(name) for name in shared}
        options = (ctx.obj if isinstance(ctx.obj, Options) else Options()).and_then(Options(**told))
        ctx.obj = options
        if ctx.invoked_subcommand is None:
            terminal = Terminal(options)
            with terminal.told_errors():
                function(terminal, **given)  # type: ignore[call-arg]

    hints = get_type_hints(function, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[1:]
    parameters = [
        inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(one.replace(kind=_KEYWORD, annotation=hints[one.name]) for one in own),
        *(
            inspect.Parameter(
                name, _KEYWORD, default=False if name in {"as_json", "debug"} else None, annotation=annotation
            )
            for name, annotation in shared.items()
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run
