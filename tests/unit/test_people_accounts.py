"""Accounts, passwords and tokens, on a real database."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from eletrovia.base.errors import Conflict, Denied, EletroviaError, Invalid, NotFound, Overloaded
from eletrovia.base.ids import Ids, new_secret
from eletrovia.people.account import Account, Language, Role, Who, tidy_email, tidy_name
from eletrovia.people.password import Passwords
from eletrovia.people.people import People
from eletrovia.people.throttle import Throttle
from eletrovia.people.token import AccessTokens, fingerprint
from eletrovia.store.pool import Store

EMAIL = "driver@example.org"
PASSWORD = "a long sentence"


class StillClock:
    """Stands still until it is told to move."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.gone_s = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.gone_s

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.gone_s += seconds


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def secret() -> bytes:
    return new_secret().encode()


@pytest.fixture
def access(clock: StillClock, secret: bytes) -> AccessTokens:
    return AccessTokens(secret, "BR*CAR", clock)


@pytest.fixture
def people(store: Store, clock: StillClock, access: AccessTokens) -> People:
    return People(store, access, clock=clock, ids=Ids(clock))


async def _registered(people: People) -> Account:
    return await people.register(email=EMAIL, password=PASSWORD, name="Driver", language=Language.PORTUGUESE)


async def test_an_account_comes_back_as_it_was_opened(people: People) -> None:
    account = await _registered(people)
    assert account.role is Role.DRIVER
    assert await people.account(account.id) == account
    with pytest.raises(NotFound) as gone:
        await people.account("acct_nobody")
    assert gone.value.code == "account.unknown"


async def test_an_address_opens_one_account_however_it_is_written(people: People) -> None:
    await _registered(people)
    with pytest.raises(Conflict) as taken:
        await people.register(email="  Driver@Example.ORG ", password=PASSWORD, name="Other")
    assert taken.value.code == "account.email_taken"


async def test_of_many_registrations_at_once_one_gets_the_address(people: People) -> None:
    answers = await asyncio.gather(*(_registered(people) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(answer, Account) for answer in answers) == 1
    assert {answer.code for answer in answers if isinstance(answer, EletroviaError)} == {
        "account.email_taken"
    }


@pytest.mark.parametrize(
    "email",
    ["", "driver", "@example.org", "a@b", "a b@example.org", "a@exa mple.org", "a@example..org",
     ".a@example.org", "a..b@example.org", "a@-example.org", "a@example.o", "a\x00@example.org",
     "dríver@example.org", "a" * 65 + "@example.org", "a@" + "b" * 63 + "." + "c" * 250 + ".org",
     "a@example.org\nbcc: b@example.org"],
)  # fmt: skip
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(Invalid) as refused:
        tidy_email(email)
    assert refused.value.code == "account.email_malformed"


@pytest.mark.parametrize(
    "email", ["a@example.org", "first.last+tag@sub.example.com.br", "o'neil@example-1.org"]
)
def test_real_addresses_pass(email: str) -> None:
    assert tidy_email(email.upper()) == email


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "a\x00b", "a\x1bb"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        tidy_name(name)


def test_a_name_is_kept_in_one_line() -> None:
    assert tidy_name("  João \n  da Silva ") == "João da Silva"


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "account.password_too_short"),
        ("x" * 513, "account.password_too_long"),
        (EMAIL, "account.password_is_email"),
    ],
)
async def test_a_weak_password_is_refused_with_facts(people: People, password: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        await people.register(email=EMAIL, password=password, name="Driver")
    assert refused.value.code == code


async def test_the_database_holds_neither_password_nor_refresh_token(people: People, store: Store) -> None:
    await _registered(people)
    pair = await people.log_in(email=EMAIL, password=PASSWORD)
    async with store.connection() as conn:
        kept = await (await conn.execute("SELECT account::text FROM account")).fetchall()
        kept += await (await conn.execute("SELECT refresh_token::text FROM refresh_token")).fetchall()
    text = repr(kept)
    assert "$argon2id$" in text
    assert PASSWORD not in text
    assert pair.refresh_token not in text
    assert fingerprint(pair.refresh_token).hex() in text


async def test_log_in_tells_who_it_is(people: People) -> None:
    account = await _registered(people)
    pair = await people.log_in(email=" DRIVER@example.org", password=PASSWORD)
    assert people.authenticate(pair.access_token) == Who(account.id, Role.DRIVER)
    assert pair.expires_in == 900


@pytest.mark.parametrize(("email", "password"), [(EMAIL, "wrong password"), ("nobody@example.org", PASSWORD)])
async def test_a_wrong_address_and_a_wrong_password_read_the_same(
    people: People, email: str, password: str
) -> None:
    await _registered(people)
    with pytest.raises(Denied) as refused:
        await people.log_in(email=email, password=password)
    assert str(refused.value) == "login.wrong"


async def test_nobody_is_checked_as_slowly_as_somebody() -> None:
    passwords = Passwords(at_once=1)
    stored = await passwords.hash(PASSWORD)

    async def seconds(known: str | None) -> float:
        began = time.process_time()
        for _ in range(5):
            await passwords.matches(known, "wrong password")
        return time.process_time() - began

    somebody, nobody = await seconds(stored), await seconds(None)
    assert nobody > somebody / 3  # without the dummy hash it would be a hundredth


async def test_the_dummy_password_opens_nothing() -> None:
    assert not await Passwords().matches(None, "nobody's password")


async def test_a_full_line_before_the_hasher_is_said_at_once() -> None:
    passwords = Passwords(at_once=1, waiting_max=2)
    answers = await asyncio.gather(*(passwords.hash(PASSWORD) for _ in range(5)), return_exceptions=True)
    assert [isinstance(answer, Overloaded) for answer in answers] == [False, False, True, True, True]
    assert await passwords.hash(PASSWORD)


async def test_tries_are_bounded_per_account_and_come_back(people: People, clock: StillClock) -> None:
    await _registered(people)
    for _ in range(10):
        with pytest.raises(Denied):
            await people.log_in(email=EMAIL, password="wrong password")
    with pytest.raises(Overloaded) as throttled:
        await people.log_in(email=EMAIL, password=PASSWORD)
    assert throttled.value.code == "login.too_many_tries"
    assert 0 < throttled.value.facts["retry_after_s"] <= 61
    with pytest.raises(Denied):
        await people.log_in(email="other@example.org", password=PASSWORD)
    clock.pass_s(61)
    assert await people.log_in(email=EMAIL, password=PASSWORD)


def test_a_throttle_keeps_a_bounded_number_of_keys(
    clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eletrovia.people.throttle._KEYS_MAX", 3)
    throttle = Throttle(clock, tries=1)
    for key in "abcde":
        throttle.count(key)
    throttle.count("a")  # the oldest was forgotten
    with pytest.raises(Overloaded):
        throttle.count("e")


async def test_a_refresh_token_is_good_once(people: People) -> None:
    account = await _registered(people)
    first = await people.log_in(email=EMAIL, password=PASSWORD)
    second = await people.refresh(first.refresh_token)
    assert people.authenticate(second.access_token).account_id == account.id
    with pytest.raises(Denied) as reused:
        await people.refresh(first.refresh_token)
    assert reused.value.code == "token.refresh_reused"


async def test_a_used_refresh_token_ends_the_whole_log_in_and_no_other(people: People) -> None:
    await _registered(people)
    stolen = await people.log_in(email=EMAIL, password=PASSWORD)
    elsewhere = await people.log_in(email=EMAIL, password=PASSWORD)
    heir = await people.refresh(stolen.refresh_token)
    with pytest.raises(Denied):
        await people.refresh(stolen.refresh_token)
    with pytest.raises(Denied) as ended:
        await people.refresh(heir.refresh_token)
    assert ended.value.code == "token.refresh_unknown"
    assert await people.refresh(elsewhere.refresh_token)


async def test_of_many_refreshes_at_once_one_passes(people: People) -> None:
    await _registered(people)
    pair = await people.log_in(email=EMAIL, password=PASSWORD)
    answers = await asyncio.gather(
        *(people.refresh(pair.refresh_token) for _ in range(8)), return_exceptions=True
    )
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert {answer.code for answer in answers if isinstance(answer, EletroviaError)} == {
        "token.refresh_reused"
    }


async def test_a_refresh_token_ends_with_time_and_with_logging_out(people: People, clock: StillClock) -> None:
    await _registered(people)
    pair = await people.log_in(email=EMAIL, password=PASSWORD)
    await people.log_out(pair.refresh_token)
    await people.log_out("never given")
    with pytest.raises(Denied):
        await people.refresh(pair.refresh_token)
    pair = await people.log_in(email=EMAIL, password=PASSWORD)
    clock.pass_s(30 * 86400)
    with pytest.raises(Denied) as over:
        await people.refresh(pair.refresh_token)
    assert over.value.code == "token.refresh_unknown"
    clock.pass_s(1)
    assert await people.forget_expired() == 2


async def test_staff_is_made_and_unmade(people: People) -> None:
    account = await _registered(people)
    staff = await people.make_staff(EMAIL)
    assert (staff.id, staff.role) == (account.id, Role.STAFF)
    pair = await people.log_in(email=EMAIL, password=PASSWORD)
    assert people.authenticate(pair.access_token).is_staff
    await people.make_driver(EMAIL)
    with pytest.raises(Denied):
        await people.refresh(pair.refresh_token)
    with pytest.raises(NotFound):
        await people.make_staff("nobody@example.org")


def _forged(header: dict[str, str], claims: dict[str, object]) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    return b".".join([*parts, b""]).decode()


def test_a_token_is_over_after_15_minutes(access: AccessTokens, clock: StillClock) -> None:
    token = access.sign(Who("acct_1", Role.DRIVER))
    clock.pass_s(899)
    assert access.read(token).account_id == "acct_1"
    clock.pass_s(1)
    for _ in range(2):  # also when it was remembered
        with pytest.raises(Denied) as over:
            access.read(token)
        assert over.value.code == "token.expired"


def test_only_our_own_whole_tokens_are_read(access: AccessTokens, clock: StillClock, secret: bytes) -> None:
    who = Who("acct_1", Role.STAFF)
    stranger = AccessTokens(new_secret().encode(), "BR*CAR", clock).sign(who)
    elsewhere = AccessTokens(secret, "BR*MAN", clock).sign(who)
    good = access.sign(who)
    claims = jwt.decode(good, options={"verify_signature": False})
    head, body, signature = good.split(".")
    tampered = f"{head}.{_forged({}, {**claims, 'sub': 'acct_2'}).split('.')[1]}.{signature}"
    incomplete = [
        jwt.encode(
            {name: value for name, value in claims.items() if name != missing}, secret, algorithm="HS256"
        )
        for missing in claims
    ]
    odd_role = jwt.encode({**claims, "role": "owner"}, secret, algorithm="HS256")
    odd_end = jwt.encode({**claims, "exp": "soon"}, secret, algorithm="HS256")
    other_hash = jwt.encode(claims, secret.ljust(64), algorithm="HS512")
    bad = [
        stranger, elsewhere, tampered, odd_role, odd_end, other_hash, *incomplete, good[:-2],
        "x" * 3000, "", "a.b.c", _forged({"alg": "none", "typ": "JWT"}, claims),
        _forged({"alg": "None"}, claims), f"{head}.{body}.",
    ]  # fmt: skip
    for token in bad:
        with pytest.raises(Denied) as refused:
            access.read(token)
        assert refused.value.code == "token.unknown", token
    assert access.read(good) == who


def test_a_short_secret_is_refused(clock: StillClock) -> None:
    with pytest.raises(Invalid):
        AccessTokens(b"too short", "BR*CAR", clock)
