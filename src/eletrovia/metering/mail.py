"""Alerts by e-mail: over the SMTP server that the settings name."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from eletrovia.base.errors import Invalid

TIMEOUT_S: Final = 20.0
_STEP_S: Final = 10.0
_THREADS: Final = 8
_PORTS: Final = {"smtp": 587, "smtps": 465, "smtp+plain": 25}


class MailRefused(Exception):
    """It did not go. ``for_good``: nobody has that address; ``all_of_them``: it is the server that fails."""

    def __init__(self, problem: str, *, for_good: bool = False, all_of_them: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.for_good = for_good
        self.all_of_them = all_of_them


class SmtpUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Where mail goes out: ``smtp://`` demands STARTTLS, ``smtps://`` is TLS from the start, ``smtp+plain://``
    is neither, for a server on this machine or in this house.
    """

    scheme: Literal["smtp", "smtps", "smtp+plain"]
    host: str
    port: int
    user: str = ""
    password: str = ""

    @classmethod
    def parse(cls, url: str) -> SmtpUrl:
        """Raises: Invalid ``config.smtp_url_malformed``."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
            if not parts.hostname or parts.path.strip("/") or parts.query:
                raise ValueError("no host, or more than that")
        except (ValueError, KeyError):
            raise Invalid("config.smtp_url_malformed") from None
        return cls(
            scheme=parts.scheme,  # type: ignore[arg-type]  # _PORTS knows it
            host=parts.hostname,
            port=port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail. ``id`` is the same for every repetition, so that mailboxes can tell."""

    id: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str
    written_at: datetime


def message(mail: Mail, sender: str, sender_name: str) -> EmailMessage:
    """The mail in Internet Message Format (RFC 5322), plain text and HTML."""
    made = EmailMessage()
    made["From"] = _address(sender, sender_name)
    made["To"] = [_address(one, "") for one in mail.to]
    made["Subject"] = " ".join(mail.subject.split())
    made["Date"] = mail.written_at
    made["Message-ID"] = f"<{mail.id}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: absence notes do not answer it
    made.set_content(mail.text)
    made.add_alternative(mail.html, subtype="html")
    return made


class Mailer:
    """Sends mails, each over a connection of its own, in threads that nobody else waits for."""

    def __init__(
        self,
        url: SmtpUrl,
        *,
        sender: str,
        sender_name: str,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url = url
        self._sender = sender
        self._sender_name = sender_name
        self._tls = tls
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mail")

    async def send(self, mail: Mail) -> None:
        """Returns when the server has taken it. Raises: MailRefused."""
        try:
            ready = message(mail, self._sender, self._sender_name)
        except (ValueError, IndexError) as malformed:
            raise MailRefused(f"mail.malformed {malformed}"[:200], for_good=True) from None
        call = _Call()
        try:
            async with asyncio.timeout(self._timeout_s):
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._threads, self._send, ready, list(mail.to), call)
        except TimeoutError:
            raise MailRefused("mail.no_answer", all_of_them=True) from None
        except smtplib.SMTPRecipientsRefused as refused:
            code = max((code for code, _ in refused.recipients.values()), default=450)
            raise MailRefused(f"mail.recipient_refused {code}", for_good=code >= 500) from None
        except smtplib.SMTPDataError as refused:
            code = int(refused.smtp_code)
            raise MailRefused(f"mail.refused {code}", for_good=code >= 500) from None
        except (smtplib.SMTPException, OSError) as failure:
            raise MailRefused(f"mail.failed {type(failure).__name__}", all_of_them=True) from None
        finally:
            call.hang_up()  # the thread ends soon, whatever the server does

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, ready: EmailMessage, to: Sequence[str], call: _Call) -> None:
        url = self._url
        smtp = _SmtpTls(url.host, self._context()) if url.scheme == "smtps" else _Smtp(url.host)
        call.is_on(smtp)
        try:
            smtp.connect(url.host, url.port)
            if url.scheme == "smtp":
                smtp.starttls(context=self._context())
            if url.user:
                smtp.login(url.user, url.password)
            smtp.send_message(ready, from_addr=self._sender, to_addrs=list(to))
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.close()

    def _context(self) -> ssl.SSLContext:
        return self._tls or ssl.create_default_context()


class _Smtp(smtplib.SMTP):
    """Knows whom it is going to speak to, for the certificate, before it connects: so it can be hung up."""

    def __init__(self, host: str) -> None:
        super().__init__(timeout=_STEP_S)
        self._host = host


class _SmtpTls(smtplib.SMTP_SSL):
    def __init__(self, host: str, context: ssl.SSLContext) -> None:
        super().__init__(timeout=_STEP_S, context=context)
        self._host = host


class _Call:
    """A connection that can be hung up from outside: a server that says a letter a minute never times out."""

    def __init__(self) -> None:
        self._smtp: smtplib.SMTP | None = None

    def is_on(self, smtp: smtplib.SMTP) -> None:
        self._smtp = smtp

    def hang_up(self) -> None:
        sock = getattr(self._smtp, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _address(written: str, name: str) -> Address:
    return Address(display_name=name, addr_spec=written)
