"""Words for the screen about invoices: (English, Português)."""

from __future__ import annotations

from typing import Final

BILL_WORDS: Final[dict[str, tuple[str, str]]] = {
    "column.number": ("number", "número"),
    "column.period": ("period", "período"),
    "column.due": ("due", "vence"),
    "column.kwh": ("kWh", "kWh"),
    "column.total": ("total", "total"),
    "column.open": ("open", "em aberto"),
    "column.line": ("for", "por"),
    "column.unit_price": ("per kWh", "por kWh"),
    "column.amount": ("amount", "valor"),
    "column.tax": ("tax", "tributo"),
    "column.base": ("base", "base"),
    "column.rate": ("rate", "alíquota"),
    "column.previous": ("previous", "anterior"),
    "column.current": ("current", "atual"),
    "invoices.none": ("No invoices.", "Nenhuma fatura."),
    "invoices.more": ("There are more: --before {before}", "Há mais: --before {before}"),
    "invoices.issuing": ("Issuing {month}: {done}", "Faturando {month}: {done}"),
    "invoices.month": (
        "{month}: {issued} issued, {standing} stood already, {held} wait for a person",
        "{month}: {issued} emitidas, {standing} já existiam, {held} aguardam uma pessoa",
    ),
    "invoices.held": ("{point}: {reason}", "{point}: {reason}"),
    "invoices.issued": ("Issued: {number}, {total}", "Emitida: {number}, {total}"),
    "invoices.stands": ("It stands already: {number}, {total}", "Já existe: {number}, {total}"),
    "invoices.written": ("{number} written to {file}", "{number} gravada em {file}"),
    "invoices.due": ("due {on}", "vence em {on}"),
    "invoices.total": ("total", "total"),
    "invoices.set_off": ("paid with your credit from {number}", "pago com seu crédito da {number}"),
    "invoices.to_pay": ("to pay", "a pagar"),
    "invoices.open": ("open now", "em aberto agora"),
    "invoices.credited": ("credited {number}: {note}", "creditado {number}: {note}"),
    "invoices.paid": ("paid {on}, {method} {reference}", "pago em {on}, {method} {reference}"),
    "invoices.pix": ("Pix, copy and paste:", "Pix copia e cola:"),
    "invoices.estimated": ("{kwh} kWh of it are estimated", "{kwh} kWh são estimados"),
    "invoices.unread": ("No reading came after {at}", "Nenhuma leitura depois de {at}"),
    "invoices.preview": (
        "{point}, {starts} to {ends}: nothing is issued",
        "{point}, {starts} a {ends}: nada foi emitido",
    ),
    "invoices.would_wait": ("It would wait: {reason}", "Aguardaria: {reason}"),
    "invoices.review": (
        "{number}: charged {charged} for {charged_kwh} kWh, now {now} for {now_kwh} kWh",
        "{number}: cobrado {charged} por {charged_kwh} kWh, agora {now} por {now_kwh} kWh",
    ),
    "invoices.noted": ("Credit note {number}: {amount}", "Nota de crédito {number}: {amount}"),
    "invoices.recorded": (
        "Recorded: {amount}, still open {open}",
        "Registrado: {amount}, ainda em aberto {open}",
    ),
    "invoices.agreed": (
        "{point}: {tariff} from {on}, read on day {day}",
        "{point}: {tariff} desde {on}, leitura no dia {day}",
    ),
}
