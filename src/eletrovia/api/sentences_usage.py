"""What a person reads about usage, series and anomalies: English, then Portuguese."""

from __future__ import annotations

from typing import Final

USAGE: Final[dict[str, tuple[str, str]]] = {
    "usage.too_long": (
        "That is too long a time at once: ask for it in pieces, or less finely ({most} at most).",
        "É tempo demais de uma vez: peça em partes, ou com menos detalhe (no máximo {most}).",
    ),
    "usage.resolution_of_areas": (
        "Areas are told by hour or day, not by {resolution}.",
        "As áreas são contadas por hora ou dia, não por {resolution}.",
    ),
    "usage.too_many_streams": (
        "Too many live streams are open; close one, or try again in {retry_after_s} s.",
        "Há fluxos ao vivo demais abertos; feche um ou tente de novo em {retry_after_s} s.",
    ),
    "usage.too_wide": (
        "More readings than expected came at once; they are taken in smaller pieces.",
        "Vieram mais leituras de uma vez do que se esperava; elas são tratadas em partes menores.",
    ),
    "area.unknown": ("There is no area “{area}”.", "Não há a área “{area}”."),
    "area.unheard": (
        "Nothing was heard from “{area}” yet.",
        "Ainda nada se ouviu da área “{area}”.",
    ),
    "area.too_small": (
        "Areas with fewer than {least} usage points are not shown: a sum would say too much about each.",
        "Áreas com menos de {least} unidades consumidoras não são mostradas: a soma diria demais.",
    ),
    "mark.unknown": (
        "Nothing about a reading at {at} is doubtful.",
        "Não há nada de duvidoso numa leitura de {at}.",
    ),
    "verdict.note_length": (
        "Say in a few words why, {longest} characters at most.",
        "Diga em poucas palavras o motivo, em no máximo {longest} caracteres.",
    ),
    "verdict.too_much": (
        "{energy_wh} Wh is more than any single meter can have counted: exclude the reading instead.",
        "{energy_wh} Wh é mais do que qualquer medidor pode ter contado: exclua a leitura.",
    ),
}
