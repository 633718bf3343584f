"""Webhooks: alerts posted to an address of somebody's own, signed, and never into our own house."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from eletrovia.base.errors import Invalid

TIMESTAMP_HEADER: Final = "Eletrovia-Timestamp"
"""Seconds since 1970 at which it was signed; refuse what is older than five minutes."""
SIGNATURE_HEADER: Final = "Eletrovia-Signature"
"""``v1=`` and in hex the HMAC-SHA256, with the webhook's secret, of timestamp, full stop and body."""
DELIVERY_HEADER: Final = "Eletrovia-Delivery"
"""The same for every repetition of one delivery: who has seen it may forget the rest."""

TIMEOUT_S: Final = 10.0
_URL_MAX: Final = 2000
_HEADERS_MAX: Final = 8190
_HOST: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# A network's own translators to IPv4, and forms of IPv4 that nobody routes (RFC 8215, 4291, 2765).
_TRANSLATED: Final = tuple(map(ipaddress.ip_network, ("64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")))


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where alerts are posted to. Without a customer they are the utility's."""

    id: str
    customer_id: str | None
    url: str
    secret: str
    created_at: datetime
    answered_at: datetime | None = None
    failing_since: datetime | None = None
    problem: str | None = None


class Refused(Exception):
    """The receiver said no, or could not be spoken to. ``for_good``: it never wants to hear of us again."""

    def __init__(self, problem: str, *, for_good: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.for_good = for_good


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """What stands in ``SIGNATURE_HEADER``."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def is_public(address: str) -> bool:
    """Whether an address is one of the Internet's, and not of this machine or a network's inside."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.teredo is not None or found.is_site_local or any(found in one for one in _TRANSLATED):
            return False
    return found.is_global and not found.is_multicast


class Allowed:
    """Which addresses may be posted to: https to public ones, and hosts that the utility names.

    Shape: ``hosts`` are names or addresses, with or without a port; they may be private, and plain http.
    """

    def __init__(self, hosts: Collection[str] = ()) -> None:
        self._hosts = {host.lower() for host in hosts}

    def check(self, url: str) -> str:
        """The address itself. Raises: Invalid."""
        parts = self._parts(url)
        if self.is_named(parts.hostname or "", parts.port or _port(parts.scheme)):
            return url
        if parts.scheme != "https":
            raise Invalid("webhook.url_not_https")
        host = parts.hostname or ""
        # Also "127.1" and "2130706433": to the system they are addresses, and are never looked up.
        if (":" in host or host.replace(".", "").isdigit()) and not is_public(host):
            raise Invalid("webhook.url_private")
        return url

    def is_named(self, host: str, port: int) -> bool:
        host = host.lower()
        return host in self._hosts or f"{host}:{port}" in self._hosts

    @staticmethod
    def _parts(url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Invalid("webhook.url_malformed") from None
        host = parts.hostname or ""
        plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= _URL_MAX
        if not plain or parts.scheme not in ("https", "http") or not _HOST.fullmatch(host) or port == 0:
            raise Invalid("webhook.url_malformed")
        if parts.username is not None or parts.fragment:
            raise Invalid("webhook.url_malformed")
        return parts


class _Guard(AbstractResolver):
    """Looks names up and answers only addresses that may be connected to.

    It is asked at the moment of connecting: a name that points elsewhere a second later gains nothing.
    """

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        # Threads of their own: a name server that is silent delays nobody but those who ask it.
        self._threads = ThreadPoolExecutor(32, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        told = await loop.run_in_executor(
            self._threads, partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        )
        addresses = [(kind, str(address[0])) for kind, _, _, _, address in told]
        if not self._allowed.is_named(host, port) and not all(is_public(one) for _, one in addresses):
            raise OSError(None, "webhook.private_address")
        return [
            ResolveResult(
                hostname=host, host=one, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST
            )
            for kind, one in addresses
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Poster:
    """Posts signed documents; follows no redirect, uses no proxy, reads only the head of an answer."""

    def __init__(self, allowed: Allowed, *, timeout_s: float = TIMEOUT_S) -> None:
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def post(self, webhook: Webhook, body: bytes, *, delivery: str, timestamp: int) -> None:
        """One try. Raises: Refused."""
        try:
            self._allowed.check(webhook.url)  # what may be reached can have changed since it was written down
        except Invalid as refused:
            raise Refused(refused.code) from None
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Eletrovia",
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: signature(webhook.secret, timestamp, body),
            DELIVERY_HEADER: delivery,
        }
        try:
            async with self._open().post(
                webhook.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status = answer.status
                answer.close()  # whatever it wants to say, for ever perhaps: nobody asked
        except TimeoutError:
            raise Refused("webhook.no_answer") from None
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            raise Refused(_why(failure)) from None
        if status == 410:
            raise Refused("webhook.gone", for_good=True)
        if not 200 <= status < 300:
            raise Refused(f"webhook.answered {status}")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_Guard(self._allowed),
                    use_dns_cache=False,
                    force_close=True,
                    limit=0,
                    limit_per_host=0,
                ),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                max_line_size=_HEADERS_MAX,
                max_field_size=_HEADERS_MAX,
                auto_decompress=False,
            )
        return self._session


def document(**members: Any) -> bytes:
    """The body of a post: JSON with its members in one order, so that it can be compared."""
    return msgspec.json.encode(members)


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _why(failure: Exception) -> str:
    """In few words, without what the other side would like to have written into our log."""
    if "webhook.private_address" in str(failure):
        return "webhook.private_address"
    return f"webhook.unreachable {type(failure).__name__}"
