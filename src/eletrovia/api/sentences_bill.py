"""What a person reads about tariffs, contracts and invoices: English, then Portuguese."""

from __future__ import annotations

from typing import Final

BILL: Final[dict[str, tuple[str, str]]] = {
    "tariff.unknown": (
        "There is no tariff {tariff_id}.",
        "Não existe a tarifa {tariff_id}.",
    ),
    "tariff.no_low_income": (
        "The tariff {tariff_id} has no social tariff in its place.",
        "A tarifa {tariff_id} não tem uma tarifa social no seu lugar.",
    ),
    "tariff.no_price": (
        "No price is known for {day}: {what} {name}.",
        "Não se conhece o preço de {day}: {what} {name}.",
    ),
    "tariff.file_missing": (
        "There is no tariff file {file}.",
        "Não existe o arquivo de tarifas {file}.",
    ),
    "tariff.file_malformed": (
        "{file} is not well-formed TOML: {reason}.",
        "{file} não é TOML bem formado: {reason}.",
    ),
    "tariff.file_wrong": (
        "{file}, {record}, {field}: {reason}.",
        "{file}, {record}, {field}: {reason}.",
    ),
    "tariff.overlap": (
        "{file}, {record}: {field} and {other} both hold on {day}.",
        "{file}, {record}: {field} e {other} valem ambos em {day}.",
    ),
    "tariff.use_impossible": (
        "{use_kwh} kWh is no usage of a home.",
        "{use_kwh} kWh não é consumo de uma residência.",
    ),
    "bill.period_empty": (
        "A bill needs at least one day: {starts_on} to {ends_on} has none.",
        "Uma fatura precisa de ao menos um dia: de {starts_on} a {ends_on} não há nenhum.",
    ),
    "bill.measured_wrong": (
        "What was measured does not fit the period ({reason}).",
        "O que foi medido não cabe no período ({reason}).",
    ),
}
