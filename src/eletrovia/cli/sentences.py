"""Finding the words for what is to be said, in the user's language, and filling in the facts."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from eletrovia.base.errors import EletroviaError, Invalid
from eletrovia.cli.complaints import ADVICE, DID_YOU_MEAN, ERRORS, GAPS, REPEAT, Pair
from eletrovia.cli.numbers import number
from eletrovia.cli.words import WORDS
from eletrovia.people.account import Language


class _Told(dict[str, Any]):
    """Facts for a template; one that is not there is nothing, never an error inside an error."""

    def __missing__(self, key: str) -> str:
        return ""


def sentence(key: str, language: Language, facts: Mapping[str, Any]) -> str:
    """The words for ``key`` with its facts. Raises: KeyError for one that nobody wrote."""
    return _filled(WORDS[key], language, facts)


def reason_of(code: str, facts: Mapping[str, Any], language: Language) -> str:
    """A code in a person's words: ours, else the API's, else the code itself with its facts."""
    if code == "trip.no_way" and (gap := GAPS.get(str(facts.get("reason")))) is not None:
        with contextlib.suppress(KeyError, ValueError):
            facts = {**facts, "short_km": float(facts["short_km"])}  # it may come as text
        return f"{_filled(ERRORS[code], language, facts)} {_filled(gap, language, facts)}".strip()
    if code in ERRORS:
        return _filled(ERRORS[code], language, facts).strip()
    from eletrovia.api.sentences import SENTENCES

    for known in (f"{code}/{facts.get('reason', '')}", code):
        if known in SENTENCES:
            return _filled(SENTENCES[known], language, facts)
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    return f"{code} ({told})" if told else code


def sentence_for(error: EletroviaError, language: Language) -> str:
    """An error in a person's words: what the server wrote about it, else ours."""
    notes = getattr(error, "__notes__", ())
    if notes and error.code not in ERRORS:
        return str(notes[0])
    return reason_of(error.code, error.facts, language)


def advice_for(error: EletroviaError, language: Language) -> str:
    """What to do about it; empty where nobody knows."""
    if error.kind == "unavailable" and "key" in error.facts:
        return _filled(REPEAT, language, error.facts)
    if error.code == "place.unknown" and error.facts.get("suggestions"):
        return _filled(DID_YOU_MEAN, language, error.facts)
    if error.code in ADVICE:
        return _filled(ADVICE[error.code], language, error.facts)
    return ""


def language_from(asked: str | None, environ: Mapping[str, str]) -> Language:
    """The language that was asked for, else the locale's; English where that is neither. Raises: Invalid."""
    if asked:
        for language in Language:
            if asked.lower().replace("_", "-").partition(".")[0] in (language.lower(), language.lower()[:2]):
                return language
        raise Invalid("lang.unknown", lang=asked, known=", ".join(Language))
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return Language.PORTUGUESE if locale.lower().startswith("pt") else Language.ENGLISH


def _filled(pair: Pair, language: Language, facts: Mapping[str, Any]) -> str:
    template = pair[1] if language is Language.PORTUGUESE else pair[0]
    return template.format_map(_Told({name: _shown(value, language) for name, value in facts.items()}))


def _shown(value: Any, language: Language) -> str:
    # A string first: a template's field can then reach nothing inside a fact.
    if isinstance(value, (list, tuple)):
        items = [_shown(item, language) for item in value]
        return ("; " if any("," in item for item in items) else ", ").join(items)
    if isinstance(value, float):
        return number(value, language, 0 if value.is_integer() or abs(value) >= 100 else 1)
    return str(value)
