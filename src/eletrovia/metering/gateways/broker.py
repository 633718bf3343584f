"""Readings through an MQTT broker of the user's own: Mosquitto, EMQX, any.

Throughput is aiomqtt's, some ten thousand messages a second: so many meters belong on the bus, or should
put many readings into a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import aiomqtt
import structlog

from eletrovia.base.errors import Invalid, Unavailable
from eletrovia.metering.gateways import devices
from eletrovia.metering.gateways.mqtt import OWN_FILTER, Message, Sorter

_log = structlog.get_logger(__name__)

_MOST: Final = 5_000
_PATIENCE_S: Final = 5.0
_REST_S: Final = 1.0
_LONGEST_REST_S: Final = 15.0
_AT_ONCE: Final = 3
_MOST_QUEUED: Final = 100_000
"""Of what comes with QoS 0 while PostgreSQL is away: no broker waits with that, and memory ends."""
_BEST_QOS: Final = 2


class BrokerAddress:
    """Where a broker is, as ``mqtt://user:password@host:1883/?share=NAME`` tells it; ``mqtts`` is with TLS.

    Gateways of one ``share`` divide the messages ($share/NAME/…): Mosquitto, EMQX and HiveMQ do that. Without
    it each gateway hears everything, which is harmless and twice the work.
    Raises: Invalid ``config.wrong_value``.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise Invalid(
                "config.wrong_value", key="metering.mqtt_url", where="", value="", reason="mqtt://host:1883"
            )
        self.secure = parts.scheme == "mqtts"
        self.host = parts.hostname
        self.port = port or (8883 if self.secure else 1883)
        self.username = unquote(parts.username) if parts.username else None
        self.password = unquote(parts.password) if parts.password else None
        self.share = parse_qs(parts.query).get("share", [""])[0]

    def filters(self) -> list[str]:
        """What to subscribe to."""
        head = f"$share/{self.share}/" if self.share else ""
        return [head + one for one in (OWN_FILTER, *devices.FILTERS)]


class BrokerGateway:
    """Meters at a broker of the user's. Comes back for as long as the broker is away.

    Subscribes with QoS 1 and in a lasting session, and lets the broker know that a message has arrived only
    when PostgreSQL has it: what a gateway that died had not committed comes again.
    """

    def __init__(self, url: str, sorter: Sorter, *, name: str) -> None:
        self._address = BrokerAddress(url)
        self._sorter = sorter
        self._name = name
        self.connected = asyncio.Event()
        self._speaking: aiomqtt.Client | None = None

    async def run(self) -> None:
        """Listen until cancelled."""
        rest_s = _REST_S
        while True:
            try:
                async with self._client() as client:
                    granted = await client.subscribe([(one, 1) for one in self._address.filters()])
                    if any(getattr(code, "value", code) > _BEST_QOS for code in granted):
                        raise aiomqtt.MqttError("the broker refuses a subscription")
                    self._speaking = client
                    self.connected.set()
                    _log.info("mqtt.broker_connected", host=self._address.host, port=self._address.port)
                    rest_s = _REST_S
                    await self._listen(client)
            except (aiomqtt.MqttError, OSError) as problem:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise asyncio.CancelledError from None  # its goodbye failed, and hid that we are to end
                _log.warning("mqtt.broker_away", host=self._address.host, reason=str(problem))
            finally:
                self.connected.clear()
                self._speaking = None
            await asyncio.sleep(rest_s)
            rest_s = min(2 * rest_s, _LONGEST_REST_S)

    async def tell(self, topic: str, payload: bytes) -> None:
        """Say something to a meter there. Raises: Unavailable while the broker is away."""
        if self._speaking is None:
            raise Unavailable("mqtt.broker_away", host=self._address.host)
        try:
            await self._speaking.publish(topic, payload, qos=1)
        except aiomqtt.MqttError as problem:
            raise Unavailable("mqtt.broker_away", host=self._address.host) from problem

    def _client(self) -> aiomqtt.Client:
        at = self._address
        client = aiomqtt.Client(
            at.host,
            at.port,
            username=at.username,
            password=at.password,
            identifier=self._name,
            clean_session=False,
            timeout=_PATIENCE_S,
            max_queued_incoming_messages=_MOST_QUEUED,
            tls_context=ssl.create_default_context() if at.secure else None,
        )
        # aiomqtt has no word for this, and its paho client is where the acknowledgement is sent from.
        client._client.manual_ack_set(True)
        return client

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Until any part fails: a connection that nobody works for is as good as none. Raises: MqttError."""
        waiting: asyncio.Queue[aiomqtt.Message] = asyncio.Queue(_AT_ONCE * _MOST)
        hands = [asyncio.create_task(self._work(client, waiting)) for _ in range(_AT_ONCE)]
        hands.append(asyncio.create_task(self._receive(client, waiting)))
        try:
            await asyncio.wait(hands, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for hand in hands:
                hand.cancel()
            ends = await asyncio.gather(*hands, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    @staticmethod
    async def _receive(client: aiomqtt.Client, waiting: asyncio.Queue[aiomqtt.Message]) -> None:
        async for message in client.messages:
            await waiting.put(message)

    async def _work(self, client: aiomqtt.Client, waiting: asyncio.Queue[aiomqtt.Message]) -> None:
        while True:
            messages = [await waiting.get()]
            with contextlib.suppress(asyncio.QueueEmpty):
                while len(messages) < _MOST:
                    messages.append(waiting.get_nowait())
            try:
                # A retained message is old, and of most devices nobody could tell how old.
                fresh = [_plain(one) for one in messages if not one.retain]
                answers = await self._sorter.take(fresh)
                for one in messages:
                    client._client.ack(one.mid, one.qos)
                for topic, payload in answers:
                    await client.publish(topic, payload, qos=0)
            except aiomqtt.MqttError:
                raise  # whoever was not answered says it again
            except Exception as failure:
                _log.exception("mqtt.bunch_failed", messages=len(messages))
                # What was not acknowledged comes again on a new connection only.
                raise aiomqtt.MqttError("a bunch failed") from failure


def _plain(message: aiomqtt.Message) -> Message:
    payload = message.payload
    return str(message.topic), payload if isinstance(payload, bytes) else str(payload).encode()
