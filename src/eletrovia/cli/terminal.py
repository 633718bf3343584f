"""Where a verb runs: its options, its settings, its language, and the screen it writes to."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import typer

from eletrovia.base.errors import EletroviaError, Invalid, Unavailable
from eletrovia.cli.sentences import advice_for, language_from, sentence, sentence_for
from eletrovia.people.account import Language

if TYPE_CHECKING:
    from datetime import tzinfo

    from rich.console import Console, RenderableType

    from eletrovia.runtime.config import Config, Layered

EXIT_CODES: Final = {
    "internal": 1,
    "invalid": 2,
    "denied": 3,
    "not_found": 4,
    "conflict": 5,
    "overloaded": 6,
    "unavailable": 7,
}
STILL_PENDING: Final = 8


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the options of every verb said."""

    data: Path | None = None
    config: Path | None = None
    values: list[str] | None = None
    lang: str | None = None
    as_json: bool = False
    debug: bool = False
    server: str | None = None
    email: str | None = None

    def and_then(self, later: Options) -> Options:
        """These, with what ``later`` says beside or instead."""
        joined = {
            name: getattr(later, name) or getattr(self, name)
            for name in self.__struct_fields__
            if name != "values"
        }
        return Options(values=[*(self.values or []), *(later.values or [])], **joined)


class Terminal:
    """One run of one verb. Answers go to standard output; what is said about them to standard error."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._flags: dict[str, str] = {}
        self._flag_names: dict[str, str] = {}

    # -- settings -------------------------------------------------------------------------------------

    def set_flag(self, key: str, value: object, flag: str) -> None:
        """A dedicated flag of the verb stands for the setting ``key``; None means it was not given."""
        if value is not None:
            self._flags[key] = str(value)
            self._flag_names[key] = flag

    @cached_property
    def layered(self) -> Layered:
        """The settings, and where each is from. Raises: Invalid."""
        from eletrovia.runtime.config import load

        flags: dict[str, str] = {}
        for item in self.options.values or []:
            key, equals, value = item.partition("=")
            if not equals:
                raise Invalid("option.not_key_value", option="--set", value=item)
            flags[key.strip()] = value.strip()
        if self.options.data is not None:
            flags["data.dir"] = str(self.options.data)
            self._flag_names["data.dir"] = "--data"
        names = {**self._flag_names}
        return load(environ=os.environ, flags=flags | self._flags, flag_names=names, file=self.options.config)

    @property
    def config(self) -> Config:
        return self.layered.config

    @property
    def data_dir(self) -> Path:
        """The data folder; it may not exist yet."""
        return self.config.data.path

    # -- saying ---------------------------------------------------------------------------------------

    @cached_property
    def language(self) -> Language:
        return language_from(self.options.lang, os.environ)

    @property
    def json(self) -> bool:
        """Whether answers are to be JSON."""
        return self.options.as_json

    @cached_property
    def out(self) -> Console:
        from rich.console import Console

        return Console(highlight=False)

    @cached_property
    def err(self) -> Console:
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    @cached_property
    def zone(self) -> tzinfo:
        """Where the user's clock hangs."""
        from eletrovia.cli.zone import users_zone

        return users_zone(os.environ)

    def text(self, key: str, /, **facts: Any) -> str:
        """A sentence in the user's language."""
        return sentence(key, self.language, facts)

    def say(self, key: str, /, **facts: Any) -> None:
        """A remark beside the answer: to standard error, and not at all with ``--json``."""
        if not self.json:
            self.err.print(self.text(key, **facts), markup=False, soft_wrap=True)

    def show(self, *renderables: RenderableType) -> None:
        """A part of the answer, drawn."""
        for renderable in renderables:
            self.out.print(renderable)

    def answer(self, value: Any) -> None:
        """The answer as JSON."""
        # Not through rich: it would wrap long lines.
        text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()
        print(text, flush=True)

    @property
    def interactive(self) -> bool:
        """Whether a person sits there who can be asked."""
        return not self.json and sys.stdin.isatty() and self.err.is_terminal

    def busy(self, key: str, /, **facts: Any) -> contextlib.AbstractContextManager[Any]:
        """While it lasts, tells a person what is being waited for; a pipe sees nothing of it."""
        if self.json or not self.err.is_terminal:
            return contextlib.nullcontext()
        return self.err.status(self.text(key, **facts), spinner="dots")

    # -- errors ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def told_errors(self) -> Iterator[None]:
        """Tells an error of ours and ends with its kind's exit code; a traceback only with ``--debug``."""
        try:
            yield
        except EletroviaError as error:
            self._tell(error)
            raise typer.Exit(EXIT_CODES.get(error.kind, 1)) from None
        except Exception as error:
            # Typer's own (usage errors, exits, Ctrl-C) and a closed pipe are its business.
            if type(error).__module__.startswith(("typer", "click")) or isinstance(error, BrokenPipeError):
                raise
            if self.options.debug or os.environ.get("ELETROVIA_DEBUG"):
                raise
            surprise: EletroviaError
            if isinstance(error, OSError):
                facts = {"reason": error.strerror or str(error)}
                if error.filename is not None:
                    facts["file"] = str(error.filename)
                surprise = Unavailable("machine.refused", **facts)
            else:
                surprise = EletroviaError("internal", reason=f"{type(error).__name__}: {error}")
            self._tell(surprise)
            raise typer.Exit(EXIT_CODES[surprise.kind]) from None

    def _tell(self, error: EletroviaError) -> None:
        if self.options.debug:
            self.err.print_exception()
        try:
            language = self.language
        except EletroviaError:
            language = Language.ENGLISH
        told = sentence_for(error, language)
        advice = advice_for(error, language)
        if self.json:
            problem = {
                "code": error.code,
                "kind": error.kind,
                "detail": told,
                "facts": error.facts,
                "exit_code": EXIT_CODES.get(error.kind, 1),
            }
            self.answer(problem | ({"advice": advice} if advice else {}))
            return
        sys.stdout.flush()
        word = sentence("error", language, {})
        self.err.print(f"[bold red]{word}:[/] ", end="")
        self.err.print(told, markup=False, soft_wrap=True)
        if advice:
            self.err.print(f"  → {advice}", markup=False, soft_wrap=True, style="dim")
