"""The words and numbers of a printed bill: (English, Português)."""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from eletrovia.base.money import cents

PORTUGUESE: Final = "pt-BR"

_SIGNS: Final = {"BRL": "R$", "EUR": "€", "USD": "US$"}
_TO_PORTUGUESE: Final = str.maketrans(",.", ".,")
_MONTHS: Final = (
    ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    ("jan", "fev", "mar", "abr", "mai", "jun", "jul", "ago", "set", "out", "nov", "dez"),
)
_LONG_MONTHS: Final = (
    (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
    (
        *("janeiro", "fevereiro", "março", "abril", "maio", "junho"),
        *("julho", "agosto", "setembro", "outubro", "novembro", "dezembro"),
    ),
)

WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("Electricity bill", "Conta de energia elétrica"),
    "number": ("No.", "Nº"),
    "issued": ("issued {on}", "emitida em {on}"),
    "customer": ("Customer", "Cliente"),
    "usage_point": ("Usage point", "Unidade consumidora"),
    "meter": ("Meter", "Medidor"),
    "meters": ("Meters", "Medidores"),
    "connection": ("Connection", "Ligação"),
    "phases.1": ("single-phase", "monofásica"),
    "phases.2": ("two-phase", "bifásica"),
    "phases.3": ("three-phase", "trifásica"),
    "tariff": ("Tariff", "Tarifa"),
    "low_income": ("social tariff", "tarifa social"),
    "period": ("Period", "Período"),
    "period.of": ("{starts} to {ends}, {days} days", "{starts} a {ends}, {days} dias"),
    "period.one_day": ("{starts}, one day", "{starts}, um dia"),
    "to_pay": ("To pay", "Total a pagar"),
    "nothing_to_pay": ("Nothing to pay", "Nada a pagar"),
    "due": ("due {on}", "vence em {on}"),
    "used": ("You used", "Você consumiu"),
    "history": ("Your use, month by month, in kWh", "Seu consumo mês a mês, em kWh"),
    "compared": ("Compared", "Comparação"),
    "compared.than": ("than in {month}", "que em {month}"),
    "compared.as": ("as in {month}", "a {month}"),
    "compared.more": ("{share} more", "{share} a mais"),
    "compared.less": ("{share} less", "{share} a menos"),
    "compared.same": ("the same", "igual"),
    "compared.none": ("nothing to compare with yet", "ainda sem comparação"),
    "compared.then": ("{kwh} kWh · {daily} a day", "{kwh} kWh · {daily} por dia"),
    "daily": ("{daily} kWh a day", "{daily} kWh por dia"),
    "compared.by_day": ("compared by daily average", "comparado pela média diária"),
    "lines": ("What you pay for", "O que você está pagando"),
    "column.line": ("", ""),
    "column.kwh": ("kWh", "kWh"),
    "column.unit_price": ("price per kWh", "preço por kWh"),
    "column.amount": ("amount", "valor"),
    "total": ("Total of this bill", "Total desta conta"),
    "set_off": ("Paid with your credit from bill {number}", "Pago com seu crédito da conta {number}"),
    "taxes": ("Taxes, already inside the prices", "Tributos, já incluídos nos preços"),
    "taxes.none": ("No taxes in this bill.", "Esta conta não tem tributos."),
    "column.tax": ("tax", "tributo"),
    "column.base": ("base", "base"),
    "column.rate": ("rate", "alíquota"),
    "readings": ("Meter readings, in kWh", "Leituras do medidor, em kWh"),
    "column.meter": ("meter", "medidor"),
    "column.previous": ("previous", "anterior"),
    "column.current": ("current", "atual"),
    "column.used": ("used", "consumo"),
    "read": ("read", "lida"),
    "estimated": ("estimated", "estimada"),
    "estimated.share": (
        "{share} of this period ({kwh} kWh) is estimated: for a while no reading came. What readings tell "
        "later is made good on a later bill.",
        "{share} deste período ({kwh} kWh) é estimativa: por um tempo não veio leitura. O que as leituras "
        "disserem depois será acertado em outra conta.",
    ),
    "estimated.much": (
        "That is a lot. Please have your meter looked at: tell us, and we will come.",
        "É muito. Peça que verifiquem seu medidor: avise, e nós vamos até aí.",
    ),
    "unread": (
        "No reading came after {at}. What was used since then is in the next bill.",
        "Nenhuma leitura chegou depois de {at}. O consumo desde então virá na próxima conta.",
    ),
    "looked_at": ("Looked at by a person: {note}", "Verificada por uma pessoa: {note}"),
    "pix": ("Pay with Pix", "Pague com Pix"),
    "pix.how": (
        "Open your bank's app, choose Pix and point at the code, or copy this code:",
        "Abra o aplicativo do seu banco, escolha Pix e aponte para o código, ou copie este código:",
    ),
    "pay.how": ("How to pay", "Como pagar"),
    "pay.ask": ("Ask us for the ways to pay: {contact}", "Peça as formas de pagamento: {contact}"),
    "help": ("Questions, or something wrong?", "Dúvidas, ou algo errado?"),
    "help.us": ("First to us: {contact}", "Primeiro conosco: {contact}"),
    "help.regulator": ("Not solved? {regulator}", "Não resolvemos? {regulator}"),
    "help.say": (
        "Say the number of this bill, {number}. A mistake is corrected by a credit note; this bill itself "
        "never changes.",
        "Informe o número desta conta, {number}. Um erro é corrigido por nota de crédito; "
        "esta conta nunca muda.",
    ),
    "sources": ("Prices and taxes from: {sources}", "Preços e tributos de: {sources}"),
    "digest": ("SHA-256 of the document", "SHA-256 do documento"),
    "page": ("page {n} of {all}", "página {n} de {all}"),
}


class Speech:
    """Words, numbers and dates in one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._place = 1 if language == PORTUGUESE else 0

    def text(self, key: str, /, **facts: str) -> str:
        return WORDS[key][self._place].format_map(facts)

    def number(self, value: Decimal | int, places: int = 0) -> str:
        """``1,234.5`` or ``1.234,5``."""
        written = f"{Decimal(value):,.{places}f}"
        return written.translate(_TO_PORTUGUESE) if self._place else written

    def money(self, amount: Decimal, currency: str) -> str:
        """``R$ 1.234,50``; the space does not break."""
        sign = "−" if amount < 0 else ""
        return f"{sign}{_SIGNS.get(currency, currency)}\u00a0{self.number(abs(cents(amount)), 2)}"

    def price(self, price: Decimal) -> str:
        """A price per kWh, to five places: those are all that a home's bill can tell apart."""
        return self.number(price.quantize(Decimal("0.00001"), ROUND_HALF_UP), 5)

    def kwh(self, energy_wh: int) -> str:
        """Wh as kWh: whole where they are, else to the Wh."""
        kwh = Decimal(energy_wh) / 1000
        return self.number(kwh, 0 if energy_wh % 1000 == 0 else 3)

    def round_kwh(self, energy_wh: int) -> str:
        """Wh as kWh for a picture: whole, or one place under 100."""
        kwh = Decimal(energy_wh) / 1000
        return self.number(kwh, 0 if abs(kwh) >= 100 or not energy_wh else 1)

    def share(self, share: Decimal) -> str:
        """A share of one in percent, with as many places as it has, at most two."""
        percent = (share * 100).quantize(Decimal("0.01")).normalize()
        return f"{self.number(percent, max(0, -int(percent.as_tuple().exponent)))}%"

    def day(self, day: date) -> str:
        """``5 Oct 2026`` or ``05/10/2026``."""
        return f"{day:%d/%m/%Y}" if self._place else f"{day.day} {_MONTHS[0][day.month - 1]} {day.year}"

    def short_day(self, day: date) -> str:
        """A day without its year."""
        return f"{day:%d/%m}" if self._place else f"{day.day} {_MONTHS[0][day.month - 1]}"

    def moment(self, moment: datetime) -> str:
        """A day and its clock, in the zone that ``moment`` is in."""
        return f"{self.day(moment.date())} {moment:%H:%M}"

    def month(self, month: date) -> str:
        """``Oct`` or ``out``."""
        return _MONTHS[self._place][month.month - 1]

    def long_month(self, month: date) -> str:
        """``October 2026`` or ``outubro de 2026``."""
        return f"{_LONG_MONTHS[self._place][month.month - 1]} {'de ' if self._place else ''}{month.year}"
