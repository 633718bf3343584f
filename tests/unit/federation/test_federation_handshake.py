"""Becoming partners, staying so, and no longer being so: two servers, two databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import psycopg
import pytest

from eletrovia.base.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from eletrovia.federation import store
from eletrovia.federation.directory import Directory
from eletrovia.federation.handshake import Handshake, base_url, broker_at
from eletrovia.federation.live import partner_grant
from eletrovia.federation.wire import Card, Credentials, OperatorStatus

SECRET = "s" * 43


def token_for(presenter, other: str) -> str:
    token = presenter.directory.partner(other).outbound_token
    assert token is not None
    return token


async def test_an_invitation_makes_partners_in_both_directions(partners) -> None:
    car, man = partners
    assert [peer.operator_id for peer in car.directory.active()] == ["BR*MAN"]
    assert [peer.operator_id for peer in man.directory.active()] == ["BR*CAR"]
    assert car.directory.authenticate(token_for(man, "BR*CAR")) == "BR*MAN"
    assert man.directory.authenticate(token_for(car, "BR*MAN")) == "BR*CAR"
    assert car.directory.partner("BR*MAN").base_url == man.url


async def test_what_was_agreed_is_still_so_after_a_restart(partners) -> None:
    car, man = partners
    again = Directory(car.directory._store, car.directory.own, car.clock)
    with pytest.raises(Denied):
        again.authenticate(token_for(man, "BR*CAR"))
    await again.load()
    assert again.authenticate(token_for(man, "BR*CAR")) == "BR*MAN"
    assert again.partner("BR*MAN") == car.directory.partner("BR*MAN")


async def test_the_database_holds_no_token_that_opens_our_own_door(partners) -> None:
    car, man = partners
    async with car.directory._store.connection() as connection:
        rows = await (await connection.execute("SELECT * FROM federation_tokens")).fetchall()
        rows += await (await connection.execute("SELECT * FROM federation_operators")).fetchall()
        rows += await (await connection.execute("SELECT * FROM federation_invitations")).fetchall()
    peer = man.directory.partner("BR*CAR")
    assert rows
    assert peer.outbound_token not in str(rows)
    assert peer.outbound_mqtt_password not in str(rows)


async def test_secrets_are_not_in_what_is_printed(partners) -> None:
    car, man = partners
    peer = man.directory.partner("BR*CAR")
    offered = Credentials(operator=car.directory.own, token=SECRET, mqtt_password=SECRET)
    assert peer.outbound_token not in repr(peer)
    assert peer.outbound_mqtt_password not in repr(peer)
    assert SECRET not in repr(offered)


async def test_an_invitation_is_good_once(car, man, make_side) -> None:
    token = await car.directory.invite(60)
    await man.directory.join(car.url, token)
    sertao = await make_side("BR*SER")
    with pytest.raises(Denied):
        await sertao.directory.join(car.url, token)
    assert [peer.operator_id for peer in car.directory.cards()] == ["BR*MAN"]


async def test_of_two_who_use_one_invitation_at_once_one_gets_in(car, man, make_side) -> None:
    sertao = await make_side("BR*SER")
    token = await car.directory.invite(60)
    outcomes = await asyncio.gather(
        man.directory.join(car.url, token), sertao.directory.join(car.url, token), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Denied", "Peer"]
    assert len(car.directory.active()) == 1


async def test_an_invitation_ends(car, man) -> None:
    token = await car.directory.invite(60)
    car.clock.ahead += timedelta(seconds=61)
    with pytest.raises(Denied):
        await man.directory.join(car.url, token)
    assert man.directory.active() == []


async def test_a_named_invitation_is_for_that_operator_only(car, man, make_side) -> None:
    token = await car.directory.invite(60, "BR*SER")
    with pytest.raises(Denied):
        await man.directory.join(car.url, token)
    sertao = await make_side("BR*SER")
    assert (await sertao.directory.join(car.url, token)).operator_id == "BR*CAR"


async def test_who_cannot_be_called_back_does_not_get_in(car) -> None:
    """A card that says another address than the caller's own: nobody there knows the token."""
    token = await car.directory.invite(60)
    card = Card(operator_id="BR*SER", name="x", base_url="http://127.0.0.1:9", mqtt_url="mqtt://127.0.0.1:1")
    offered = Credentials(operator=card, token=SECRET, mqtt_password=SECRET)
    with pytest.raises(Unavailable):
        await Handshake().offer(car.url, token, offered)
    assert car.directory.cards() == []
    assert car.directory._invitations  # the attempt did not use the invitation up


async def test_nobody_joins_in_another_operators_name(car, man) -> None:
    """The one called back says who it is, whatever the caller claimed."""
    token = await car.directory.invite(60)
    lent, inbound = man.directory._offer("BR*CAR", expires_in_s=None)
    async with man.directory._store.transaction() as connection:
        await store.add_invited(connection, car.directory.own, man.clock.now())
        await store.add_tokens(connection, inbound)
    await man.directory.load()
    card = Card(operator_id="BR*SER", name="x", base_url=man.url, mqtt_url="mqtt://127.0.0.1:1")
    with pytest.raises(Denied) as denied:
        await Handshake().offer(
            car.url, token, Credentials(operator=card, token=lent.token, mqtt_password=SECRET)
        )
    assert denied.value.code == "operator.not_who_it_says"
    assert car.directory.cards() == []


async def test_an_open_invitation_does_not_take_a_partners_place(partners, make_side) -> None:
    """A stranger that calls itself BR*MAN and can be called back, at an address of its own."""
    car, man = partners
    stranger = await make_side("BR*MAN")
    before = car.directory.partner("BR*MAN")
    with pytest.raises(Denied) as denied:
        await stranger.directory.join(car.url, await car.directory.invite(60))
    assert denied.value.code == "federation.denied"
    assert car.directory.partner("BR*MAN") == before
    assert car.directory.authenticate(token_for(man, "BR*CAR")) == "BR*MAN"


async def test_partners_do_not_join_twice(partners) -> None:
    car, man = partners
    with pytest.raises(Conflict):
        await man.directory.join(car.url, await car.directory.invite(60))


async def test_an_operator_does_not_join_itself(car) -> None:
    with pytest.raises(Invalid) as invalid:
        await car.directory.join(car.url, await car.directory.invite(60))
    assert invalid.value.code == "operator.is_ourselves"


async def test_a_join_that_failed_leaves_no_open_door_and_can_be_repeated(car, man) -> None:
    with pytest.raises(Denied):
        await man.directory.join(car.url, "no such token")
    assert man.directory.cards() == []
    assert (await man.directory.join(car.url, await car.directory.invite(60))).status == "active"


async def test_a_revoked_operator_gets_nothing_from_that_moment(partners, http) -> None:
    car, man = partners
    token = token_for(man, "BR*CAR")
    headers = {"Authorization": f"Bearer {token}"}
    async with http.get(f"{car.url}/federation/v1/tariffs", headers=headers) as answer:
        assert answer.status == 200
    await car.directory.revoke("BR*MAN")
    for method, path in [
        ("GET", "/tariffs"),
        ("GET", "/locations"),
        ("GET", "/availability"),
        ("GET", "/operators"),
        ("GET", "/decisions/trip_1/1"),
        ("POST", "/holds"),
        ("POST", "/decisions"),
        ("POST", "/decisions/proposals"),
        ("POST", "/cancellations"),
        ("POST", "/arrivals"),
        ("POST", "/credentials"),
        ("PUT", "/credentials"),
        ("DELETE", "/credentials"),
    ]:
        said = []
        for shown in (headers, {"Authorization": f"Bearer {SECRET}"}, {}):
            url = f"{car.url}/federation/v1{path}"
            async with http.request(method, url, headers=shown, data=b"{}") as answer:
                said.append((answer.status, answer.headers["WWW-Authenticate"], await answer.read()))
        assert said[0][0] == 401, path
        assert said[0] == said[1] == said[2], f"{path} tells a revoked operator from an unknown one"


async def test_the_revoked_is_told_and_knows_it_too(partners) -> None:
    car, man = partners
    seen: list[str] = []
    man.directory.watch(seen.append)
    await car.directory.revoke("BR*MAN")
    assert man.directory.active() == []
    assert seen == ["BR*CAR"]
    assert car.directory.cards()[0].status is OperatorStatus.REVOKED
    with pytest.raises(Denied):
        await man.client.tariffs("BR*CAR")


async def test_a_revocation_stands_though_the_other_side_does_not_answer(partners) -> None:
    car, man = partners
    token = token_for(man, "BR*CAR")
    await man.fall_silent()
    await car.directory.revoke("BR*MAN")
    with pytest.raises(Denied):
        car.directory.authenticate(token)
    again = Directory(car.directory._store, car.directory.own, car.clock)
    await again.load()
    with pytest.raises(Denied):
        again.authenticate(token)
    assert again.cards()[0].outbound_token is None


async def test_the_revoked_come_back_by_a_named_invitation_only(partners) -> None:
    car, man = partners
    await car.directory.revoke("BR*MAN")
    with pytest.raises(Denied):
        await man.directory.join(car.url, await car.directory.invite(60))
    await man.directory.join(car.url, await car.directory.invite(60, "BR*MAN"))
    assert await man.client.tariffs("BR*CAR") == car.stations.tariffs


async def test_revoking_a_stranger_is_told(car) -> None:
    with pytest.raises(NotFound):
        await car.directory.revoke("BR*SER")


async def test_rotated_credentials_work_and_the_old_ones_end(partners) -> None:
    car, man = partners
    old_there, old_here = token_for(man, "BR*CAR"), token_for(car, "BR*MAN")
    await man.directory.rotate("BR*CAR")
    assert token_for(man, "BR*CAR") != old_there
    assert token_for(car, "BR*MAN") != old_here
    assert await man.client.tariffs("BR*CAR") == car.stations.tariffs
    assert await car.client.tariffs("BR*MAN") == man.stations.tariffs
    # What was under way with the old ones may still arrive, for a minute.
    assert car.directory.authenticate(old_there) == "BR*MAN"
    for side in partners:
        side.clock.ahead += timedelta(seconds=61)
    for side, old in ((car, old_there), (man, old_here)):
        with pytest.raises(Denied):
            side.directory.authenticate(old)
    assert await man.client.tariffs("BR*CAR") == car.stations.tariffs


async def test_a_change_whose_answer_was_lost_locks_nobody_out(partners) -> None:
    car, man = partners
    old = token_for(man, "BR*CAR")
    offered, inbound = man.directory._offer("BR*CAR", expires_in_s=60)
    async with man.directory._store.transaction() as connection:
        await store.add_tokens(connection, inbound)
    await man.directory.load()
    await Handshake().offer(man.directory.partner("BR*CAR").base_url, old, offered, change=True)
    car.clock.ahead += timedelta(hours=1)  # the answer never came: we go on with what we have
    assert await man.client.tariffs("BR*CAR") == car.stations.tariffs


async def test_partners_get_our_broker_and_only_our_stations_there(partners) -> None:
    car, man = partners
    password = man.directory.partner("BR*CAR").outbound_mqtt_password or ""
    token = token_for(man, "BR*CAR")
    assert car.directory.mqtt_password_ok("BR-MAN", password)
    assert not car.directory.mqtt_password_ok("BR-CAR", password)
    assert not car.directory.mqtt_password_ok("BR-MAN", token)
    with pytest.raises(Denied):
        car.directory.authenticate(password)
    grant = partner_grant(car.directory, "BR*CAR", "BR-MAN", password)
    assert grant is not None
    assert grant.subscribe == ("operators.BR-CAR.stations.*",)
    assert grant.publish == ()
    await car.directory.revoke("BR*MAN")
    assert partner_grant(car.directory, "BR*CAR", "BR-MAN", password) is None


@pytest.mark.parametrize(
    "url", ["ftp://a", "http://", "http://u:p@host", "http://host/?a=b", "http://host#x", "http://a b", "a"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        base_url(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8001/", "https://carcara.example.org", "http://[::1]:8001"]
)
def test_an_address_is_kept_without_its_last_slash(url: str) -> None:
    assert base_url(url) == url.rstrip("/")


async def test_a_join_whose_answer_was_lost_is_repeated_with_a_new_invitation(car, man) -> None:
    """Carcará has us as a partner, we do not have it: a new invitation puts that right."""
    offered, inbound = man.directory._offer("BR*CAR", expires_in_s=60)
    async with man.directory._store.transaction() as connection:
        await store.add_invited(connection, car.directory.own, man.clock.now())
        await store.add_tokens(connection, inbound)
    await man.directory.load()
    await Handshake().offer(car.url, await car.directory.invite(60), offered)
    assert [peer.status for peer in car.directory.cards()] == ["active"]
    assert [peer.status for peer in man.directory.cards()] == ["invited"]
    with pytest.raises(Denied):  # invited is not yet in
        man.directory.authenticate(offered.token)
    await man.directory.join(car.url, await car.directory.invite(60))
    assert await man.client.tariffs("BR*CAR") == car.stations.tariffs
    assert await car.client.tariffs("BR*MAN") == man.stations.tariffs


@pytest.mark.parametrize("change", [{"mqtt_url": "http://a"}, {"name": "x" * 201}, {"base_url": "x"}])
async def test_a_card_that_cannot_be_right_is_refused(car, change) -> None:
    card = Card(operator_id="BR*SER", name="x", base_url="http://127.0.0.1:9", mqtt_url="mqtt://127.0.0.1:1")
    offered = Credentials(
        operator=msgspec.structs.replace(card, **change), token=SECRET, mqtt_password=SECRET
    )
    with pytest.raises(Invalid):
        await Handshake().offer(car.url, await car.directory.invite(60), offered)


def test_a_brokers_address_is_read_with_its_usual_port() -> None:
    assert broker_at("mqtt://carcara:1884") == ("carcara", 1884, False)
    assert broker_at("mqtts://carcara") == ("carcara", 8883, True)
    for url in ("carcara:1883", "mqtt://", "mqtt://u:p@carcara", "mqtt://carcara:99999", "ws://carcara"):
        with pytest.raises(Invalid):
            broker_at(url)


async def test_what_stands_is_named_in_the_database(car) -> None:
    """Each constraint refuses what it says, by its name."""
    operator, token, invitation = (
        f"INSERT INTO federation_{table} VALUES" for table in ("operators", "tokens", "invitations")
    )
    broken = {
        "federation_operators_id_shape": f"{operator} ('car', '', '', '', 'invited', %(now)s)",
        "federation_operators_status_known": f"{operator} ('BR*XYZ', '', '', '', 'x', %(now)s)",
        "federation_operators_credentials_while_active": (
            f"{operator} ('BR*XYZ', '', '', '', 'active', %(now)s)"
        ),
        "federation_tokens_operator_known": f"{token} (sha256('x'), 'BR*XYZ', 'rest', %(now)s)",
        "federation_tokens_is_sha256": f"{token} ('x', 'BR*XYZ', 'rest', %(now)s)",
        "federation_tokens_kind_known": f"{token} (sha256('x'), 'BR*XYZ', 'x', %(now)s)",
        "federation_invitations_expires_later": f"{invitation} (sha256('x'), NULL, %(now)s, %(now)s)",
        "federation_invitations_used_by_the_named": (
            f"{invitation} (sha256('x'), 'BR*XYZ', %(now)s, %(now)s + interval '1 h', %(now)s, 'BR*ABC')"
        ),
    }
    now = car.clock.now()
    for name, statement in broken.items():
        with pytest.raises(psycopg.IntegrityError) as refused:
            async with car.directory._store.connection() as connection:
                await connection.execute(statement, {"now": now})
        assert refused.value.diag.constraint_name == name
