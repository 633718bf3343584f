"""The REST of the 2023 course's meters over UDP: JSON in, JSON out, its words in Portuguese."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec
import structlog
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.config.cors import CORSConfig
from litestar.exceptions import HTTPException

from eletrovia.base.errors import EletroviaError, Invalid
from eletrovia.classroom.meter_moment import written_day_first
from eletrovia.classroom.meter_sums import READINGS_FOR_ALERT, excess_of_last, invoice_of_last
from eletrovia.classroom.meter_udp import is_account, meter_id_asked, units_of
from eletrovia.metering.reading import Reading

_log = structlog.get_logger(__name__)

_MOST_OCTETS: Final = 100_000
_NOTHING: Final = ""
_MALFORMED: Final = "Pedido malformado"
_SAID: Final = {
    404: "Não existe este caminho",
    405: "Este caminho não aceita este método",
    413: "O corpo é grande demais",
}

Asked = Request[Any, Any, Any]


class Registers(Protocol):
    """Who knows what a meter told."""

    async def latest(self, meter_id: str, count: int) -> Sequence[Reading]:
        """Its last readings, oldest first; empty for a meter that nobody knows."""
        ...


class _User(msgspec.Struct):
    username: str
    matricula: str


class _Meter(msgspec.Struct):
    matricula: str


Body = TypeVar("Body", bound=msgspec.Struct)


def meter_app(registers: Registers, status: Callable[[], Awaitable[dict[str, Any]]]) -> Litestar:
    """An ASGI application with the course's four routes; ``/status`` and ``/healthz`` are ours."""

    async def latest(request: Asked, count: int) -> Sequence[Reading]:
        meter_id = meter_id_asked(_read(await request.body(), _Meter).matricula)
        return [] if meter_id is None else await registers.latest(meter_id, count)

    @post("/validacao-usuario", status_code=200)
    async def validate(request: Asked) -> Response[bytes]:
        """Whether a user is registered."""
        user = _read(await request.body(), _User)
        if is_account(user.username, user.matricula):
            return _json("Usuário cadastrado")
        return _json("Usuário não cadastrado", 404)

    @post("/medicoes/ultima-medicao", status_code=200)
    async def last_reading(request: Asked) -> Response[bytes]:
        """The last reading."""
        told = await latest(request, 1)
        if not told:
            return _json(_NOTHING, 404)
        shown = {"data_hora": written_day_first(told[-1].at), "consumo": str(units_of(told[-1].energy_wh))}
        return _json(shown)

    @post("/gerar-fatura", status_code=200)
    async def invoice(request: Asked) -> Response[bytes]:
        """What the last period costs."""
        made = invoice_of_last([units_of(one.energy_wh) for one in await latest(request, 2)])
        return _json(_NOTHING, 404) if made is None else _json(made)

    @post("/alerta-consumo", status_code=200)
    async def alert(request: Asked) -> Response[bytes]:
        """Whether the last period was excessive."""
        units = [units_of(one.energy_wh) for one in await latest(request, READINGS_FOR_ALERT)]
        if len(units) < READINGS_FOR_ALERT:
            return _json(_NOTHING, 404)
        excess = excess_of_last(units)
        return _json("Sem consumo excessivo" if excess is None else {"excesso_consumo": excess})

    @get("/status")
    async def shown() -> Response[bytes]:
        """What came through each door, and what became of it."""
        return _json(await status())

    @get("/healthz")
    async def health() -> Response[bytes]:
        """That somebody answers."""
        return _json("ok")

    return Litestar(
        route_handlers=[validate, last_reading, invoice, alert, shown, health],
        exception_handlers={
            EletroviaError: _on_our_error,
            HTTPException: _on_http_error,
            Exception: _on_surprise,
        },
        cors_config=CORSConfig(allow_origins=["*"]),
        request_max_body_size=_MOST_OCTETS,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def _read(body: bytes, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        wanted = " e ".join(f"{name} (texto)" for name in kind.__struct_fields__)
        raise Invalid("classroom.malformed", mensagem=f"{_MALFORMED}; espera-se {wanted}") from None


def _json(told: object, status: int = 200) -> Response[bytes]:
    # Spaced as the course's clients know it from Python's own json.
    return Response(
        json.dumps(told, ensure_ascii=False).encode(), status_code=status, media_type=MediaType.JSON
    )


def _on_our_error(request: Asked, error: EletroviaError) -> Response[bytes]:
    if error.kind == "invalid":
        return _json(str(error.facts.get("mensagem", _MALFORMED)), 400)
    return _json("O servidor não pode responder agora", 503)


def _on_http_error(request: Asked, error: HTTPException) -> Response[bytes]:
    return _json(_SAID.get(error.status_code, _MALFORMED), error.status_code)


def _on_surprise(request: Asked, error: Exception) -> Response[bytes]:
    _log.error("classroom.request_failed", path=request.url.path, exc_info=error)
    return _json("O servidor falhou", 500)
