"""Words for the screen about usage and doubtful readings: (English, Português)."""

from __future__ import annotations

from typing import Final

USAGE_WORDS: Final[dict[str, tuple[str, str]]] = {
    "usage.none": ("Nothing is known of that time.", "Nada se sabe desse tempo."),
    "usage.city": ("the city", "a cidade"),
    "usage.total": ("Together {kwh} kWh", "Ao todo {kwh} kWh"),
    "usage.estimated": (
        "Of that {kwh} kWh estimated: on a line through a gap, or told as an estimate.",
        "Disso, {kwh} kWh estimados: na reta de uma lacuna, ou informados como estimativa.",
    ),
    "marks.none": ("Nothing is doubtful.", "Não há nada de duvidoso."),
    "mark.backwards": ("goes back", "recua"),
    "mark.roll_over": ("began again", "recomeçou"),
    "mark.jump": ("jumps", "salta"),
    "mark.gap": ("gap", "lacuna"),
    "mark.conflict": ("two values", "dois valores"),
    "mark.estimated": ("estimated", "estimada"),
    "verdict.waits": ("waits for a person", "aguarda alguém"),
    "verdict.accept": ("accepted", "aceita"),
    "verdict.exclude": ("left out", "excluída"),
    "verdict.cleared": ("gone by itself", "resolvida sozinha"),
    "column.mark": ("what", "o quê"),
    "column.reading_at": ("reading", "leitura"),
    "column.since": ("since", "desde"),
    "column.verdict": ("verdict", "decisão"),
    "prune.at_work": ("Dropping old readings …", "Descartando leituras antigas …"),
    "prune.kept_for_good": (
        "Readings are kept for good: metering.keep_readings_months is 0.",
        "As leituras são guardadas para sempre: metering.keep_readings_months é 0.",
    ),
    "prune.would_go": (
        "{first} to {end}: about {readings} readings, {megabytes} MB, would go",
        "{first} a {end}: umas {readings} leituras, {megabytes} MB, sairiam",
    ),
    "prune.gone": (
        "{first} to {end}: about {readings} readings, {megabytes} MB, dropped",
        "{first} a {end}: umas {readings} leituras, {megabytes} MB, descartadas",
    ),
    "prune.nothing": (
        "There is nothing before {day} that could go now.",
        "Não há nada antes de {day} que possa sair agora.",
    ),
    "prune.waits.arrivals": (
        "Readings from that time have just come and are not worked out yet ({tables} tables wait).",
        "Leituras desse tempo acabaram de chegar e ainda não foram somadas ({tables} tabelas esperam).",
    ),
    "prune.waits.still_needed": (
        "Bills of that time are not written yet ({tables} tables wait).",
        "As faturas desse tempo ainda não foram emitidas ({tables} tabelas esperam).",
    ),
}
