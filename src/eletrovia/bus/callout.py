"""Who may do what: the broker asks about every client that knocks, and we decide.

While nobody answers, clients are turned away after the broker's patience and have to knock again; those
already in stay in.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Denied, Unavailable
from eletrovia.bus.claims import Question, answer_no, answer_yes, read_question
from eletrovia.bus.connections import Connections
from eletrovia.bus.embedded import CalloutAccess
from eletrovia.bus.layout import AUTH_TIMEOUT_S, INTERNAL_USERS
from eletrovia.bus.line import Line
from eletrovia.bus.subscription import end_subscription

_log = logging.getLogger(__name__)

_SUBJECT = "$SYS.REQ.USER.AUTH"
_AT_ONCE = 256
_PATIENCE_S = AUTH_TIMEOUT_S * 0.8
_TRIES = 5
_REMEMBERED = 200_000


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may do, in NATS subjects: ``topic.subjects_of`` makes them from MQTT filters.

    Shape: an empty tuple grants nothing. ``name`` is whom to ``expel`` later; ``lifetime_s`` how long until
    the client has to knock again, where its credential does not last for good.
    """

    name: str
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    lifetime_s: int | None = None


class Knocker(msgspec.Struct, frozen=True, kw_only=True):
    """A client that wants in, as the broker sees it.

    Shape: ``kind`` is ``nats`` or ``mqtt``; ``mqtt_client_id`` is empty for NATS clients.
    """

    host: str
    kind: str
    mqtt_client_id: str


Authorise = Callable[[str, str, Knocker], Awaitable[Grant | None]]


class Callout:
    """Answers the broker through ``authorise(username, password, knocker)``.

    ``counts`` tells ``let_in``, ``turned_away``, ``expelled`` and ``failed`` (``authorise`` raised or took
    too long).
    """

    def __init__(
        self, access: CalloutAccess, authorise: Authorise, clock: Clock, lifetime_s: int | None
    ) -> None:
        self._access = access
        self._authorise = authorise
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._line: Line | None = None
        self._connections: Connections | None = None
        self._bound: NatsSubscription | None = None
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._expulsions: Counter[str] = Counter()
        self._names_by_client_id: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    @classmethod
    async def start(
        cls, access: CalloutAccess, authorise: Authorise, *, clock: Clock, lifetime_s: int | None = None
    ) -> Callout:
        """Begins to answer. ``lifetime_s`` makes every client knock again after that time.

        ``authorise`` gives None to turn a client away; when it raises, the client is turned away too.

        Raises: Denied, Unavailable as ``Line.connect``.
        """
        callout = cls(access, authorise, clock, lifetime_s)
        callout._line = await Line.connect(access.url, name="eletrovia callout")
        try:
            if access.system_url is not None:
                callout._connections = await Connections.connect(access.system_url)
                for name, client_ids in (await callout._connections.names()).items():
                    callout._names_by_client_id.update(dict.fromkeys(client_ids, name))
            await callout._line.bind(callout)
        except BaseException:
            await callout.close()
            raise
        return callout

    async def bind(self, client: Client) -> None:
        """Listens for the broker's questions on a new connection."""
        self._bound = await client.subscribe(_SUBJECT, queue="eletrovia", cb=self._receive)

    async def close(self) -> None:
        """Answers what was asked, and no more. Clients already in stay in."""
        if self._line is None:
            return
        self._line.unbind(self)
        if self._bound is not None:
            await end_subscription(self._bound)
        while self._running:
            await asyncio.wait(self._running)
        if self._connections is not None:
            await self._connections.close()
        line, self._line = self._line, None
        await line.close()

    async def expel(self, name: str) -> int:
        """Closes every live connection of ``name``; revoke its credential first, or it comes back.

        Raises: Unavailable when the broker does not answer, or lets nobody close connections.
        """
        self._expulsions[name] += 1
        closed = await self._need_connections().close_all_of(name)
        self.counts["expelled"] += closed
        return closed

    async def recheck(self, still_good: Callable[[str], Awaitable[bool]]) -> set[str]:
        """Expels everybody who is in and no longer good; after a time in which we were not told.

        Raises: Unavailable.
        """
        gone = {name for name in await self._need_connections().names() if not await still_good(name)}
        for name in gone:
            await self.expel(name)
        return gone

    def _need_connections(self) -> Connections:
        if self._connections is None:
            raise Unavailable("bus.no_system_account")
        return self._connections

    async def _receive(self, message: Msg) -> None:
        # The broker waits for each client apart, so one slow check must not hold up the others.
        await self._slots.acquire()
        task = asyncio.create_task(self._answer(message))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _answer(self, message: Msg) -> None:
        try:
            question = read_question(message.data)
            grant, reason = await self._decide(question)
            seed, now = self._access.issuer_seed, self._clock.now()
            if grant is None:
                self.counts["turned_away"] += 1
                answer = answer_no(question, reason, seed=seed, now=now)
            else:
                self.counts["let_in"] += 1
                answer = answer_yes(
                    question,
                    name=grant.name,
                    publish=grant.publish,
                    subscribe=grant.subscribe,
                    account=self._access.account,
                    seed=seed,
                    now=now,
                    lifetime_s=grant.lifetime_s or self._lifetime_s,
                )
            await message.respond(answer)
        except Denied as problem:
            self.counts["failed"] += 1
            _log.warning("question not from a broker: %s", problem)
        except (nats.errors.Error, OSError) as problem:
            _log.warning("answer not delivered, the client will knock again: %s", problem)
        finally:
            self._slots.release()

    async def _decide(self, question: Question) -> tuple[Grant | None, str]:
        knocker = Knocker(
            host=question.client_info.host,
            kind=question.client_info.type,
            mqtt_client_id=question.client_info.mqtt_id,
        )
        asked = question.connect_opts
        try:
            async with asyncio.timeout(_PATIENCE_S):
                for _ in range(_TRIES):
                    expulsions = self._expulsions.total()
                    grant = await self._authorise(asked.user, asked.password, knocker)
                    if grant is None:
                        return None, "unknown credentials"
                    if grant.name in INTERNAL_USERS:
                        return None, "a name of the broker's own"
                    if not await self._may_use(knocker.mqtt_client_id, grant.name):
                        return None, "another client's id"
                    if expulsions == self._expulsions.total():
                        self._remember(knocker.mqtt_client_id, grant.name)
                        return grant, ""
                    # Somebody was expelled meanwhile: what we were told may be what no longer holds.
        except Exception:
            self.counts["failed"] += 1
            _log.exception("client not checked", extra={"host": knocker.host, "kind": knocker.kind})
        return None, "not checked"

    async def _may_use(self, client_id: str, name: str) -> bool:
        """Whether no other name is connected under this MQTT client id.

        MQTT hands a session over to whoever comes with its id: an intruder would end, and inherit, another's.
        """
        other = self._names_by_client_id.get(client_id, name)
        if not client_id or other == name or self._connections is None:
            return True
        for wait_s in (0.0, 0.3):  # the other may just be leaving
            await asyncio.sleep(wait_s)
            listed = await self._connections.listed(mqtt_client=client_id)
            if not any(one.mqtt_client == client_id and one.authorized_user != name for _, one in listed):
                return True
        return False

    def _remember(self, client_id: str, name: str) -> None:
        if not client_id:
            return
        self._names_by_client_id.pop(client_id, None)
        self._names_by_client_id[client_id] = name
        if len(self._names_by_client_id) > _REMEMBERED:
            del self._names_by_client_id[next(iter(self._names_by_client_id))]
