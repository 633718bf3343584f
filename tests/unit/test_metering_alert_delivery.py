"""Delivery to receivers that are real: a mail server, web servers that fail, stall and lie, a broker."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import hashlib
import hmac
import json
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Invalid, Unavailable
from eletrovia.base.ids import Ids
from eletrovia.bus.bus import Bus
from eletrovia.bus.embedded import EmbeddedNats
from eletrovia.metering.alert import AlertKind, Channel, Finding, Level
from eletrovia.metering.alerts import Alerts
from eletrovia.metering.delivery import Courier
from eletrovia.metering.deliverystore import DeliveryStore
from eletrovia.metering.mail import Mail, Mailer, MailRefused, SmtpUrl
from eletrovia.metering.telling import ByMail, ByMqtt, ByWebhook
from eletrovia.metering.webhook import Allowed, Poster, Refused, Webhook, is_public, signature
from eletrovia.metering.webhookstore import WebhookStore
from eletrovia.store.pool import Store

ZONE = ZoneInfo("America/Fortaleza")
CLOCK = SystemClock()


async def until(holds: Callable[[], Any], patience_s: float = 10.0) -> None:
    async with asyncio.timeout(patience_s):
        while not (found := holds()) or (asyncio.iscoroutine(found) and not await found):
            await asyncio.sleep(0.01)


# -- a mail server -------------------------------------------------------------------------------------


class Letterbox:
    """Takes mails, or refuses whom ``refusals`` names."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], Any]] = []
        self.refusals: dict[str, str] = {}

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert envelope.content is not None
        content = envelope.content if isinstance(envelope.content, bytes) else envelope.content.encode()
        self.mails.append((envelope.rcpt_tos, email.message_from_bytes(content, policy=email.policy.default)))
        return "250 taken"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture
def letterbox() -> Letterbox:
    return Letterbox()


@pytest.fixture
def smtp_port(letterbox: Letterbox) -> Any:
    controller = Controller(letterbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller.port
    controller.stop()


def mailer(port: int, scheme: str = "smtp+plain", **options: Any) -> Mailer:
    url = SmtpUrl.parse(f"{scheme}://127.0.0.1:{port}")
    return Mailer(url, sender="alerts@example.org", sender_name="Eletrovia", **options)


LETTER = Mail(
    id="alert-1-c1",
    to=("c1@example.org",),
    subject="Mais energia\r\nBcc: everybody@example.org",
    text="Ontem você usou 5,2 kWh.",
    html="<p>Ontem você usou 5,2 kWh.</p>",
    written_at=datetime(2026, 3, 20, 12, tzinfo=ZONE),
)


async def test_a_mail_has_both_forms_an_id_that_stays_and_no_smuggled_header(
    letterbox: Letterbox, smtp_port: int
) -> None:
    await mailer(smtp_port).send(LETTER)
    ((to, mail),) = letterbox.mails
    assert to == ["c1@example.org"]
    assert mail["Message-ID"] == "<alert-1-c1@example.org>"
    assert mail["Subject"] == "Mais energia Bcc: everybody@example.org"
    assert mail["Bcc"] is None
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == LETTER.written_at
    assert mail.get_body(("plain",)).get_content().strip() == LETTER.text
    assert mail.get_body(("html",)).get_content().strip() == LETTER.html


async def test_an_address_nobody_has_is_given_up_and_a_full_one_is_not(
    letterbox: Letterbox, smtp_port: int
) -> None:
    for answer, for_good in (("550 nobody here", True), ("452 full", False)):
        letterbox.refusals = {"c1@example.org": answer}
        with pytest.raises(MailRefused) as refused:
            await mailer(smtp_port).send(LETTER)
        assert refused.value.for_good is for_good
        assert not refused.value.all_of_them


async def test_starttls_is_demanded_and_the_certificate_is_looked_at(
    letterbox: Letterbox, smtp_port: int, tmp_path: Path
) -> None:
    with pytest.raises(MailRefused, match="SMTPNotSupportedError"):
        await mailer(smtp_port, "smtp").send(LETTER)
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate of this test, and is not there")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await made.wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    controller = Controller(
        letterbox, hostname="127.0.0.1", port=free_port(), tls_context=context, require_starttls=True
    )
    controller.start()
    try:
        with pytest.raises(MailRefused, match="SSLCertVerificationError"):
            await mailer(controller.port, "smtp").send(LETTER)
        trusted = ssl.create_default_context(cafile=str(certificate))
        await mailer(controller.port, "smtp", tls=trusted).send(LETTER)
    finally:
        controller.stop()
    assert len(letterbox.mails) == 1


async def test_a_mail_server_that_is_down_or_drips_letters_is_hung_up_on() -> None:
    with pytest.raises(MailRefused) as refused:
        await mailer(free_port()).send(LETTER)
    assert refused.value.all_of_them
    gone = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"220-")
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await reader.read(100)
        gone.set()
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        slow = mailer(server.sockets[0].getsockname()[1], timeout_s=0.3)
        with pytest.raises(MailRefused, match="mail.no_answer"):
            await slow.send(LETTER)
        async with asyncio.timeout(5):
            await gone.wait()


@pytest.mark.parametrize("url", ["http://mail", "smtp://", "smtp://mail:99999", "smtp://mail/path", "mail"])
def test_what_is_no_mail_server_is_refused_before_anything_starts(url: str) -> None:
    with pytest.raises(Invalid, match="config.smtp_url_malformed"):
        SmtpUrl.parse(url)


def test_a_mail_servers_address_is_taken_apart() -> None:
    url = SmtpUrl.parse("smtps://me%40here:s%2Fecret@mail.example.org")
    assert (url.user, url.password, url.port) == ("me@here", "s/ecret", 465)


# -- where may be posted to ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",  # noqa: S104
     "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "ff02::1",
     "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "::127.0.0.1", "::ffff:0:7f00:1", "fec0::1",
     "2002:7f00:1::", "2001:0:7f00:1::", "no address"],
)  # fmt: skip
def test_our_own_house_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_the_internet_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    ["http://example.org/", "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://[::1]/",
     "https://10.0.0.1:8443/x", "ftp://example.org/", "https://user:pass@example.org/", "https:///x",
     "https://exa mple.org/", "https://example.org:0/", "https://example.org:99999/", "file:///etc/passwd",
     "https://example.org/#x", "https://exämple.org/", "https://a\nb/", "https://" + "a" * 3000],
)  # fmt: skip
def test_addresses_that_are_refused_when_they_are_written_down(url: str) -> None:
    with pytest.raises(Invalid, match=r"webhook\."):
        Allowed().check(url)


def test_hosts_that_the_utility_names_may_be_private_and_plain() -> None:
    allowed = Allowed(["localhost:8080", "10.0.0.1"])
    allowed.check("http://localhost:8080/x")
    allowed.check("http://10.0.0.1:99/")
    for url in ("http://localhost:8081/x", "https://10.0.0.2/"):
        # localhost is a name; where it leads is looked at when it is connected to.
        if url.startswith("http:"):
            with pytest.raises(Invalid):
                allowed.check(url)


@pytest.mark.parametrize("host", ["localhost", "0x7f000001", "0177.0.0.1.nip"])
async def test_a_name_that_leads_into_our_house_is_not_connected_to(host: str) -> None:
    hook = Webhook(id="h", customer_id=None, url=f"https://{host}/x", secret="s", created_at=CLOCK.now())
    poster = Poster(Allowed())
    with pytest.raises(Refused, match=r"webhook\.(private_address|unreachable)") as refused:
        await poster.post(hook, b"{}", delivery="1", timestamp=1)
    if host == "localhost":
        assert refused.value.problem == "webhook.private_address"
    await poster.close()


# -- web servers ---------------------------------------------------------------------------------------


class Receiver:
    """A web server that answers as it is told to."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[], web.StreamResponse] = web.Response
        self.stall = asyncio.Event()
        self.stalls = False
        self.url = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.posts.append((dict(request.headers), await request.read()))
        if self.stalls:
            await self.stall.wait()
        answer = self.answer()
        if isinstance(answer, Endless):
            await answer.prepare(request)
            with contextlib.suppress(ConnectionError):
                while True:
                    await answer.write(b"x" * 100_000)
        return answer


class Endless(web.StreamResponse):
    """Never stops telling."""


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{rest:.*}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"http://127.0.0.1:{port}/hook"
    yield receiver
    receiver.stall.set()
    await runner.cleanup()


class Post:
    """Alerts, an outbox and a courier on one database."""

    def __init__(self, store: Store, port: int | None = None, **pace: Any) -> None:
        self.store = store
        allowed = Allowed(["127.0.0.1"])
        self.poster = Poster(allowed, timeout_s=1.0)
        tellers: dict[Channel, Any] = {
            Channel.WEBHOOK: ByWebhook(self.poster, WebhookStore(store), CLOCK, ZONE)
        }
        if port is not None:
            tellers[Channel.EMAIL] = ByMail(
                mailer(port), CLOCK, ZONE, staff=["staff@example.org"], page_url="https://example.org/alerts"
            )
        self.courier = Courier(
            DeliveryStore(store, staff_language="en"), tellers, CLOCK,
            **{"first_rest_s": 0.05, "look_s": 0.02} | pace,
        )  # fmt: skip
        self.alerts = Alerts(
            store, clock=CLOCK, ids=Ids(CLOCK), zone=ZONE, ways=tellers, staff_has_mail=True,
            allowed=allowed, poster=self.poster,
        )  # fmt: skip
        self.alerts.poke = self.courier.poke

    async def customer(self, id_: str) -> None:
        async with self.store.connection() as connection:
            await connection.execute(
                "insert into customer (id, name, email, language, created_at)"
                " values (%s, 'A', %s, 'pt-BR', now())",
                (id_, f"{id_}@example.org"),
            )

    async def tell(self, subject: str, customer_id: str = "c1") -> None:
        facts = {"pattern": "hours", "day": "2026-03-20", "from_hour": 18, "until_hour": 21,
                 "used_wh": 5200, "usual_wh": 2300}  # fmt: skip
        await self.alerts.tell(
            [
                Finding(
                    kind=AlertKind.EXCESS,
                    subject=subject,
                    period="1",
                    level=Level.WARNING,
                    facts=facts,
                    customer_id=customer_id,
                    usage_point_id="P1",
                )
            ]
        )

    async def left(self) -> list[Any]:
        """What is neither sent nor given up."""
        async with self.store.connection() as connection:
            rows = await connection.execute(
                "select id from alert_delivery where sent_at is null and given_up_at is null"
            )
            return await rows.fetchall()

    async def all_done(self) -> bool:
        return not await self.left()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.courier.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.poster.close()


async def test_a_customer_gets_mail_in_their_language(
    store: Store, letterbox: Letterbox, smtp_port: int
) -> None:
    post = Post(store, smtp_port)
    await post.customer("c1")
    async with post.running():
        await post.tell("point:P1")
        await until(lambda: letterbox.mails)
        await until(post.all_done)
    ((to, mail),) = letterbox.mails
    assert to == ["c1@example.org"]
    assert mail["Subject"] == "Mais energia que o normal"
    assert "2,3 vezes o seu normal" in mail.get_body(("plain",)).get_content()
    assert 'href="https://example.org/alerts"' in mail.get_body(("html",)).get_content()


async def test_a_post_is_signed_and_says_which_delivery_it_is(store: Store) -> None:
    post = Post(store)
    await post.customer("c1")
    async with receiving() as receiver, post.running():
        hook = await post.alerts.put_webhook("c1", receiver.url)
        await post.tell("point:P1")
        await until(post.all_done)
        ((headers, body),) = receiver.posts
        told = json.loads(body)
        assert (told["kind"], told["news"], told["level"]) == ("excess", "raised", "warning")
        assert told["text"].startswith("Em 20 de março, entre 18 h e 21 h")
        signed = f"{headers['Eletrovia-Timestamp']}.".encode() + body
        by_hand = "v1=" + hmac.new(hook.secret.encode(), signed, hashlib.sha256).hexdigest()
        assert headers["Eletrovia-Signature"] == by_hand
        assert headers["Eletrovia-Delivery"].endswith(hook.id)
        assert abs(int(headers["Eletrovia-Timestamp"]) - CLOCK.now().timestamp()) < 60
        await post.alerts.test_webhook("c1", hook.id)
        assert json.loads(receiver.posts[1][1])["kind"] == "test"
        (kept,) = await post.alerts.webhooks("c1")
        assert kept.answered_at is not None


def test_a_signature_covers_the_moment_and_every_octet() -> None:
    base = signature("secret", 1, b"body")
    others = [
        signature("secret", 2, b"body"),
        signature("secret", 1, b"bodY"),
        signature("other", 1, b"body"),
    ]
    assert base not in others


async def test_a_receiver_that_fails_is_asked_again_until_it_takes_it(store: Store) -> None:
    post = Post(store)
    await post.customer("c1")
    async with receiving() as receiver, post.running():
        receiver.answer = lambda: web.Response(status=503)
        hook = await post.alerts.put_webhook("c1", receiver.url)
        await post.tell("point:P1")
        await until(lambda: len(receiver.posts) >= 3)
        (kept,) = await post.alerts.webhooks("c1")
        assert kept.failing_since is not None
        assert kept.problem == "webhook.answered 503"
        receiver.answer = web.Response
        await until(post.all_done)
        deliveries = {headers["Eletrovia-Delivery"] for headers, _ in receiver.posts}
        assert len(deliveries) == 1
        (kept,) = await post.alerts.webhooks("c1")
        assert (kept.failing_since, kept.problem) == (None, None)
        receiver.answer = lambda: web.Response(status=500)
        with pytest.raises(Unavailable, match="webhook.test_failed"):
            await post.alerts.test_webhook("c1", hook.id)


async def test_a_redirect_is_not_followed_and_gone_is_gone(store: Store) -> None:
    post = Post(store)
    await post.customer("c1")
    async with receiving() as receiver, receiving() as elsewhere, post.running():
        receiver.answer = lambda: web.Response(status=307, headers={"Location": elsewhere.url})
        await post.alerts.put_webhook("c1", receiver.url)
        await post.tell("point:P1")
        await until(lambda: len(receiver.posts) >= 2)
        receiver.answer = lambda: web.Response(status=410)
        await until(post.all_done)
        assert elsewhere.posts == []
        assert post.courier.counts["given_up"] == 1


async def test_an_answer_without_end_is_not_read(store: Store) -> None:
    post = Post(store)
    await post.customer("c1")
    async with receiving() as receiver, post.running():
        receiver.answer = Endless
        await post.alerts.put_webhook("c1", receiver.url)
        await post.tell("point:P1")
        await until(post.all_done)
        assert len(receiver.posts) == 1


async def test_what_cannot_be_delivered_for_a_day_is_given_up_and_shown(store: Store) -> None:
    post = Post(store, give_up_after=timedelta(seconds=0.4))
    await post.customer("c1")
    async with post.running():
        await post.alerts.put_webhook("c1", f"http://127.0.0.1:{free_port()}/")
        await post.tell("point:P1")
        await until(post.all_done)
    (hook,) = await post.alerts.webhooks("c1")
    assert hook.problem is not None
    assert hook.problem.startswith("webhook.unreachable")
    assert post.courier.counts["given_up"] == 1
    assert post.courier.counts["failed"] >= 2


async def test_receivers_that_stall_keep_nobody_else_waiting(store: Store) -> None:
    """Four hundred deliveries to two that never answer; a third has its own at once, all of them."""
    post = Post(store)
    for customer_id in ("c1", "c2"):
        await post.customer(customer_id)
    async with receiving() as slow, receiving() as quick, post.running():
        slow.stalls = True
        await post.alerts.put_webhook("c1", slow.url)
        await post.alerts.put_webhook("c1", slow.url + "2")
        await post.alerts.put_webhook("c2", quick.url)
        for n in range(100):
            await post.tell(f"point:{n}")
        await until(lambda: len(slow.posts) >= 8)
        started = CLOCK.monotonic()
        for n in range(20):
            await post.tell(f"point:quick{n}", "c2")
        await until(lambda: len(quick.posts) == 20, 5)
        assert CLOCK.monotonic() - started < 3
        # Each of the two has had a handful of hands at most.
        assert len({headers["Eletrovia-Delivery"] for headers, _ in slow.posts}) <= 16


async def test_a_dead_mail_server_gets_a_few_knocks_and_not_one_for_every_mail(
    store: Store, letterbox: Letterbox
) -> None:
    port = free_port()
    post = Post(store, port, first_rest_s=0.5)
    await post.customer("c1")
    async with post.running():
        await post.tell("point:first")
        await until(lambda: post.courier.counts["failed"] >= 1)
        for n in range(30):
            await post.tell(f"point:{n}")
        controller = Controller(letterbox, hostname="127.0.0.1", port=port)
        controller.start()
        try:
            await until(lambda: len(letterbox.mails) == 31)
        finally:
            controller.stop()
    assert post.courier.counts["failed"] <= 4, "only the first one knocked, now and then"


# -- a broker ------------------------------------------------------------------------------------------


async def test_over_mqtt_it_goes_to_the_customers_own_topic_once_the_broker_is_there(
    store: Store, tmp_path: Path
) -> None:
    broker = await EmbeddedNats.start(tmp_path / "bus")
    bus, ear = await Bus.connect(broker.url), await Bus.connect(broker.url)
    heard: list[tuple[str, bytes]] = []

    async def hear(topic: str, payload: bytes) -> None:
        heard.append((topic, payload))

    await ear.subscribe("customers/+/alerts", hear)
    await ear.flush()
    post = Post(store)
    await post.customer("c1")
    courier = Courier(
        DeliveryStore(store, staff_language="en"), {Channel.MQTT: ByMqtt(bus, CLOCK, ZONE)}, CLOCK,
        first_rest_s=0.05, look_s=0.02,
    )  # fmt: skip
    alerts = Alerts(
        store, clock=CLOCK, ids=Ids(CLOCK), zone=ZONE, ways=(Channel.MQTT,), staff_has_mail=False,
        allowed=Allowed(), poster=post.poster,
    )  # fmt: skip
    post.alerts = alerts
    task = asyncio.create_task(courier.run())
    await post.tell("point:P1")
    await until(post.all_done)
    await until(lambda: heard)
    ((topic, payload),) = heard
    assert topic == "customers/c1/alerts"
    assert json.loads(payload)["title"] == "Mais energia que o normal"
    await bus.close()
    await post.tell("point:P2")
    await until(lambda: courier.counts["failed"] >= 1)
    assert await post.left() != []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await ear.close()
    await broker.stop()
