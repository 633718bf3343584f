"""Bills on paper: all that must be there, in both languages, on one page, with a code that a phone reads."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pypdfium2
import pytest
import zxingcpp
from msgspec.structs import replace

from eletrovia.metering.bill import Bill, BillLine, TaxShare, Terms
from eletrovia.metering.billwords import said
from eletrovia.metering.invoice import (
    Billed,
    Invoice,
    Issuer,
    LateUse,
    MonthUse,
    RegisterRow,
    SetOff,
    frozen,
)
from eletrovia.metering.paper import Paper, code_rows, compared_with, masked_tax_id
from eletrovia.metering.paperwords import Speech
from eletrovia.metering.pix import PixCode

ZONE = ZoneInfo("America/Fortaleza")
PAPER = Paper(ZONE, said)


def right_end(pdf: bytes) -> float:
    """How far to the right any letter of the first page stands, in points."""
    text = pypdfium2.PdfDocument(pdf)[0].get_textpage()
    return max(text.get_charbox(n)[2] for n in range(text.count_chars()))


@pytest.mark.parametrize("language", ["pt-BR", "en"])
def test_the_widest_of_everything_stays_on_the_paper(language: str) -> None:
    wide = "W" * 64
    usual = made(language)
    invoice = replace(
        usual,
        customer=replace(usual.customer, name=f"{wide} Ltda.", address=f"{wide}\n{wide}"),
        usage_point_id=wide,
        registers=tuple(replace(row, meter_id=wide) for row in usual.registers),
        to_pay=Decimal("1234567890.12"),
    )
    margin = 14 / 25.4 * 72
    assert right_end(PAPER.render(invoice, b"", language)) < 210 / 25.4 * 72 - margin


def line(kind: str, label: str, amount: str, **more: Any) -> BillLine:
    facts = {"starts_on": "2026-09-01", "ends_on": "2026-10-01"} | more.pop("facts", {})
    quantity = {name: Decimal(value) for name, value in more.items()}
    return BillLine(kind=kind, label=label, facts=facts, amount=Decimal(amount), **quantity)


LINES = (
    line(
        "energy", "energy.window", "31.63", quantity_kwh="21.340", unit_price="1.48213",
        facts={"window": "peak"},
    ),
    line(
        "energy", "energy.window", "122.09", quantity_kwh="182.117", unit_price="0.6704211111111",
        facts={"window": "off_peak"},
    ),
    line("flag", "flag", "5.32", quantity_kwh="203.457", unit_price="0.0246", facts={"flag": "yellow"}),
    line("lighting", "lighting", "14.20", facts={"municipality": "João Pessoa"}),
)  # fmt: skip


def made(language: str = "pt-BR", **more: Any) -> Invoice:
    """A bill with everything that is usual."""
    total = sum((one.amount for one in LINES), Decimal(0))
    bill = Bill(
        starts_on=date(2026, 9, 1),
        ends_on=date(2026, 10, 1),
        currency="BRL",
        energy_wh=203_457,
        estimated_wh=0,
        lines=LINES,
        taxes=(TaxShare(name="ICMS", rate=Decimal("0.20"), base=Decimal("159.04"), amount=Decimal("31.81")),),
        total=total,
        sources=("REN 1000/2021",),
    )
    kwh = [231, 198, 204, 240, 262, 255, 221, 190, 188, 201, 209, 228]
    history = [
        MonthUse(month=date(2025 + (8 + n) // 12, (8 + n) % 12 + 1, 1), energy_wh=used * 1000, days=30)
        for n, used in enumerate(kwh)
    ]
    invoice = Invoice(
        id="inv_1",
        number="2026-000123",
        issuer=Issuer(
            operator_id="BR*CAR",
            name="Carcará",
            contact="atendimento@carcara.example",
            regulator="ANEEL, 167",
        ),
        customer=Billed(
            customer_id="c1",
            name="Padaria Sol Nascente Ltda.",
            tax_id="12345678000195",
            address="Rua das Acácias, 120\nJoão Pessoa",
            language=language,
        ),
        usage_point_id="UC-004217",
        terms=Terms(tariff_id="branca", phases=3),
        tariff_name="Branca",
        starts_on=date(2026, 9, 1),
        ends_on=date(2026, 10, 1),
        month=date(2026, 9, 1),
        issued_at=datetime(2026, 10, 2, 1, tzinfo=UTC),
        due_on=date(2026, 10, 11),
        bill=bill,
        total=total,
        to_pay=total,
        registers=(
            RegisterRow(
                meter_id="MTR-17",
                from_at=datetime(2026, 9, 1, 3, tzinfo=UTC),
                until_at=datetime(2026, 10, 1, 3, tzinfo=UTC),
                opening_wh=18_233_120,
                closing_wh=18_436_577,
                opening_measured=True,
                closing_measured=False,
            ),
        ),
        history=(*history, MonthUse(month=date(2026, 9, 1), energy_wh=203_457, days=30)),
    )
    pix = PixCode(
        key="contas@carcara.example", name="Carcara", city="JOAO PESSOA", amount=total, txid="CAR2026000123"
    )
    return replace(invoice, **({"pix": pix.encode()} | more))


def on_paper(invoice: Invoice, language: str | None = None) -> tuple[pypdfium2.PdfDocument, str]:
    """The PDF, and the text of all its pages with blanks as they are meant."""
    document = pypdfium2.PdfDocument(PAPER.render(invoice, frozen(invoice)[1], language))
    text = "\n".join(page.get_textpage().get_text_range() for page in document)
    return document, re.sub(r"[\s\u00a0]+", " ", text)


@pytest.mark.parametrize(
    ("language", "there"),
    [
        (
            "pt-BR",
            [
                *("Conta de energia elétrica", "Nº 2026-000123 · emitida em 01/10/2026", "Carcará"),
                *("R$ 173,24", "vence em 11/10/2026", "setembro de 2026", "01/09 a 30/09, 30 dias"),
                *("Padaria Sol Nascente Ltda.", "Rua das Acácias, 120", "CNPJ 12.345.678/0001-95"),
                *("UC-004217", "MTR-17", "trifásica", "Branca", "203", "6,8 kWh por dia"),
                *("11% a menos que em agosto de 2026", "12% a menos que em setembro de 2025"),
                *("Ponta, 1 a 30 de setembro", "21,340 1,48213 31,63", "182,117 0,67042 122,09"),
                *("Bandeira amarela", "Iluminação pública, João Pessoa 14,20", "Total desta conta 173,24"),
                *("ICMS 159,04 20% 31,81", "18.233,120", "01/09, lida", "18.436,577", "01/10, estimada"),
                *("Pague com Pix", "atendimento@carcara.example", "ANEEL, 167", "REN 1000/2021"),
            ],
        ),
        (
            "en",
            [
                *("Electricity bill", "No. 2026-000123 · issued 1 Oct 2026", "R$ 173.24", "due 11 Oct 2026"),
                *("1 Sep to 30 Sep, 30 days", "three-phase", "6.8 kWh a day", "11% less than in August 2026"),
                *("Peak hours, 1–30 September", "21.340 1.48213 31.63", "Total of this bill 173.24"),
                *("ICMS 159.04 20% 31.81", "18,233.120", "1 Sep, read", "1 Oct, estimated", "Pay with Pix"),
            ],
        ),
    ],
)  # fmt: skip
def test_everything_is_on_one_page(language: str, there: list[str]) -> None:
    document, text = on_paper(made("en"), language)
    assert len(document) == 1
    for words in there:
        assert words in text, words
    assert frozen(made("en"))[1].hex() in text


def test_the_customers_language_is_the_bills() -> None:
    assert "Electricity bill" in on_paper(made("en"))[1]
    assert "Conta de energia" in on_paper(made("pt-BR"))[1]


@pytest.mark.parametrize("dots", [1.0, 2.0, 3.0])
def test_a_phone_reads_the_very_code(dots: float) -> None:
    invoice = made()
    document, text = on_paper(invoice)
    (read,) = zxingcpp.read_barcodes(document[0].render(scale=dots * 1.5).to_pil())
    assert read.text == invoice.pix
    assert invoice.pix.replace(" ", "") in text.replace(" ", "")


def test_the_same_document_is_the_same_pdf() -> None:
    invoice = made()
    once = PAPER.render(invoice, b"x")
    assert once == PAPER.render(invoice, b"x")
    assert once == Paper(ZONE, said).render(invoice, b"x")
    assert once != PAPER.render(invoice, b"y")


async def test_pages_are_made_beside_each_other_and_off_the_loop() -> None:
    invoices = [made(number=f"2026-{n:06}") for n in range(6)]
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    pdfs = await asyncio.gather(*(PAPER.invoice(invoice, b"x") for invoice in invoices))
    ticking.cancel()
    for invoice, pdf in zip(invoices, pdfs, strict=True):
        assert invoice.number in pypdfium2.PdfDocument(pdf)[0].get_textpage().get_text_range()
    assert ticks > 20


def test_what_is_unusual_is_told() -> None:
    base = made("en")
    bill = replace(base.bill, estimated_wh=101_000)
    invoice = replace(
        base,
        bill=bill,
        late=(
            LateUse(
                invoice_id="i", number="2026-000017", starts_on=date(2026, 8, 1), ends_on=date(2026, 9, 1),
                energy_wh=4210, amount=Decimal("2.83"),
                taxes=(TaxShare(name="ICMS", rate=Decimal("0.20"), base=Decimal(1), amount=Decimal("0.19")),),
            ),
        ),
        total=base.total + Decimal("2.83"),
        set_offs=(SetOff(invoice_id="x", number="2026-000003", amount=Decimal("20.00")),),
        to_pay=base.total + Decimal("2.83") - 20,
        unread_since=datetime(2026, 9, 30, 21, 30, tzinfo=UTC),
        note="seen by staff",
    )  # fmt: skip
    document, text = on_paper(invoice)
    assert len(document) == 1
    for words in [
        "2026-000017, 1–31 August 4.210 2.83", "ICMS 160.04 20% 32.00", "Total of this bill 176.07",
        "Paid with your credit from bill 2026-000003 −20.00", "To pay 156.07", "R$ 156.07",
        "49.6% of this period (101 kWh) is estimated", "have your meter looked at",
        "No reading came after 30 Sep 2026 18:30", "seen by staff",
    ]:  # fmt: skip
        assert words in text, words


def test_many_lines_go_on_tidily_on_a_second_page() -> None:
    base = made()
    invoice = replace(base, bill=replace(base.bill, lines=LINES * 6), registers=base.registers * 5)
    document, text = on_paper(invoice)
    assert len(document) == 2
    assert "página 1 de 2" in text
    assert "página 2 de 2" in text
    assert invoice.pix.replace(" ", "") in text.replace(" ", "")


def test_a_plain_bill_has_neither_taxes_nor_pix_nor_comparison() -> None:
    base = made("en")
    invoice = replace(
        base,
        issuer=Issuer(operator_id="X", name="Turma de Redes"),
        customer=replace(base.customer, tax_id=None, address=""),
        bill=replace(base.bill, taxes=(), sources=()),
        registers=(),
        history=base.history[-1:],
        pix="",
    )
    _, text = on_paper(invoice)
    for words in ("No taxes in this bill.", "nothing to compare with yet", "Ask us for the ways to pay"):
        assert words in text, words
    assert "Pix" not in text


def test_nothing_to_pay_asks_for_nothing() -> None:
    _, text = on_paper(made("en", to_pay=Decimal("0.00"), pix=""))
    assert "Nothing to pay" in text
    assert "due " not in text
    assert "How to pay" not in text


def test_what_people_write_is_not_markup() -> None:
    base = made("en")
    nasty = "*#$_@<x> [Bär] \\ // `a` = ”x” 你好 R$"
    invoice = replace(base, note=nasty, customer=replace(base.customer, name=nasty, address=nasty * 2))
    document, text = on_paper(invoice)
    assert len(document) == 1
    assert "*#$_@<x> [Bär] \\ // `a` =" in text


def test_months_are_held_against_each_other_by_day() -> None:
    assert [use.month for use in compared_with(made())] == [date(2026, 8, 1), date(2025, 9, 1)]
    january = replace(made(), month=date(2026, 1, 1))
    assert [use.month for use in compared_with(january)] == [date(2025, 12, 1)]


def test_tax_ids_are_masked_as_far_as_they_are_a_persons() -> None:
    assert masked_tax_id("12345678909") == "CPF ***.456.789-**"
    assert masked_tax_id("12ABC678000195") == "CNPJ 12.ABC.678/0001-95"
    assert masked_tax_id(None) == ""


def test_a_codes_rows_give_it_back() -> None:
    code = "x" * 87 + " " + "y" * 88 + " z"
    rows = code_rows(code, 88)
    assert "".join(rows) == code
    assert all(row == row.strip() for row in rows)


def test_numbers_are_written_as_people_write_them() -> None:
    english, portuguese = Speech("en"), Speech("pt-BR")
    assert (english.money(Decimal("-1234.5"), "BRL"), portuguese.money(Decimal("1234.5"), "EUR")) == (
        "−R$\u00a01,234.50", "€\u00a01.234,50",
    )  # fmt: skip
    assert (english.kwh(1_234_567), portuguese.kwh(1_234_000)) == ("1,234.567", "1.234")
    assert (english.share(Decimal("0.0516")), portuguese.share(Decimal("0.205"))) == ("5.16%", "20,5%")
    assert portuguese.price(Decimal("0.670425")) == "0,67043"
