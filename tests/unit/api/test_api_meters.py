"""Meters and customers over HTTP: every route as nobody, as somebody else, as the customer, as staff."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from litestar import Router

from eletrovia.api.body import StrictBody
from eletrovia.api.routes.customers import customers
from eletrovia.api.routes.meters import METERS, meters
from eletrovia.base.ids import new_secret
from eletrovia.metering.access import Access
from eletrovia.metering.customers import Customers
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.intake import Intake
from eletrovia.metering.meters import Meters
from eletrovia.metering.privacy import Privacy
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.store.pool import Store

PASSWORD = {"password": "a long sentence"}


class House:
    """Two meters, "mine" claimed by its owner and "other" by a neighbour; headers by who asks."""

    def __init__(self, operator: Any, store: Store) -> None:
        self.operator = operator
        self.told: list[tuple[str, bytes]] = []
        self.who: dict[str, dict[str, str]] = {"nobody": {}}
        self.customer_id = ""
        clock = operator.clock
        intake = Intake(ReadingStore(store, clock), Roster(store, clock), clock)
        keys = DeviceKeys(new_secret().encode())
        self.meters = Meters(store, keys, intake, clock=clock, tell=self._tell)
        everybody = Customers(store, clock=clock, ids=operator.ids)
        access = Access(store)
        privacy = Privacy(store, self.meters, clock=clock, zone=ZoneInfo("America/Recife"))
        operator.app.register(
            Router(
                "/api/v1",
                dto=StrictBody,
                return_dto=None,
                route_handlers=[
                    meters(self.meters, everybody, access, operator.people),
                    customers(everybody, self.meters, privacy, access, operator.people),
                ],
            )
        )

    async def _tell(self, topic: str, payload: bytes) -> None:
        self.told.append((topic, payload))

    async def ask(self, who: str, method: str, path: str, **options: Any) -> tuple[int, Any]:
        headers = self.who[who] | options.pop("headers", {})
        status, body, _ = await self.operator.ask(method, f"/api/v1{path}", headers=headers, **options)
        return status, body

    async def open(self) -> House:
        for who in ("owner", "neighbour", "stranger"):
            self.who[who] = await self.operator.driver(f"{who}@example.org")
        self.who["staff"] = await self.operator.driver("staff@example.org", staff=True)
        _, made = await self.ask(
            "staff", "POST", "/meters", json={"meters": [{"id": "mine"}, {"id": "other"}]}
        )
        codes = {item["registered"]["id"]: item["registered"]["claim_code"] for item in made["items"]}
        for who, meter_id in (("owner", "mine"), ("neighbour", "other")):
            claim = {"meter_id": meter_id, "code": codes[meter_id]}
            status, stay = await self.ask(who, "POST", "/meters/claim", json=claim)
            assert status == 200
            if who == "owner":
                self.customer_id = stay["customer_id"]
        return self


@pytest.fixture
async def house(operator: Any, store: Store) -> House:
    return await House(operator, store).open()


# Method, path, body, and the statuses for: nobody, a stranger without meters, a neighbour, the owner, staff.
ROUTES: list[tuple[str, str, Any, tuple[int, int, int, int, int]]] = [
    ("POST", "/meters", {"meters": [{"id": "new"}]}, (401, 403, 403, 403, 200)),
    ("GET", "/meters", None, (401, 403, 403, 403, 200)),
    ("GET", "/meters/mine", None, (401, 404, 404, 200, 200)),
    ("GET", "/meters/nowhere", None, (401, 404, 404, 404, 404)),
    ("PATCH", "/meters/mine", {"area": "Bessa"}, (401, 403, 403, 403, 200)),
    ("POST", "/meters/mine/block", None, (401, 403, 403, 403, 200)),
    ("POST", "/meters/mine/unblock", None, (401, 403, 403, 403, 200)),
    ("POST", "/meters/mine/swap", {"new_id": "newer", "end_wh": 9}, (401, 403, 403, 403, 200)),
    ("POST", "/meters/mine/key", None, (401, 403, 403, 403, 200)),
    ("POST", "/meters/mine/code", None, (401, 403, 403, 403, 200)),
    ("DELETE", "/meters/mine", None, (401, 403, 403, 403, 200)),
    ("GET", "/meters/mine/customers", None, (401, 403, 403, 403, 200)),
    ("PUT", "/meters/mine/customer", {"customer_id": "cust_0"}, (401, 403, 403, 403, 404)),
    ("DELETE", "/meters/mine/customer", None, (401, 403, 403, 403, 204)),
    ("POST", "/meters/claim", {"meter_id": "mine", "code": "0"}, (401, 404, 404, 404, 404)),
    ("POST", "/meters/mine/leave", None, (401, 404, 404, 204, 404)),
    ("GET", "/customers", None, (401, 403, 403, 403, 200)),
    ("POST", "/customers", {"name": "New"}, (401, 403, 403, 403, 201)),
    ("GET", "/customers/OWNER", None, (401, 403, 403, 403, 200)),
    ("PATCH", "/customers/OWNER", {"name": "Other"}, (401, 403, 403, 403, 200)),
    ("GET", "/customers/OWNER/export", None, (401, 403, 403, 403, 200)),
    ("DELETE", "/customers/OWNER", None, (401, 403, 403, 403, 200)),
    ("GET", "/customers/me", None, (401, 404, 200, 200, 404)),
    ("GET", "/customers/me/meters", None, (401, 200, 200, 200, 200)),
    ("PATCH", "/customers/me", {"name": "Other"}, (401, 404, 200, 200, 404)),
    ("GET", "/customers/me/export", None, (401, 404, 200, 200, 404)),
    ("DELETE", "/customers/me", PASSWORD, (401, 404, 200, 200, 404)),
]


@pytest.mark.parametrize(
    ("place", "who"), list(enumerate(["nobody", "stranger", "neighbour", "owner", "staff"]))
)
async def test_who_may_do_what(house: House, place: int, who: str) -> None:
    # What takes something away comes last, so that each is asked of a whole house.
    for method, path, body, statuses in sorted(ROUTES, key=_rank):
        told = path.replace("OWNER", house.customer_id)
        status, answer = await house.ask(who, method, told, **({} if body is None else {"json": body}))
        assert status == statuses[place], f"{method} {path} as {who}: {answer}"
        if status == 404:
            assert answer["code"] in (
                "meter.unknown", "meter.claim_refused", "customer.none_yet", "customer.unknown"
            )  # fmt: skip
            assert answer["detail"]


def _rank(route: tuple[str, str, Any, Any]) -> int:
    method, path, *_ = route
    if method == "DELETE":
        return 3 if path.startswith("/customers") else 2
    return path.endswith(("/swap", "/leave", "/customer"))


async def test_every_route_is_in_the_table(house: House) -> None:
    _, document, _ = await house.operator.ask("GET", "/api/openapi.json")
    known = {(method, path.replace("mine", "{id}").replace("OWNER", "{id}")) for method, path, *_ in ROUTES}
    shown = set()
    for path, operations in document["paths"].items():
        if not path.startswith(("/api/v1/meters", "/api/v1/customers")):
            continue
        for method, operation in operations.items():
            plain = (
                path.removeprefix("/api/v1").replace("{meter_id}", "{id}").replace("{customer_id}", "{id}")
            )
            shown.add((method.upper(), plain))
            assert operation["summary"]
            assert operation["security"] == [{"driver": []}]
            assert "401" in operation["responses"]
            assert "500" in operation["responses"]
            if "requestBody" in operation:
                assert {"400", "413", "422"} <= operation["responses"].keys()
    assert shown == known - {("GET", "/meters/nowhere")}


async def test_a_meter_from_register_to_leave(house: House) -> None:
    status, made = await house.ask("staff", "POST", "/meters", json=METERS)
    assert (status, made["kept"], made["refused"]) == (200, 3, 0)
    sent = {
        "meters": [{"id": "JPA-000123"}, {"id": "a b"}, {"id": 7}, {"id": "x", "colour": "red"}, {"id": "ok"}]
    }
    _, answer = await house.ask("staff", "POST", "/meters", json=sent)
    codes = [item.get("problem", {}).get("code") for item in answer["items"]]
    assert codes == ["meter.taken", "meter.id_malformed", "body.wrong_type", "body.unknown_field", None]
    first = made["items"][0]["registered"]
    claim = {"meter_id": "JPA-000123", "code": first["claim_code"]}
    assert (await house.ask("stranger", "GET", "/customers/me"))[1]["code"] == "customer.none_yet"
    assert (await house.ask("stranger", "POST", "/meters/claim", json=claim))[0] == 200
    _, late = await house.ask("owner", "POST", "/meters/claim", json=claim)
    assert (late["status"], late["code"]) == (409, "meter.claimed")
    _, mine = await house.ask("stranger", "GET", "/customers/me/meters")
    assert [one["id"] for one in mine] == ["JPA-000123"]
    assert (mine[0]["area"], mine[0]["rolls_over_at_wh"], mine[0]["via"]) == ("Manaíra", 10**9, None)
    swap = {"new_id": "JPA-000987", "end_wh": 8421337, "start_wh": 4}
    _, swapped = await house.ask("staff", "POST", "/meters/JPA-000123/swap", json=swap)
    assert (swapped["usage_point_id"], swapped["new"]["claim_code"]) == ("JPA-000123", None)
    _, mine = await house.ask("stranger", "GET", "/customers/me/meters")
    assert [one["id"] for one in mine] == ["JPA-000987"]
    assert (await house.ask("stranger", "GET", "/meters/JPA-000123"))[0] == 404, "it hangs there no more"
    _, blocked = await house.ask("staff", "POST", "/meters/JPA-000987/block")
    assert blocked["state"] == "blocked"
    assert house.told == [("meters/JPA-000987/command", b'{"cut_off":true}')]
    assert (await house.ask("stranger", "GET", "/meters/JPA-000987"))[1]["state"] == "blocked"
    assert (await house.ask("stranger", "POST", "/meters/JPA-000987/leave"))[0] == 204
    assert (await house.ask("stranger", "GET", "/meters/JPA-000987"))[0] == 404
    _, sheet = await house.ask("stranger", "GET", "/customers/me")
    assert sheet["stays"][0]["meter_ids"] == ["JPA-000123", "JPA-000987"]
    assert sheet["stays"][0]["until_at"]


async def test_secrets_are_not_to_be_kept_on_the_way(house: House) -> None:
    for path, body in (
        ("/meters", {"meters": [{"id": "s"}]}),
        ("/meters/mine/key", None),
        ("/meters/mine/code", None),
        ("/meters/mine/swap", {"new_id": "s2", "end_wh": 1}),
    ):
        headers = house.who["staff"]
        _, _, response = await house.operator.ask("POST", f"/api/v1{path}", headers=headers, json=body or {})
        assert response.headers["cache-control"] == "no-store", path


async def test_staff_moves_people_by_date(house: House) -> None:
    _, firm = await house.ask(
        "staff", "POST", "/customers", json={"name": "Firma", "tax_id": "12ABC34501DE35"}
    )
    _, stays = await house.ask("staff", "GET", "/meters/mine/customers")
    since = datetime.fromisoformat(stays[0]["from_at"])
    body = {"customer_id": firm["id"]}
    assert (await house.ask("staff", "PUT", "/meters/mine/customer", json=body))[1][
        "code"
    ] == "usage_point.occupied"
    early = {**body, "from_at": (since - timedelta(days=1)).isoformat(), "taking_over": True}
    _, problem = await house.ask("staff", "PUT", "/meters/mine/customer", json=early)
    assert (problem["status"], problem["code"]) == (422, "stay.ends_before_it_begins")
    assert (await house.ask("staff", "PUT", "/meters/mine/customer", json={**body, "taking_over": True}))[
        0
    ] == 200
    assert (await house.ask("owner", "GET", "/meters/mine"))[0] == 404
    _, found = await house.ask("staff", "GET", "/customers", params={"q": "12.abc.345/01de-35"})
    assert [one["id"] for one in found["customers"]] == [firm["id"]]
    query = {"at": "2027-13-01"}
    assert (await house.ask("staff", "DELETE", "/meters/mine/customer", params=query))[0] == 422
    assert (await house.ask("staff", "DELETE", "/meters/mine/customer"))[0] == 204
    _, unknown = await house.ask("staff", "POST", "/customers", json={"name": "x", "account_id": "acct_0"})
    assert unknown["code"] == "account.unknown"


async def test_customers_keep_their_data_right(house: House) -> None:
    change = {"tax_id": "529.982.247-25", "address": "Rua A 1", "email": "", "language": "pt-BR"}
    _, customer = await house.ask("owner", "PATCH", "/customers/me", json=change)
    assert (customer["tax_id"], customer["email"], customer["language"]) == ("52998224725", None, "pt-BR")
    for wrong, code in (
        ({"tax_id": "529.982.247-24"}, "customer.tax_id_wrong"),
        ({"email": "nobody"}, "customer.email_malformed"),
        ({"name": ""}, "customer.name_malformed"),
        ({"account_id": "acct_1"}, "body.unknown_field"),
        ({"language": "fr"}, "body.wrong_type"),
    ):
        status, problem = await house.ask("owner", "PATCH", "/customers/me", json={"address": "x", **wrong})
        assert (status, problem["code"]) == (422, code)
    assert (await house.ask("owner", "GET", "/customers/me"))[1]["customer"] == customer
    portuguese = {"Accept-Language": "pt-BR"}
    wrong = {"tax_id": "52998224724"}
    _, problem = await house.ask("owner", "PATCH", "/customers/me", json=wrong, headers=portuguese)
    assert "dígitos verificadores" in problem["detail"]


async def test_erasing_asks_for_the_password_and_leaves_the_account(house: House) -> None:
    status, problem = await house.ask("owner", "DELETE", "/customers/me", json={"password": "a wrong one"})
    assert (status, problem["code"]) == (401, "login.wrong")
    assert (await house.ask("owner", "DELETE", "/customers/me"))[0] in (400, 422)
    assert (await house.ask("owner", "GET", "/meters/mine"))[0] == 200
    _, told = await house.ask("owner", "GET", "/customers/me/export")
    assert told["customer"]["email"] == "owner@example.org"
    assert [one["usage_point_id"] for one in told["usage_points"]] == ["mine"]
    status, erased = await house.ask("owner", "DELETE", "/customers/me", json=PASSWORD)
    assert (status, erased["customer_id"]) == (200, house.customer_id)
    assert [one["what"] for one in erased["kept"]] == ["stays"]
    assert "LGPD" in erased["kept"][0]["law"]
    assert (await house.ask("owner", "GET", "/meters/mine"))[0] == 404
    assert (await house.ask("owner", "GET", "/customers/me"))[0] == 404
    assert (await house.ask("owner", "GET", "/drivers/me"))[0] == 200
    _, sheet = await house.ask("staff", "GET", f"/customers/{house.customer_id}")
    assert (sheet["customer"]["name"], sheet["customer"]["account_id"]) == ("—", None)
    assert (await house.ask("staff", "GET", "/customers", params={"q": "owner"}))[1]["customers"] == []
