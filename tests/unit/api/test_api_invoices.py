"""Invoices and contracts over HTTP: every route as nobody, stranger, former and present customer, staff."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pypdfium2
import pytest
from litestar import Router

from eletrovia.api.body import StrictBody
from eletrovia.api.routes.contracts import contracts
from eletrovia.api.routes.invoices import invoices
from eletrovia.base.ids import Ids
from eletrovia.metering.access import Access
from eletrovia.metering.bill import Terms
from eletrovia.metering.billwords import said
from eletrovia.metering.contract import Contract
from eletrovia.metering.hours import Hours
from eletrovia.metering.invoice import Issuer
from eletrovia.metering.invoices import Invoices
from eletrovia.metering.paper import Paper
from eletrovia.metering.prices import Prices
from eletrovia.metering.reading import Reading, Readings, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.tariffbook import carried_book
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.store.pool import Store

ZONE = ZoneInfo("America/Fortaleza")
START = datetime(2026, 3, 1, tzinfo=ZONE).astimezone(UTC)
MOVED = datetime(2026, 6, 1, tzinfo=ZONE).astimezone(UTC)
TARIFF = "classroom-3"  # 3 a kWh, no taxes


class HandClock:
    """It is noon of 2 August 2026, for bills; the server around them goes by its own clock."""

    def now(self) -> datetime:
        return datetime(2026, 8, 2, 15, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


class Office:
    """A home where the neighbour lived until June and the owner lives since; headers by who asks."""

    def __init__(self, operator: Any, store: Store) -> None:
        self.operator = operator
        self.store = store
        self.who: dict[str, dict[str, str]] = {"nobody": {}}
        clock = HandClock()
        self.readings = ReadingStore(store, clock)
        self.bills = Invoices(
            store,
            StoredUsage(store, Hours(ZONE)),
            Prices(carried_book, ZONE),
            Issuer(operator_id="BR*CAR", name="Carcará", pix_key="a@b.example", pix_city="Recife"),
            clock=clock,
            ids=Ids(clock),
        )
        access = Access(store)
        paper = Paper(ZONE, said)
        operator.app.register(
            Router(
                "/api/v1",
                dto=StrictBody,
                return_dto=None,
                route_handlers=[
                    invoices(self.bills, paper, access, operator.people),
                    contracts(self.bills, access, operator.people),
                ],
            )
        )

    async def ask(self, who: str, method: str, path: str, **options: Any) -> tuple[int, Any]:
        headers = self.who[who] | options.pop("headers", {})
        status, body, _ = await self.operator.ask(method, f"/api/v1{path}", headers=headers, **options)
        return status, body

    async def open(self) -> Office:
        for who in ("owner", "neighbour", "stranger"):
            self.who[who] = await self.operator.driver(f"{who}@example.org")
        self.who["staff"] = await self.operator.driver("staff@example.org", staff=True)
        async with self.store.connection() as connection:
            await connection.execute("insert into usage_point values ('UC-1', '', null, %s)", (START,))
            for who, since, until in (("neighbour", START, MOVED), ("owner", MOVED, None)):
                await connection.execute(
                    "insert into customer (id, account_id, name, language, created_at)"
                    " select %s, id, %s, 'pt-BR', %s from account where email = %s",
                    (f"c-{who}", f"Padaria {who}", START, f"{who}@example.org"),
                )
                await connection.execute(
                    "insert into occupancy values ('UC-1', default, %s, %s, %s)", (f"c-{who}", since, until)
                )
            rows = await connection.execute(
                "insert into meter (id, interval_s, registered_at) values ('m', 86400, %s) returning key",
                (START,),
            )
            row = await rows.fetchone()
            assert row is not None
            await connection.execute(
                "insert into fitting values ('UC-1', %s, %s, null, 0, null)", (row[0], START)
            )
        values = [
            Reading(meter=row[0], at=START + timedelta(days=day), energy_wh=day * 10_000)
            for day in range(154)
        ]
        await self.readings.merge(Readings.of(Source.HTTP, values))
        await self.bills.set_contract(
            Contract(usage_point_id="UC-1", valid_from=date(2026, 3, 1), terms=Terms(tariff_id=TARIFF)), by=""
        )
        for month in (3, 4, 5, 6):
            await self.bills.issue_month(date(2026, month, 1))
        return self


@pytest.fixture
async def office(operator: Any, store: Store) -> Office:
    return await Office(operator, store).open()


JULY = {"usage_point_id": "UC-1", "starts_on": "2026-07-01", "ends_on": "2026-08-01"}
PREVIEW = "/invoices/preview?usage_point_id=UC-1&starts_on=2026-0{}-01&ends_on=2026-0{}-01"
CREDIT = {"reason": "goodwill", "amount": "1.00"}
PAYMENT = {"amount": "1.00", "method": "pix", "reference": "E1"}
AGREE = {"valid_from": "2026-08-01", "tariff_id": TARIFF}
MAY, JUNE = "2026-000003", "2026-000004"

# Method, path, body, and the statuses for: nobody, a stranger, the neighbour, the owner, staff.
ROUTES: list[tuple[str, str, Any, tuple[int, int, int, int, int]]] = [
    ("GET", "/invoices", None, (401, 200, 200, 200, 200)),
    ("GET", f"/invoices/{JUNE}", None, (401, 404, 404, 200, 200)),
    ("GET", f"/invoices/{MAY}", None, (401, 404, 200, 404, 200)),
    ("GET", "/invoices/nope", None, (401, 404, 404, 404, 404)),
    ("GET", f"/invoices/{JUNE}/document", None, (401, 404, 404, 200, 200)),
    ("GET", f"/invoices/{JUNE}/pdf", None, (401, 404, 404, 200, 200)),
    ("GET", f"/invoices/{JUNE}/review", None, (401, 403, 403, 403, 200)),
    ("GET", PREVIEW.format(7, 8), None, (401, 404, 422, 200, 200)),
    ("GET", PREVIEW.format(5, 7), None, (401, 404, 422, 422, 200)),
    ("GET", PREVIEW.format(4, 6), None, (401, 404, 200, 422, 200)),
    ("GET", "/usage-points/UC-1/contracts", None, (401, 404, 200, 200, 200)),
    ("GET", "/usage-points/nope/contracts", None, (401, 404, 404, 404, 404)),
    ("POST", "/invoices", JULY, (401, 403, 403, 403, 201)),
    ("POST", f"/invoices/{JUNE}/credit-notes", CREDIT, (401, 403, 403, 403, 201)),
    ("POST", f"/invoices/{JUNE}/payments", PAYMENT, (401, 403, 403, 403, 201)),
    ("PUT", "/usage-points/UC-1/contract", AGREE, (401, 403, 403, 403, 200)),
]


@pytest.mark.parametrize(
    ("place", "who"), list(enumerate(["nobody", "stranger", "neighbour", "owner", "staff"]))
)
async def test_who_may_do_what(office: Office, place: int, who: str) -> None:
    for method, path, body, statuses in ROUTES:
        options: dict[str, Any] = {} if body is None else {"json": body}
        status, answer = await office.ask(who, method, path, headers={"Idempotency-Key": "k"}, **options)
        assert status == statuses[place], f"{method} {path} as {who}: {answer}"


async def test_every_route_is_in_the_table(office: Office) -> None:
    _, document, _ = await office.operator.ask("GET", "/api/openapi.json")
    known = {
        (method, path.partition("?")[0].replace(JUNE, "{id}").replace(MAY, "{id}").replace("UC-1", "{id}"))
        for method, path, *_ in ROUTES
    }
    shown = {
        (
            method.upper(),
            path.removeprefix("/api/v1").replace("{invoice_id}", "{id}").replace("{usage_point_id}", "{id}"),
        )
        for path, operations in document["paths"].items()
        if path.startswith(("/api/v1/invoices", "/api/v1/usage-points"))
        for method in operations
    }
    assert shown <= known
    assert len(shown) > 8


async def test_everybody_lists_their_own(office: Office) -> None:
    for who, months in (("owner", ["06"]), ("neighbour", ["05", "04", "03"]), ("stranger", [])):
        _, page = await office.ask(who, "GET", "/invoices")
        assert [one["month"][5:7] for one in page["invoices"]] == months
    _, all_ = await office.ask("staff", "GET", "/invoices?limit=3")
    assert [one["number"] for one in all_["invoices"]] == [JUNE, MAY, "2026-000002"]
    _, rest = await office.ask("staff", "GET", f"/invoices?limit=3&before={all_['next']}")
    assert [one["number"] for one in rest["invoices"]] == ["2026-000001"]
    assert rest["next"] is None
    _, mine = await office.ask("staff", "GET", "/invoices?mine=true")
    assert mine["invoices"] == []
    _, may = await office.ask("staff", "GET", "/invoices?month=2026-05&usage_point_id=UC-1")
    assert [one["number"] for one in may["invoices"]] == [MAY]
    # A filter opens no door.
    _, page = await office.ask("owner", "GET", "/invoices?customer_id=c-neighbour")
    assert page["invoices"] == []
    status, problem = await office.ask("staff", "GET", "/invoices?month=2026-13")
    assert (status, problem["code"]) == (422, "parameter.invalid")


async def test_an_invoice_is_told_explained_and_verifiable(office: Office) -> None:
    _, told = await office.ask("owner", "GET", f"/invoices/{JUNE}", headers={"accept-language": "pt-BR"})
    invoice = told["invoice"]
    assert (invoice["total"], told["open"], told["lines"]) == (
        "900.00", "900.00", ["Energia, 1 a 30 de junho"],
    )  # fmt: skip
    # Who moved in sees nothing of the time before.
    assert [use["month"] for use in invoice["history"]] == ["2026-06-01"]
    assert told["compared_with"] == []
    _, neighbours = await office.ask("neighbour", "GET", f"/invoices/{MAY}")
    assert [use["month"] for use in neighbours["compared_with"]] == ["2026-04-01"]
    assert neighbours["lines"] == ["Energy, 1–31 May"]
    url = f"{office.operator.url}/api/v1/invoices/{JUNE}/document"
    async with office.operator.client.get(url, headers=office.who["owner"]) as response:
        raw = await response.read()
    assert hashlib.sha256(raw).hexdigest() == told["sha256"] == response.headers["etag"].strip('"')
    assert json.loads(raw) == invoice


async def test_an_invoice_on_paper(office: Office) -> None:
    for query, title in (("", "Conta de energia"), ("?language=en", "Electricity bill")):
        status, pdf, response = await office.operator.ask(
            "GET", f"/api/v1/invoices/{JUNE}/pdf{query}", headers=office.who["owner"]
        )
        assert status == 200
        assert response.headers["content-type"] == "application/pdf"
        assert response.headers["content-disposition"] == f'inline; filename="{JUNE}.pdf"'
        assert title in pypdfium2.PdfDocument(pdf)[0].get_textpage().get_text_range()
    status, problem = await office.ask("owner", "GET", f"/invoices/{JUNE}/pdf?language=fr")
    assert (status, problem["code"]) == (422, "parameter.invalid")


async def test_issuing_one_and_a_month(office: Office) -> None:
    status, first = await office.ask("staff", "POST", "/invoices", json=JULY)
    assert (status, first["invoice"]["total"]) == (201, "930.00")
    status, again = await office.ask("staff", "POST", "/invoices", json=JULY)
    assert (status, again["invoice"]) == (200, first["invoice"])
    status, report = await office.ask("staff", "POST", "/invoices", json={"month": "2026-07"})
    assert (status, report["issued"], report["standing"], report["next"]) == (200, 0, 1, None)
    status, problem = await office.ask(
        "staff",
        "POST",
        "/invoices",
        json=JULY | {"starts_on": "2026-06-20"},
        headers={"accept-language": "pt"},
    )
    assert (status, problem["code"]) == (409, "invoice.period_billed")
    assert problem["detail"].startswith(f"A fatura {JUNE} já vale")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"month": "2026-7"},
        {"month": "2026-07", "usage_point_id": "UC-1"},
        {"usage_point_id": "UC-1", "starts_on": "2026-07-01"},
        JULY | {"starts_on": "2026-08-01"},
        JULY | {"ends_on": "2026-09-01"},
        JULY | {"despite": "x" * 501},
        JULY | {"more": 1},
        {"month": "2026-07", "limit": 0},
    ],
)
async def test_bad_bodies_change_nothing(office: Office, body: dict[str, Any]) -> None:
    status, problem = await office.ask("staff", "POST", "/invoices", json=body)
    assert status == 422
    assert problem["detail"]
    _, page = await office.ask("staff", "GET", "/invoices")
    assert len(page["invoices"]) == 4


async def test_crediting_and_paying(office: Office) -> None:
    path = f"/invoices/{JUNE}"
    status, problem = await office.ask("staff", "POST", f"{path}/credit-notes", json=CREDIT)
    assert (status, problem["code"]) == (422, "credit_note.key_missing")
    key = {"Idempotency-Key": "k"}
    notes = [
        await office.ask("staff", "POST", f"{path}/credit-notes", json=CREDIT, headers=key) for _ in range(2)
    ]
    assert notes[0] == notes[1]
    assert (notes[0][0], notes[0][1]["number"]) == (201, "C2026-000001")
    status, problem = await office.ask(
        "staff", "POST", f"{path}/credit-notes", json={"reason": "goodwill", "amount": "900.00"},
        headers={"Idempotency-Key": "k2"},
    )  # fmt: skip
    assert (status, problem["code"], problem["facts"]["room"]) == (
        409, "credit_note.exceeds_invoice", "899.00",
    )  # fmt: skip
    for amount in ("NaN", "Infinity", "1e999"):
        status, _ = await office.ask("staff", "POST", f"{path}/payments", json=PAYMENT | {"amount": amount})
        assert status in (400, 422), amount
    status, _ = await office.ask("staff", "POST", f"{path}/payments", json=PAYMENT | {"amount": "899.00"})
    assert status == 201
    _, told = await office.ask("owner", "GET", path)
    assert (told["open"], told["account"]["credited"], told["account"]["paid"]) == ("0.00", "1.00", "899.00")
    assert [len(told["credit_notes"]), len(told["payments"])] == [1, 1]


async def test_contracts_are_seen_by_whoever_lived_under_them(office: Office) -> None:
    status, _ = await office.ask("staff", "PUT", "/usage-points/UC-1/contract", json=AGREE)
    assert status == 200
    for who, count in (("neighbour", 1), ("owner", 2), ("staff", 2)):
        _, told = await office.ask(who, "GET", "/usage-points/UC-1/contracts")
        assert len(told["contracts"]) == count, who
    for body, code in (
        (AGREE | {"valid_from": "2026-06-30"}, "contract.days_billed"),
        (AGREE | {"tariff_id": "nope"}, "tariff.unknown"),
        (AGREE | {"phases": 4}, "body.wrong_type"),
        (AGREE | {"reading_day": 31}, "body.wrong_type"),
    ):
        _, problem = await office.ask("staff", "PUT", "/usage-points/UC-1/contract", json=body)
        assert problem["code"] == code
